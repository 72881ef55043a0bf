import { afterAll, beforeAll, expect, test } from 'vitest'
import { HandWorker } from '../support/hand-worker.ts'
import { type Operator, operatorOf } from '../support/operator.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi
let operator: Operator
let accountId: string
let shop: { id: string; key: string }
let studio: { id: string; key: string }

/** 504 video tokens a step. */
const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }
const STEP_TOKENS = 504
const get = (path: string, headers: Record<string, string> = {}) =>
  api.call('GET', path, undefined, { key: shop.key, headers })
const text = (path: string, headers: Record<string, string> = {}) =>
  fetch(api.url + path, { headers: { authorization: `Bearer ${shop.key}`, ...headers } })
const micros = (amount: string): bigint => {
  const [, sign = '', whole = '', fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(amount) ?? []
  return BigInt(`${sign}${whole}${fraction.padEnd(6, '0')}`)
}
const sumOf = (amounts: readonly string[]): bigint =>
  amounts.reduce((sum, amount) => sum + micros(amount), 0n)
interface Row {
  day?: string
  key_id?: string
  key_name?: string
  model?: string
  videos: number
  generated_tokens: number
  cost: string
}
interface Transfer {
  id: string
  kind: string
  video_id: string | null
  amount: string
  entries: { account: string; amount: string }[]
}

/** Two accounts; on the first, two keys, two models, three tiers, every kind of end, and two days. */
beforeAll(async () => {
  api = await startTestApi()
  operator = operatorOf(api)
  accountId = await operator.account({ paid: '1', trial: '0.0015' })
  shop = await operator.key(accountId, { name: '=shop, "main"' })
  studio = await operator.key(accountId, { name: 'studio' })
  const stranger = await operator.key(await operator.account({ paid: '1' }))
  await using worker = new HandWorker(api)
  await worker.heartbeat([], { models: ['animatic', 'open-sora-2'] })
  const submit = async (key: string, more: Record<string, unknown> = {}): Promise<string> =>
    (await api.call('POST', '/v1/videos', { ...SMALL, ...more }, { key })).body.id
  const complete = async (key: string, more: Record<string, unknown> = {}) => {
    const id = await submit(key, more)
    const attempt = await worker.fetch()
    await attempt.report({ type: 'finished', result: await attempt.upload() })
    return id
  }
  const earlier = await complete(shop.key)
  await complete(shop.key, { service_tier: 'priority' })
  await complete(studio.key, { model: 'open-sora-2', service_tier: 'flex', num_steps: 7 })
  await complete(stranger.key)
  await submit(shop.key)
  const failing = await worker.fetch()
  await failing.report({ type: 'failed', code: 'bad_input', message: 'no', retryable: false, step: 2 })
  const stopped = await submit(studio.key)
  const attempt = await worker.fetch()
  await attempt.report({ type: 'progress', phase: 'denoise', step: 3, remaining_ms: 1_000 })
  await api.call('POST', `/v1/videos/${stopped}/cancel`, undefined, { key: studio.key })
  await attempt.report({ type: 'cancelled', step: 4 })
  await worker.heartbeat([], { draining: true })
  // One still waits, and is counted nowhere.
  await submit(shop.key)
  await api.context.db.query({
    text: "update video set ended_at = ended_at - interval '2 days' where id = $1",
    values: [earlier],
  })
})
afterAll(() => api.stop())

const utcDay = (daysAgo: number) => new Date(Date.now() - daysAgo * 86_400_000).toISOString().slice(0, 10)

test('usage by day, key and model is the ledger to the last micro-unit', async () => {
  const { rows } = await api.context.db.query<{ charged: string }>({
    text: `select sum(e.amount)::text as charged
    from entry e
    join ledger_account a on a.id = e.ledger_account_id and a.kind = 'revenue'
    join transfer t on t.id = e.transfer_id
    join video v on v.id = t.video_id
    where v.account_id = $1`,
    values: [accountId],
  })
  const charged = BigInt(rows[0]?.charged ?? '0')
  // 10 steps, 10 at 1.5x, 7 at 0.5x, 4 of a cancelled one; at 0.2 a million, each rounded up.
  expect(charged).toBe(1_008n + 1_512n + 353n + 404n)
  for (const group of ['day', 'key', 'model']) {
    const { status, body } = await get(`/v1/usage?group_by=${group}`)
    expect(status).toBe(200)
    expect(sumOf(body.data.map((row: Row) => row.cost))).toBe(charged)
    expect(body.total).toEqual({
      videos: 5,
      completed: 3,
      failed: 1,
      cancelled: 1,
      generated_tokens: STEP_TOKENS * 31,
      cost: '0.003277',
    })
    expect(body.data.reduce((sum: number, row: Row) => sum + row.generated_tokens, 0)).toBe(STEP_TOKENS * 31)
    expect(body).toMatchObject({ object: 'usage', group_by: group, currency: 'USD' })
  }
  const credits = (await get('/v1/credits')).body
  expect(credits.used.amount).toBe('0.003277')
})

test('usage is split by the UTC day videos ended on, by key with its name, and by model', async () => {
  const rowsBy = async (group: string) => (await get(`/v1/usage?group_by=${group}`)).body.data
  expect(await rowsBy('day')).toMatchObject([
    { day: utcDay(2), videos: 1, cost: '0.001008' },
    { day: utcDay(0), videos: 4, cost: '0.002269' },
  ])
  expect(await rowsBy('key')).toMatchObject([
    { key_id: shop.id, key_name: '=shop, "main"', videos: 3, completed: 2, failed: 1, cost: '0.00252' },
    { key_id: studio.id, key_name: 'studio', videos: 2, completed: 1, cancelled: 1, cost: '0.000757' },
  ])
  expect(await rowsBy('model')).toMatchObject([
    { model: 'animatic', videos: 4, cost: '0.002924' },
    { model: 'open-sora-2', videos: 1, cost: '0.000353' },
  ])
})

test('usage is of the range asked for: from is in it, to is not', async () => {
  const costOf = async (range: string) => (await get(`/v1/usage?${range}`)).body.total.cost
  expect(await costOf(`from=${utcDay(2)}&to=${utcDay(1)}`)).toBe('0.001008')
  expect(await costOf(`from=${utcDay(1)}`)).toBe('0.002269')
  expect(await costOf(`to=${utcDay(2)}`)).toBe('0')
  expect(await costOf(`from=${utcDay(0)}T00:00:00Z&to=${utcDay(-1)}T02:00:00%2B02:00`)).toBe('0.002269')
})

test('usage as CSV has the same numbers, and no field that a spreadsheet would run', async () => {
  const asked = [
    text('/v1/usage?group_by=key&format=csv'),
    text('/v1/usage?group_by=key', { accept: 'text/csv' }),
  ]
  for (const response of await Promise.all(asked)) {
    expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8')
    expect(response.headers.get('content-disposition')).toBe('attachment; filename=usage-by-key.csv')
    expect(await response.text()).toBe(
      [
        'key_id,key_name,videos,completed,failed,cancelled,generated_tokens,cost,currency',
        `${shop.id},"'=shop, ""main""",3,2,1,0,10080,0.00252,USD`,
        `${studio.id},studio,2,1,0,1,5544,0.000757,USD`,
        '',
      ].join('\r\n'),
    )
  }
  const preferred = await text('/v1/usage', { accept: 'application/json, text/csv;q=0.5' })
  expect(preferred.headers.get('content-type')).toMatch(/^application\/json/)
})

test('the ledger lists each transfer of the account once, newest first, page by page, and no one else sees them', async () => {
  const seen: Transfer[] = []
  for (let after = ''; ; ) {
    const { body } = await get(`/v1/ledger?limit=3${after}`)
    expect(body.data.length).toBeLessThanOrEqual(3)
    expect([body.first_id, body.last_id]).toEqual([body.data[0].id, body.data.at(-1).id])
    seen.push(...body.data)
    if (!body.has_more) break
    after = `&after=${body.last_id}`
  }
  // Two credits, six holds, five settles.
  expect(seen).toHaveLength(13)
  const ids = seen.map(({ id }) => id)
  expect(ids).toEqual([...new Set(ids)].sort().reverse())
  for (const { entries } of seen) expect(sumOf(entries.map(({ amount }) => amount))).toBe(0n)
  const { balance, held } = (await get('/v1/credits')).body
  expect(sumOf(seen.map(({ amount }) => amount))).toBe(micros(balance.amount))
  const inHold = seen.flatMap(({ entries }) => entries).filter(({ account }) => account === 'hold')
  expect(sumOf(inHold.map(({ amount }) => amount))).toBe(micros(held.amount))
  expect(seen.at(-1)).toMatchObject({
    kind: 'top_up',
    video_id: null,
    amount: '1',
    entries: [{ amount: '-1' }, { amount: '1' }],
  })

  const asOperator = await operator.must('GET', `/v1/admin/accounts/${accountId}/ledger?limit=100`)
  expect(asOperator.data).toEqual(seen)
  const first = (await api.call('GET', '/v1/ledger')).body
  expect(first.data.map(({ id }: Transfer) => id).filter((id: string) => ids.includes(id))).toEqual([])
  expect(await operator.ledgerIsOk()).toMatchObject({ ok: true })
})
