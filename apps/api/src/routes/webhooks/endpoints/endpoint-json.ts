import { unixSeconds } from '@sluice/shared/clock'
import { z } from 'zod'
import { invalidValue } from '../../../errors.ts'
import { URL_CHARS_MAX } from '../../../outgoing/outgoing-url.ts'
import { text } from '../../../text-field.ts'
import type { Endpoint } from '../../../webhooks/endpoint-store.ts'
import { ENDPOINT_EVENTS, type EndpointEvent } from '../../../webhooks/event.ts'
import { previousSecretUntilField, secretField, unixTimeField } from '../webhook-fields.ts'

export const endpointIdParams = z.object({
  id: z.string().meta({ description: 'The endpoint.', example: 'whe_01m84f0j8df20bh2fw7sqrp04k' }),
})

export const endpointUrl = z
  .string()
  .max(URL_CHARS_MAX)
  .meta({
    description: 'https, of a public host, without user name and password.',
    format: 'uri',
    example: 'https://example.com/hooks/sluice',
  })
const endpointEvents = z.array(z.enum(ENDPOINT_EVENTS)).min(1).max(10).optional()

/** What may be said of an endpoint besides its URL. The openai packages call the events `event_types`. */
export const endpointFields = {
  events: endpointEvents,
  event_types: endpointEvents.meta({
    description: 'The same as events, by the name that the openai packages know.',
  }),
  name: text(100).optional(),
}

/** What a JSON schema can say of both names of the events: not both at once. */
export const ONE_NAME_OF_EVENTS = { not: { required: ['events', 'event_types'] } }

/** The events a body asks for, by whichever name. Throws SluiceError when both names are there. */
export function eventsOf(body: {
  events?: EndpointEvent[] | undefined
  event_types?: EndpointEvent[] | undefined
}): EndpointEvent[] | undefined {
  if (body.events !== undefined && body.event_types !== undefined) {
    throw invalidValue('event_types', body.event_types, 'either events or event_types, which are the same')
  }
  return body.events ?? body.event_types
}

export const endpointSchema = z
  .object({
    id: z.string(),
    object: z.literal('webhook_endpoint'),
    url: z.string(),
    events: z.array(z.enum(ENDPOINT_EVENTS)),
    event_types: z
      .array(z.enum(ENDPOINT_EVENTS))
      .meta({ description: 'The same as events, by the name that the openai packages know.' }),
    name: z.string(),
    disabled: z.boolean(),
    disabled_reason: z
      .enum(['asked', 'gone'])
      .nullable()
      .meta({
        description: 'asked: by a call. gone: the endpoint answered 410, so nothing more is sent to it.',
      }),
    created_at: unixTimeField,
    updated_at: unixTimeField,
    signing_secret_hint: z.string().meta({ description: 'How the secret begins.' }),
    previous_secret_expires_at: previousSecretUntilField,
  })
  .meta({ id: 'WebhookEndpoint' })

export const endpointWithSecretSchema = endpointSchema
  .extend({
    secret: secretField.meta({ description: 'Shown this once.' }),
    signing_secret: secretField.meta({ description: 'The same, by the name that the openai packages know.' }),
  })
  .meta({ id: 'WebhookEndpointWithSecret' })

export function endpointJson(endpoint: Endpoint): z.input<typeof endpointSchema> {
  return {
    id: endpoint.id,
    object: 'webhook_endpoint',
    url: endpoint.url,
    events: endpoint.events,
    event_types: endpoint.events,
    name: endpoint.name,
    disabled: endpoint.disabled_at !== null,
    disabled_reason: endpoint.disabled_reason,
    created_at: unixSeconds(endpoint.created_at),
    updated_at: unixSeconds(endpoint.updated_at),
    signing_secret_hint: `${endpoint.secret.replace(/^whsec_/, '').slice(0, 4)}...`,
    previous_secret_expires_at: unixSeconds(endpoint.previous_secret_until),
  }
}

/** An endpoint with its secret, for the answers that may show it. */
export function endpointWithSecretJson(endpoint: Endpoint): z.input<typeof endpointWithSecretSchema> {
  return { ...endpointJson(endpoint), secret: endpoint.secret, signing_secret: endpoint.secret }
}
