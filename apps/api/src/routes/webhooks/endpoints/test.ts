import { newId } from '@sluice/shared/ids'
import { z } from 'zod'
import { SluiceError } from '../../../errors.ts'
import { accountRoute } from '../../../http/route.ts'
import { testEndpoint } from '../../../webhooks/delivery-store.ts'
import { readEndpoint } from '../../../webhooks/endpoint-store.ts'
import { ENDPOINT_EVENTS, type EndpointEvent } from '../../../webhooks/event.ts'
import { moneyJson } from '../../money-json.ts'
import { deliveryJson, deliverySchema } from '../deliveries/delivery-json.ts'
import { endpointIdParams } from './endpoint-json.ts'

/** What `client.webhooks.test` of the openai packages reads. */
const endpointTestSchema = z
  .object({
    object: z.literal('webhook_endpoint.test'),
    webhook_endpoint_id: z.string(),
    event_type: z.enum(ENDPOINT_EVENTS),
    status_code: z.int(),
    success: z.literal(true).meta({ description: 'The endpoint answered; status_code says what.' }),
  })
  .meta({ id: 'WebhookEndpointTest' })

export const testWebhookEndpointRoute = accountRoute(
  'videos:write',
  {
    method: 'post',
    path: '/v1/webhook_endpoints/{id}/test',
    operationId: 'testWebhookEndpoint',
    tag: 'webhooks',
    summary: 'Send a test event now',
    description:
      'Sends `webhook.test` once, waits up to 10 s for the answer and says what came of it, whether or not that was a success. With `event_type`, as the openai packages send it, a sample of that event, about a video that is none or about a balance of nothing; then an endpoint that does not answer at all is a 409.',
    params: endpointIdParams,
    body: z.strictObject({ event_type: z.enum(ENDPOINT_EVENTS).optional() }),
    isLong: true,
    answers: {
      200: {
        description: 'The delivery; with event_type its result.',
        schema: z.union([deliverySchema, endpointTestSchema]),
      },
    },
    errors: ['not_found', 'state_conflict'],
  },
  async ({ context, key, params, body: { event_type } }) => {
    const { clock, config, db } = context
    const endpoint = await readEndpoint(db, key.accountId, params.id)
    const delivery = await testEndpoint(
      db,
      endpoint,
      { clock, rules: { allowHosts: config.webhookAllowHosts } },
      event_type === undefined ? null : sampleOf(event_type, endpoint.account_id, config.currency),
    )
    if (event_type === undefined) return deliveryJson(delivery)
    const [sent] = delivery.tries
    const status_code = sent?.status_code ?? null
    if (status_code === null)
      throw new SluiceError('state_conflict', `The endpoint did not answer: ${sent?.error}`, 'url')
    return {
      object: 'webhook_endpoint.test',
      webhook_endpoint_id: endpoint.id,
      event_type,
      status_code,
      success: true,
    }
  },
)

function sampleOf(type: EndpointEvent, accountId: string, currency: string) {
  const nothing = moneyJson(0n, currency)
  return type === 'balance.low' || type === 'balance.exhausted'
    ? { type, subject_id: accountId, data: { balance: nothing, balance_low: nothing } }
    : { type, subject_id: newId('video'), data: null }
}
