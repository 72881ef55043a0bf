import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { quadrants } from '../support/images.ts'
import { type JsonServer, sayJson, startJsonServer } from '../support/json-server.ts'
import { type Operator, operatorOf } from '../support/operator.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi
let operator: Operator
/** The operator's moderation: whoever is asked costs time, and perhaps money. */
let hook: JsonServer

beforeAll(async () => {
  hook = await startJsonServer((response) => sayJson(response, { results: [{ flagged: false }] }))
  api = await startTestApi({
    moderation: { url: hook.url, key: undefined, timeoutMs: 10_000, failOpen: false, takesImages: false },
  })
  operator = operatorOf(api)
})
afterAll(async () => {
  await api.stop()
  await hook[Symbol.asyncDispose]()
})
beforeEach(() => {
  hook.asked.length = 0
})

const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }
const submit = (key: string, fields: object = {}, headers: Record<string, string> = {}) =>
  api.call('POST', '/v1/videos', { ...SMALL, ...fields }, { key, headers })
const quoted = async (fields: object = {}): Promise<{ cost: { amount: string }; usage: { total: number } }> =>
  (await api.call('POST', '/v1/videos/quote', { ...SMALL, ...fields })).body

test('a submission that money, budget, queue or ceiling refuses costs no question to the operator’s hook', async () => {
  const poor = await operator.key(await operator.account())
  const account = await operator.account({ paid: '1' })
  const spent = await operator.key(account, { token_budget: 1 })
  const full = await operator.key(account, { queued_max: 1 })
  expect((await submit(full.key)).status).toBe(200)
  expect(hook.asked).toHaveLength(1)
  const refused = [
    await submit(poor.key),
    await submit(spent.key),
    await submit(full.key),
    await submit(api.key, { max_tokens: 1 }),
  ]
  expect(refused.map(({ status, body }) => [status, body.error.code])).toEqual([
    [402, 'insufficient_balance'],
    [402, 'budget_exceeded'],
    [429, 'queue_full'],
    [400, 'max_tokens_too_small'],
  ])
  expect(hook.asked).toHaveLength(1)
})

test('a repeat gets its video though the video has cost the last of the money', async () => {
  const { cost } = await quoted()
  const { key } = await operator.key(await operator.account({ paid: cost.amount }))
  const first = await submit(key, {}, { 'idempotency-key': 'once' })
  expect(first.status).toBe(200)
  const again = await submit(key, {}, { 'idempotency-key': 'once' })
  expect([again.status, again.body.id]).toEqual([200, first.body.id])
  expect((await submit(key, {}, { 'idempotency-key': 'twice' })).status).toBe(402)
})

test('an image that gives the video a cheap size is looked at with the money for that size', async () => {
  const wide = { size: '336x192' }
  const square = { size: '256x256' }
  const [cheap, dear] = [await quoted(wide), await quoted(square)]
  expect(Number(cheap.cost.amount)).toBeLessThan(Number(dear.cost.amount))
  const { key } = await operator.key(await operator.account({ paid: cheap.cost.amount }))
  const image = (await quadrants(336, 192).png().toBuffer()).toString('base64')
  expect(await submit(key, { input_reference: image })).toMatchObject({ status: 200, body: wide })
})
