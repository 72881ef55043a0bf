import { unixSeconds } from '@sluice/shared/clock'
import { moneySchema } from '@sluice/shared/public-video'
import { z } from 'zod'
import { type PageJson, pageJson, pageSchema } from '../../../http/pages.ts'
import type { Delivery, DeliveryPage } from '../../../webhooks/delivery-store.ts'
import { ENDPOINT_EVENTS, eventJson } from '../../../webhooks/event.ts'
import { unixTimeField } from '../webhook-fields.ts'

export const deliveryIdParams = z.object({
  id: z.string().meta({ description: 'The delivery.', example: 'whd_01m84f0j8df20bh2fw7sqrp04k' }),
})

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
      type: z.enum([...ENDPOINT_EVENTS, 'webhook.test']),
      created_at: unixTimeField,
      data: z.object({
        id: z.string().meta({ description: 'The video; of balance.* the account.' }),
        balance: moneySchema.optional().meta({ description: 'Of balance.*: what could be spent then.' }),
        balance_low: moneySchema.nullable().optional().meta({ description: 'Of balance.*: the threshold.' }),
      }),
    }),
    status: z.enum(['pending', 'delivered', 'failed']),
    attempt: z
      .int()
      .meta({ description: 'Tries that ended so far; status_code, error and duration_ms are of the last.' }),
    ...triedSchema,
    next_attempt_at: unixTimeField.nullable(),
    created_at: unixTimeField,
    attempts: z.array(z.object({ attempt: z.int(), started_at: unixTimeField, ...triedSchema })),
  })
  .meta({ id: 'WebhookDelivery' })

export const deliveryPageSchema = pageSchema(deliverySchema, 'WebhookDeliveryList')

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
    next_attempt_at: unixSeconds(delivery.due_at),
    created_at: unixSeconds(delivery.created_at),
    attempts: delivery.tries.map((one) => ({ ...one, started_at: unixSeconds(one.started_at) })),
  }
}

export function deliveryPageJson({
  deliveries,
  hasMore,
}: DeliveryPage): PageJson<z.input<typeof deliverySchema>> {
  return pageJson({ data: deliveries.map(deliveryJson), hasMore })
}
