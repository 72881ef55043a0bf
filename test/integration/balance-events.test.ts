import { afterAll, beforeAll, expect, test } from 'vitest'
import { expireCredits } from '../../apps/api/src/accounts/expire-credits.ts'
import { VIDEO_EVENTS } from '../../apps/api/src/webhooks/event.ts'
import { runSql } from '../../bench/rig/accounts.ts'
import { eventually } from '../support/eventually.ts'
import { quadrants } from '../support/images.ts'
import { type Operator, operatorOf } from '../support/operator.ts'
import { callJson, startTestApi, type TestApi } from '../support/start-api.ts'
import { startWebhookReceiver, type WebhookReceiver } from '../support/webhook-receiver.ts'

/** What one small video is held at. */
const COST = '0.001008'

let api: TestApi
let operator: Operator
let receiver: WebhookReceiver

beforeAll(async () => {
  api = await startTestApi({ webhookAllowHosts: new Set(['127.0.0.1']), timings: { expireEveryMs: 600_000 } })
  operator = operatorOf(api)
  receiver = await startWebhookReceiver()
})
afterAll(async () => {
  await api.stop()
  await receiver[Symbol.asyncDispose]()
})

/** An account with so much, whose endpoint hears of its balance. */
async function tenant(amount: string, low: string | null) {
  const id = await operator.account({ paid: amount }, { balance_low: low })
  const { key } = await operator.key(id)
  const call = (method: string, path: string, body?: unknown) => callJson(api.url, key, method, path, body)
  const { body: endpoint } = await call('POST', '/v1/webhook_endpoints', {
    url: `${receiver.url}/${id}`,
    events: ['balance.low', 'balance.exhausted'],
  })
  return {
    id,
    key,
    call,
    submit: (fields: object = {}) =>
      call('POST', '/v1/videos', { prompt: 'x', num_frames: 5, num_steps: 10, ...fields }),
    credit: (more: object) => operator.must('POST', `/v1/admin/accounts/${id}/credit`, more),
    /** The types of all events that were written, oldest first: what is written is sent. */
    events: async (): Promise<string[]> => {
      const { body } = await call('GET', `/v1/webhook_endpoints/${endpoint.id}/deliveries?limit=100`)
      return body.data.map((delivery: { event: { type: string } }) => delivery.event.type).reverse()
    },
  }
}

test('a balance that falls below its threshold and runs out is said once each, of fifty submissions at once', async () => {
  const { id, submit, events, credit, call } = await tenant('0.01008', '0.005')
  const answers = await Promise.all(Array.from({ length: 50 }, () => submit()))
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(10)
  expect((await events()).sort()).toEqual(['balance.exhausted', 'balance.low'])
  const ofIt = async () => receiver.received.filter(({ path }) => path === `/${id}`)
  const sent = await eventually(ofIt, (received) => received.length === 2)
  for (const { event } of sent) {
    expect(event).toMatchObject({
      object: 'event',
      data: {
        id,
        balance: { amount: expect.any(String), currency: 'USD' },
        balance_low: { amount: '0.005', currency: 'USD' },
      },
    })
    expect(Number(event.data.balance.amount)).toBeLessThan(0.005)
  }
  // Refused again: it is known.
  await Promise.all(Array.from({ length: 5 }, () => submit()))
  expect(await events()).toHaveLength(2)
  // Money came in, and was spent again.
  await credit({ amount: '0.01' })
  await Promise.all(Array.from({ length: 12 }, () => submit()))
  expect((await events()).sort()).toEqual([
    'balance.exhausted',
    'balance.exhausted',
    'balance.low',
    'balance.low',
  ])
  expect((await call('GET', '/v1/credits')).body.balance_low.amount).toBe('0.005')
})

test('a video refused for want of balance says so, also before anything costly is done for it; what comes back of a hold counts as money in', async () => {
  const { submit, events, call } = await tenant('0.002', null)
  const first = await submit()
  expect((await submit()).body.error.code).toBe('insufficient_balance')
  expect(await events()).toEqual(['balance.exhausted'])
  await call('POST', `/v1/videos/${first.body.id}/cancel`)
  const image = (await quadrants(64, 64).png().toBuffer()).toString('base64')
  const costly = { num_frames: 129, input_reference: { image_url: `data:image/png;base64,${image}` } }
  for (let times = 0; times < 3; times += 1)
    expect((await submit(costly)).body.error.code).toBe('insufficient_balance')
  expect(await events()).toEqual(['balance.exhausted', 'balance.exhausted'])
})

test('an expiry and a refund are crossings too; no threshold, no balance.low', async () => {
  const one = await tenant('1', '2')
  const at = Math.floor(Date.now() / 1_000) + 86_400
  const { credit_id } = await one.credit({ amount: '3', kind: 'promotional', expires_at: at })
  await runSql(api.database.adminUrl, [`update credit set expires_at = now() where id = '${credit_id}'`])
  // Seen to have lapsed by a submission: its expiry says it, once.
  await one.submit()
  expect(await one.events()).toEqual([])
  await Promise.all(Array.from({ length: 3 }, () => expireCredits(api.context.internal, one.id)))
  expect(await one.events()).toEqual(['balance.low'])
  await operator.must('POST', `/v1/admin/accounts/${one.id}/refund`, {})
  expect(await one.events()).toEqual(['balance.low', 'balance.exhausted'])

  const other = await tenant('1', '2')
  expect((await other.call('PATCH', '/v1/credits', { balance_low: null })).body.balance_low).toBeNull()
  await other.credit({ amount: '9' })
  await operator.must('POST', `/v1/admin/accounts/${other.id}/refund`, {})
  expect(await other.events()).toEqual(['balance.exhausted'])
  expect((await other.call('PATCH', '/v1/credits', { balance_low: '0' })).body.error).toMatchObject({
    code: 'invalid_value',
    param: 'balance_low',
  })
})

test('an endpoint that named no events hears of videos alone, and a test sends a sample of any', async () => {
  const { call, submit } = await tenant(COST, null)
  const { body: endpoint } = await call('POST', '/v1/webhook_endpoints', { url: receiver.url })
  expect(endpoint.events).toEqual([...VIDEO_EVENTS])
  await submit()
  const deliveries = () => call('GET', `/v1/webhook_endpoints/${endpoint.id}/deliveries`)
  expect((await deliveries()).body.data).toEqual([])
  const sample = { event_type: 'balance.low' }
  expect((await call('POST', `/v1/webhook_endpoints/${endpoint.id}/test`, sample)).body.success).toBe(true)
  expect((await deliveries()).body.data[0].event).toMatchObject({
    type: 'balance.low',
    data: { balance: { amount: '0' } },
  })
})
