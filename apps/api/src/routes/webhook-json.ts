import { z } from 'zod'
import { invalidValue } from '../errors.ts'
import { URL_CHARS_MAX } from '../outgoing/outgoing-url.ts'
import { text } from '../submissions/create-request.ts'
import type { AccountSecret } from '../webhooks/account-secret.ts'
import type { Delivery, DeliveryPage } from '../webhooks/delivery-store.ts'
import type { Endpoint } from '../webhooks/endpoint-store.ts'
import { eventJson, VIDEO_EVENTS, type VideoEvent } from '../webhooks/event.ts'
import { unixSeconds } from './video-json.ts'

/** Shapes of what the webhook calls take and answer. */

const unixTime = z.int().meta({ description: 'Seconds since the Unix epoch.' })
const secret = z
  .string()
  .meta({
    description: 'Signs deliveries, as Standard Webhooks describes.',
    example: 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD',
  })
const previousUntil = unixTime
  .nullable()
  .meta({ description: 'Until then the secret before this one signs as well.' })

export const endpointIdParams = z.object({
  id: z.string().meta({ description: 'The endpoint.', example: 'whe_01m84f0j8df20bh2fw7sqrp04k' }),
})
export const deliveryIdParams = z.object({
  id: z.string().meta({ description: 'The delivery.', example: 'whd_01m84f0j8df20bh2fw7sqrp04k' }),
})

export const endpointUrl = z
  .string()
  .max(URL_CHARS_MAX)
  .meta({
    description: 'https, of a public host, without user name and password.',
    example: 'https://example.com/hooks/sluice',
  })
const endpointEvents = z.array(z.enum(VIDEO_EVENTS)).min(1).max(10).optional()

/** What may be said of an endpoint besides its URL. The openai packages call the events `event_types`. */
export const endpointFields = {
  events: endpointEvents,
  event_types: endpointEvents.meta({
    description: 'The same as events, by the name that the openai packages know.',
  }),
  name: text(100).optional(),
}

/** The events a body asks for, by whichever name. Throws SluiceError when both names are there. */
export function eventsOf(body: {
  events?: VideoEvent[] | undefined
  event_types?: VideoEvent[] | undefined
}): VideoEvent[] | undefined {
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
    events: z.array(z.enum(VIDEO_EVENTS)),
    event_types: z
      .array(z.enum(VIDEO_EVENTS))
      .meta({ description: 'The same as events, by the name that the openai packages know.' }),
    name: z.string(),
    disabled: z.boolean(),
    created_at: unixTime,
    updated_at: unixTime,
    signing_secret_hint: z.string().meta({ description: 'How the secret begins.' }),
    previous_secret_expires_at: previousUntil,
  })
  .meta({ id: 'WebhookEndpoint' })

export const endpointWithSecretSchema = endpointSchema
  .extend({
    secret: secret.meta({ description: 'Shown this once.' }),
    signing_secret: secret.meta({ description: 'The same, by the name that the openai packages know.' }),
  })
  .meta({ id: 'WebhookEndpointWithSecret' })

export const accountSecretSchema = z
  .object({
    object: z.literal('webhook_secret'),
    secret,
    created_at: unixTime,
    previous_secret_expires_at: previousUntil,
  })
  .meta({ id: 'WebhookSecret' })

const triedSchema = {
  status_code: z.int().nullable(),
  error: z
    .string()
    .nullable()
    .meta({ description: 'Null when it was delivered: answered with 2xx within 10 s.' }),
  duration_ms: z.int().nullable(),
}

export const deliverySchema = z
  .object({
    id: z.string(),
    object: z.literal('webhook_delivery'),
    endpoint_id: z.string().nullable().meta({ description: "Null for a video's own webhook_url." }),
    url: z.string(),
    event: z.object({
      id: z.string().meta({ description: 'Sent as webhook-id, the same with every try.' }),
      object: z.literal('event'),
      type: z.enum([...VIDEO_EVENTS, 'webhook.test']),
      created_at: unixTime,
      data: z.object({ id: z.string() }),
    }),
    status: z.enum(['pending', 'delivered', 'failed']),
    attempt: z
      .int()
      .meta({ description: 'Tries that ended so far; status_code, error and duration_ms are of the last.' }),
    ...triedSchema,
    next_attempt_at: unixTime.nullable(),
    created_at: unixTime,
    attempts: z.array(z.object({ attempt: z.int(), started_at: unixTime, ...triedSchema })),
  })
  .meta({ id: 'WebhookDelivery' })

export const deliveryListSchema = z
  .object({
    object: z.literal('list'),
    data: z.array(deliverySchema),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
    has_more: z.boolean(),
  })
  .meta({ id: 'WebhookDeliveryList' })

export const webhookPageQuery = z.strictObject({
  after: z.string().optional().meta({ description: 'The id the page before ended with.' }),
  limit: z
    .string()
    .regex(/^([1-9]\d?|100)$/, 'a whole number from 1 to 100')
    .default('20')
    .transform(Number),
})

/** What `client.webhooks.test` of the openai packages reads. */
export const endpointTestSchema = z
  .object({
    object: z.literal('webhook_endpoint.test'),
    webhook_endpoint_id: z.string(),
    event_type: z.enum(VIDEO_EVENTS),
    status_code: z.int(),
    success: z.literal(true).meta({ description: 'The endpoint answered; status_code says what.' }),
  })
  .meta({ id: 'WebhookEndpointTest' })

export function endpointJson(endpoint: Endpoint): z.input<typeof endpointSchema> {
  return {
    id: endpoint.id,
    object: 'webhook_endpoint',
    url: endpoint.url,
    events: endpoint.events,
    event_types: endpoint.events,
    name: endpoint.name,
    disabled: endpoint.disabled_at !== null,
    created_at: unixSeconds(endpoint.created_at),
    updated_at: unixSeconds(endpoint.updated_at),
    signing_secret_hint: `${endpoint.secret.replace(/^whsec_/, '').slice(0, 4)}...`,
    previous_secret_expires_at: secondsOf(endpoint.previous_secret_until),
  }
}

/** An endpoint with its secret, for the answers that may show it. */
export function endpointWithSecretJson(endpoint: Endpoint): z.input<typeof endpointWithSecretSchema> {
  return { ...endpointJson(endpoint), secret: endpoint.secret, signing_secret: endpoint.secret }
}

export function accountSecretJson(own: AccountSecret): z.input<typeof accountSecretSchema> {
  return {
    object: 'webhook_secret',
    secret: own.secret,
    created_at: unixSeconds(own.created_at),
    previous_secret_expires_at: secondsOf(own.previous_secret_until),
  }
}

export function deliveryJson(delivery: Delivery): z.input<typeof deliverySchema> {
  const last = delivery.tries.at(-1)
  return {
    id: delivery.id,
    object: 'webhook_delivery',
    endpoint_id: delivery.endpoint_id,
    url: delivery.url,
    event: eventJson(delivery.event),
    status: delivery.status,
    attempt: delivery.tries.length,
    status_code: last?.status_code ?? null,
    error: last?.error ?? null,
    duration_ms: last?.duration_ms ?? null,
    next_attempt_at: secondsOf(delivery.due_at),
    created_at: unixSeconds(delivery.created_at),
    attempts: delivery.tries.map((one) => ({ ...one, started_at: unixSeconds(one.started_at) })),
  }
}

export function deliveryListJson({ deliveries, hasMore }: DeliveryPage): z.input<typeof deliveryListSchema> {
  return {
    object: 'list',
    data: deliveries.map(deliveryJson),
    first_id: deliveries[0]?.id ?? null,
    last_id: deliveries.at(-1)?.id ?? null,
    has_more: hasMore,
  }
}

function secondsOf(date: Date | null): number | null {
  return date === null ? null : unixSeconds(date)
}
