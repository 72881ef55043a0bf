import pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { z } from 'zod'
import { transaction } from '../../apps/api/src/db/database.ts'
import { lockOwned } from '../../apps/api/src/ledger/accounts.ts'
import { post } from '../../apps/api/src/ledger/post.ts'
import { ALL_ROUTES } from '../../apps/api/src/routes/all-routes.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { type Operator, operatorOf } from '../support/operator.ts'
import { type Answer, startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi
let operator: Operator

beforeAll(async () => {
  api = await startTestApi()
  operator = operatorOf(api)
})
afterAll(() => api.stop())

/** 504 video tokens x 10 steps = 5,040 generated tokens = 0.001008. */
const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }
const COST = '0.001008'
const create = (key: string, body: unknown = SMALL) => api.call('POST', '/v1/videos', body, { key })
const money = (amount: string) => ({ amount, currency: 'USD' })
const UNKNOWN_ACCOUNT = 'acct_01m84f0j8df20bh2fw7sqrp04k'
const inAnHour = () => Math.floor(Date.now() / 1_000) + 3_600

/** What the API answered must be exactly what its document says: every field there, and no other. */
function expectToMatch(operationId: string, body: unknown): void {
  const schema = ALL_ROUTES.find((route) => route.operationId === operationId)?.answers[200]
    ?.schema as z.ZodType
  const parsed = schema.safeParse(body)
  expect(parsed.error?.issues ?? [], operationId).toEqual([])
  expect(parsed.data, operationId).toEqual(body)
}

describe('the audit', () => {
  interface Change {
    key_id: string
    key_name: string
    action: string
    subject: string
    created_at: number
    details: Record<string, unknown>
  }
  type As = (method: string, path: string, body?: unknown) => Promise<Answer>

  let startedAt: number
  let ada: { id: string; as: As }
  let account: { id: string; creditId: string; refundId: string }
  let key: { id: string }

  beforeAll(async () => {
    startedAt = Math.floor(Date.now() / 1_000)
    const made = await operator.must('POST', '/v1/admin/keys', { name: 'Ada', scope: 'admin' })
    ada = { id: made.id, as: (method, path, body) => api.call(method, path, body, { key: made.key }) }
    account = await changeAnAccount(ada.as)
    key = await changeAKey(ada.as, account.id)
    await setAPrice(ada.as)
  })

  /**
   * Four changes; an empty one, a repeated credit, another amount under its key and a refund of nothing are
   * none.
   */
  async function changeAnAccount(as: As): Promise<typeof account> {
    const { id } = (await as('POST', '/v1/admin/accounts', { name: 'studio' })).body
    const path = `/v1/admin/accounts/${id}`
    await as('PATCH', path, { weight: 300, unfinished_max: null })
    await as('PATCH', path, {})
    const credit = (await as('POST', `${path}/credit`, { amount: '5', idempotency_key: 'a' })).body
    await as('POST', `${path}/credit`, { amount: '5', idempotency_key: 'a' })
    await as('POST', `${path}/credit`, { amount: '6', idempotency_key: 'a' })
    const refund = (await as('POST', `${path}/refund`, {})).body
    await as('POST', `${path}/refund`, {})
    await as('POST', `/v1/admin/accounts/${UNKNOWN_ACCOUNT}/credit`, { amount: '1' })
    return { id, creditId: credit.transfer_id, refundId: refund.transfer_id }
  }

  /** Three changes; one that changes nothing, those that are refused and a second revocation are none. */
  async function changeAKey(as: As, accountId: string): Promise<typeof key> {
    const settings = { name: 'shop', models: ['animatic'], token_budget: 7, budget_interval: 'day' }
    const { id } = (await as('POST', `/v1/admin/accounts/${accountId}/keys`, settings)).body
    const path = `/v1/admin/keys/${id}`
    const changes = { name: 'web shop', token_budget: null, running_max: 2, budget_interval: 'day' }
    await as('PATCH', path, changes)
    await as('PATCH', path, { name: 'web shop' })
    await as('PATCH', path, { name: 'x', scopes: ['worker'] })
    await as('DELETE', path)
    await as('DELETE', path)
    await as('PATCH', path, { name: 'x' })
    await as('DELETE', `/v1/admin/keys/${ada.id}`)
    return { id }
  }

  /** One change; a price that is no number is none. */
  async function setAPrice(as: As): Promise<void> {
    const price = { model: 'open-sora-2', resolution: '768px' }
    await as('POST', '/v1/admin/prices', { ...price, per_million: '0.9', effective_at: inAnHour() })
    await as('POST', '/v1/admin/prices', { ...price, per_million: 'much' })
  }

  const changesByAda = async (): Promise<Change[]> =>
    (await operator.must('GET', '/v1/admin/audit')).data.filter(({ key_id }: Change) => key_id === ada.id)
  /** The details of Ada's changes of one subject, newest first. */
  const detailsOf = async (subject: string) =>
    (await changesByAda()).filter((change) => change.subject === subject).map(({ details }) => details)

  test('has every change with who, what, on whom and when, and no change that was refused', async () => {
    const changes = await changesByAda()
    expect(changes.map(({ action, subject }) => [action, subject])).toEqual([
      ['price.set', 'open-sora-2 768px'],
      ['key.revoked', key.id],
      ['key.changed', key.id],
      ['key.created', key.id],
      ['account.refunded', account.id],
      ['account.credited', account.id],
      ['account.changed', account.id],
      ['account.created', account.id],
    ])
    for (const change of changes) {
      expect(change.key_name).toBe('Ada')
      expect(change.created_at).toBeGreaterThanOrEqual(startedAt)
    }
  })

  test('says of an account what was set, and which transfers moved its money', async () => {
    expect(await detailsOf(account.id)).toMatchObject([
      { amount: '5', currency: 'USD', transfer_id: account.refundId },
      { kind: 'paid', amount: '5', currency: 'USD', transfer_id: account.creditId },
      { weight: 300, unfinished_max: null },
      { name: 'studio' },
    ])
  })

  test('says of a key what it was made with, and what differed before and after a change', async () => {
    const details = await detailsOf(key.id)
    expect(details).toMatchObject([
      { account_id: account.id, name: 'web shop' },
      {},
      { account_id: account.id, name: 'shop', models: ['animatic'], token_budget: 7, budget_interval: 'day' },
    ])
    expect(details[1]).toEqual({
      before: { name: 'shop', token_budget: 7, running_max: null },
      after: { name: 'web shop', token_budget: null, running_max: 2 },
    })
  })

  test('says of a price what it is', async () => {
    expect(await detailsOf('open-sora-2 768px')).toMatchObject([
      { model: 'open-sora-2', resolution: '768px', per_million: '0.9', currency: 'USD' },
    ])
  })

  test('is read in pages, by subject and by action', async () => {
    const ofAccount = `/v1/admin/audit?subject=${account.id}&limit=2`
    const page = await operator.must('GET', ofAccount)
    expect(page).toMatchObject({
      has_more: true,
      data: [{ action: 'account.refunded' }, { action: 'account.credited' }],
    })
    const rest = await operator.must('GET', `${ofAccount}&after=${page.last_id}`)
    expect(rest).toMatchObject({
      has_more: false,
      data: [{ action: 'account.changed' }, { action: 'account.created' }],
    })
    const revoked = await operator.must('GET', `/v1/admin/audit?action=key.revoked&subject=${key.id}`)
    expect(revoked.data).toHaveLength(1)
    expectToMatch('readAudit', page)
  })

  test('is rewritten by nobody: not the role the API works as, and not its owner', async () => {
    for (const options of ['', '-c role=sluice_app']) {
      const client = new pg.Client({ connectionString: api.database.databaseUrl, options })
      await client.connect()
      try {
        for (const sql of ["update audit set action = 'x'", 'delete from audit', 'truncate audit']) {
          await expect(client.query(sql), sql).rejects.toMatchObject({ code: '42501' })
        }
      } finally {
        await client.end()
      }
    }
  })
})

describe('credit', () => {
  test('of one idempotency key is added once, however many ask at once; another amount or kind under it is a conflict', async () => {
    const id = await operator.account()
    const add = (body: Record<string, unknown>) =>
      operator.call('POST', `/v1/admin/accounts/${id}/credit`, {
        amount: '2.5',
        idempotency_key: 'invoice 1',
        ...body,
      })
    const answers = await Promise.all(Array.from({ length: 100 }, () => add({})))
    expect(new Set(answers.map(({ status, body }) => `${status} ${body.transfer_id}`)).size).toBe(1)
    expect(answers[0]).toMatchObject({
      status: 200,
      body: { amount: '2.5', currency: 'USD', kind: 'paid', account: { paid: money('2.5') } },
    })
    for (const other of [{ amount: '2.500001' }, { kind: 'trial' }]) {
      const { status, headers, body } = await add(other)
      expect([status, body.error.code, headers.get('x-should-retry')]).toEqual([
        409,
        'idempotency_conflict',
        'false',
      ])
    }
    // The header serves as well, and another account's key is another key.
    const byHeader = { key: api.adminKey, headers: { 'idempotency-key': 'invoice 1' } }
    const again = await api.call('POST', `/v1/admin/accounts/${id}/credit`, { amount: '2.5' }, byHeader)
    expect(again.body.transfer_id).toBe(answers[0]?.body.transfer_id)
    const other = await api.call(
      'POST',
      `/v1/admin/accounts/${await operator.account()}/credit`,
      { amount: '2.5' },
      byHeader,
    )
    expect(other.body.account.paid).toEqual(money('2.5'))
    expect(await operator.must('GET', `/v1/admin/accounts/${id}`)).toMatchObject({
      paid: money('2.5'),
      trial: money('0'),
    })
    expect(await operator.ledgerIsOk()).toMatchObject({ ok: true })
  })

  test('is spent trial first', async () => {
    const id = await operator.account({ paid: '1', trial: COST })
    const { key } = await operator.key(id)
    await create(key)
    expect(await operator.must('GET', `/v1/admin/accounts/${id}`)).toMatchObject({
      paid: money('1'),
      trial: money('0'),
      held: money(COST),
    })
  })
})

describe('a refund', () => {
  test('is the whole unused paid balance, never trial credit and never what is held; that can be refunded when it comes back', async () => {
    const id = await operator.account({ paid: '3', trial: '0.001' })
    const { key } = await operator.key(id)
    // 0.001 of it is trial credit, 0.000008 is paid.
    const video = (await create(key)).body.id
    await operator.must('POST', `/v1/admin/accounts/${id}/credit`, { amount: '7', kind: 'trial' })
    const refund = () => operator.must('POST', `/v1/admin/accounts/${id}/refund`, {})
    const first = await refund()
    expect(first).toMatchObject({
      amount: '2.999992',
      currency: 'USD',
      account: { paid: money('0'), trial: money('7'), held: money(COST) },
    })
    expect(await refund()).toMatchObject({ amount: '0', transfer_id: null })
    expect(await operator.ledgerIsOk()).toMatchObject({ ok: true })
    await api.call('POST', `/v1/videos/${video}/cancel`, undefined, { key })
    expect(await refund()).toMatchObject({
      amount: '0.000008',
      account: { paid: money('0'), trial: money('7.001'), held: money('0') },
    })
    expect(await operator.ledgerIsOk()).toMatchObject({ ok: true })
  })

  test('is paid once of fifty at once, and the same idempotency key again answers the first', async () => {
    const id = await operator.account({ paid: '4' })
    const refund = (body: unknown) => operator.must('POST', `/v1/admin/accounts/${id}/refund`, body)
    const answers = await Promise.all(Array.from({ length: 50 }, () => refund({})))
    expect(answers.map(({ amount }) => amount).sort()).toEqual([...Array(49).fill('0'), '4'])
    await operator.must('POST', `/v1/admin/accounts/${id}/credit`, { amount: '1' })
    const first = await refund({ idempotency_key: 'r1' })
    await operator.must('POST', `/v1/admin/accounts/${id}/credit`, { amount: '2' })
    expect(await refund({ idempotency_key: 'r1' })).toMatchObject({
      amount: '1',
      transfer_id: first.transfer_id,
      account: { paid: money('2') },
    })
    expect(await operator.ledgerIsOk()).toMatchObject({ ok: true })
  })

  test('racing with submissions never overspends: every micro-unit is refunded or held', async () => {
    const id = await operator.account({ paid: '0.05' })
    const { key } = await operator.key(id)
    const [refund, ...answers] = await Promise.all([
      operator.must('POST', `/v1/admin/accounts/${id}/refund`, {}),
      ...Array.from({ length: 99 }, () => create(key)),
    ])
    const taken = answers.filter(({ status }) => status === 200).length
    const { paid, held } = await operator.must('GET', `/v1/admin/accounts/${id}`)
    const micros = (amount: string) => Math.round(Number(amount) * 1_000_000)
    expect(micros(held.amount)).toBe(taken * 1_008)
    expect(micros(refund.amount) + micros(paid.amount) + micros(held.amount)).toBe(50_000)
    expect(await operator.ledgerIsOk()).toMatchObject({ ok: true })
  })

  test('of anything but paid money is found by the ledger check', async () => {
    await using fresh = await startTestApi()
    const their = operatorOf(fresh)
    const id = await their.account({ paid: '1', trial: '1' })
    const { db, systemAccounts } = fresh.api.context
    await transaction(db, async (tx) => {
      const owned = await lockOwned(tx, id, 'USD')
      await post(tx, {
        kind: 'refund',
        idempotencyKey: 'by hand',
        videoId: null,
        postings: [
          { ledgerAccountId: owned.trial.id, amountMicros: -5n },
          { ledgerAccountId: systemAccounts.promotion, amountMicros: 5n },
        ],
      })
    })
    const check = await their.ledgerIsOk()
    expect(check.ok).toBe(false)
    expect(Object.entries(check.violations).filter(([, count]) => count > 0)).toEqual([
      ['refunds_of_other_than_paid_money', 1],
    ])
    await db.query({
      text: 'insert into key_budget (key_id, starts_at, budget_tokens, used_tokens) select id, now(), 5, 5 from api_key limit 1',
    })
    expect((await their.ledgerIsOk()).violations).toMatchObject({ budgets_that_differ_from_their_videos: 1 })
  })
})

describe('a price', () => {
  test('holds for videos submitted from then on: a queued video keeps the price it was submitted at', async () => {
    await using fresh = await startTestApi()
    const their = operatorOf(fresh)
    const { key } = await their.key(await their.account({ paid: '100' }))
    const submit = async () => (await fresh.call('POST', '/v1/videos', SMALL, { key })).body
    const set = (body: Record<string, unknown>) =>
      their.must('POST', '/v1/admin/prices', { model: 'animatic', resolution: '256px', ...body })
    const read = async (id: string) => (await fresh.call('GET', `/v1/videos/${id}`, undefined, { key })).body
    const cheap = await submit()
    expect(cheap.cost).toEqual({ ...money(COST), state: 'held' })
    expect(await set({ per_million: '200' })).toMatchObject({ per_million: '200', in_force: true })
    // One to come changes nothing yet.
    expect(await set({ per_million: '999', effective_at: inAnHour() })).toMatchObject({ in_force: false })
    const dear = await submit()
    expect(dear.cost).toEqual({ ...money('1.008'), state: 'held' })
    expect((await read(cheap.id)).cost).toEqual({ ...money(COST), state: 'held' })

    await using worker = new HandWorker(fresh)
    await worker.heartbeat()
    for (const [video, cost] of [
      [cheap, COST],
      [dear, '1.008'],
    ]) {
      const attempt = await worker.fetch()
      await attempt.report({ type: 'finished', result: await attempt.upload() })
      expect((await read(video.id)).cost).toEqual({ ...money(cost), state: 'charged' })
    }
    expect(await their.ledgerIsOk()).toMatchObject({ ok: true })

    const prices = (await their.must('GET', '/v1/admin/prices')).data.filter(
      (price: { model: string; resolution: string }) =>
        price.model === 'animatic' && price.resolution === '256px',
    )
    expect(
      prices.map((price: { per_million: string; in_force: boolean }) => [price.per_million, price.in_force]),
    ).toEqual([
      ['999', false],
      ['200', true],
      ['0.2', false],
    ])
    expectToMatch('listPrices', await their.must('GET', '/v1/admin/prices'))
    expectToMatch('setPrice', await set({ per_million: '0' }))
    expect((await submit()).cost).toEqual({ ...money('0'), state: 'held' })
    expect(await their.ledgerIsOk()).toMatchObject({ ok: true })
  })

  test('once set is set: no second one for that moment, none for the past, and no rewriting', async () => {
    const body = { model: 'animatic', resolution: '768px', per_million: '1', effective_at: inAnHour() }
    const answers = await Promise.all(
      Array.from({ length: 10 }, () => operator.call('POST', '/v1/admin/prices', body)),
    )
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(9)
    const past = await operator.call('POST', '/v1/admin/prices', { ...body, effective_at: 1_700_000_000 })
    expect(past).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_value', param: 'effective_at' } },
    })
    await expect(
      api.context.db.query({ text: 'update price set micros_per_million = 1' }),
    ).rejects.toMatchObject({ code: '42501' })
  })
})

test('workers are listed with their pool, age, cost and what they run', async () => {
  await using fresh = await startTestApi()
  const their = operatorOf(fresh)
  const accountId = await their.account({ paid: '1' })
  const { key } = await their.key(accountId)
  const video = (await fresh.call('POST', '/v1/videos', SMALL, { key })).body.id
  await using worker = new HandWorker(fresh, { id: 'worker_a', slots: 2 })
  await worker.heartbeat([], { cost_per_hour_micros: '1990000', device: 'h100', vram_bytes: 80_000_000_000 })
  const attempt = await worker.fetch()
  await attempt.report({ type: 'taken', slot: 1 })
  await attempt.report({ type: 'progress', phase: 'denoise', step: 4, remaining_ms: 600 })
  const answer = await their.must('GET', '/v1/admin/workers')
  expectToMatch('listWorkers', answer)
  const running = {
    video_id: video,
    account_id: accountId,
    model: 'animatic',
    fence: 1,
    slot: 1,
    phase: 'denoise',
    step: 4,
    steps: 10,
    released: false,
    taken_at: expect.any(Number),
  }
  expect(answer.data).toEqual([
    {
      id: 'worker_a',
      object: 'worker',
      pool: 'hand',
      queue: 'hand',
      untaken: 0,
      connected: true,
      draining: false,
      slots: 2,
      device: 'h100',
      devices_per_slot: 1,
      vram_bytes: 80_000_000_000,
      models: ['animatic'],
      modes: ['i2v', 't2v'],
      loaded: [],
      limits: { frames_max: 129, pixels_max: 589_824, sequence_devices: 1 },
      heartbeat_at: expect.any(Number),
      heartbeat_age_seconds: expect.any(Number),
      cost_per_hour: money('1.99'),
      key_id: expect.stringMatching(/^key_/),
      running: [running],
    },
  ])
  await fresh.api.context.db.query({ text: "update worker set heartbeat_at = now() - interval '1 hour'" })
  const [silent] = (await their.must('GET', '/v1/admin/workers')).data
  expect(silent.connected).toBe(false)
  expect(silent.heartbeat_age_seconds).toBeGreaterThanOrEqual(3_600)
})

test('accounts and keys are listed in pages without a gap or a repeat, and changed field by field', async () => {
  await using fresh = await startTestApi()
  const their = operatorOf(fresh)
  const made: string[] = []
  for (let index = 0; index < 5; index += 1)
    made.unshift(await their.account({}, { name: `a${index}`, weight: 10 + index }))
  const seen: string[] = []
  for (let after = ''; ; ) {
    const page = await their.must('GET', `/v1/admin/accounts?limit=2${after}`)
    expectToMatch('listAccounts', page)
    seen.push(...page.data.map(({ id }: { id: string }) => id))
    if (!page.has_more) break
    after = `&after=${page.last_id}`
  }
  expect(seen.slice(0, 5)).toEqual(made)
  expect(seen).toHaveLength(6)

  const path = `/v1/admin/accounts/${made[0]}`
  expectToMatch('readAccount', await their.must('GET', path))
  expect(await their.must('PATCH', path, { queued_max: 5, unfinished_max: 9, running_max: 3 })).toMatchObject(
    { name: 'a4', weight: 14, queued_max: 5, unfinished_max: 9, running_max: 3 },
  )
  expect(await their.must('PATCH', path, { name: 'b' })).toMatchObject({
    name: 'b',
    weight: 14,
    queued_max: 5,
    unfinished_max: 9,
  })
  expect(await their.must('PATCH', path, { unfinished_max: null })).toMatchObject({
    name: 'b',
    unfinished_max: null,
    running_max: 3,
  })
  expect(await their.must('PATCH', path, { running_max: null })).toMatchObject({ running_max: null })
  const keys = [
    await their.key(made[0] ?? ''),
    await their.key(made[0] ?? '', { token_budget: 5, budget_interval: '30d' }),
  ].reverse()
  const first = await their.must('GET', `${path}/keys?limit=1`)
  const second = await their.must('GET', `${path}/keys?limit=1&after=${first.last_id}`)
  expect([first.data[0].id, first.has_more, second.data[0].id, second.has_more]).toEqual([
    keys[0]?.id,
    true,
    keys[1]?.id,
    false,
  ])
  expect(
    (await their.must('GET', '/v1/admin/keys')).data.map(
      ({ account_id }: { account_id: string | null }) => account_id,
    ),
  ).toContain(null)
  for (const [operation, answer] of [
    ['listAccountKeys', first],
    ['listKeys', await their.must('GET', '/v1/admin/keys')],
    ['createAccountKey', keys[0]],
    ['createOperatorKey', await their.must('POST', '/v1/admin/keys', { scope: 'worker' })],
    ['readAdminKey', await their.must('GET', `/v1/admin/keys/${keys[0]?.id}`)],
    ['changeKey', await their.must('PATCH', `/v1/admin/keys/${keys[0]?.id}`, { running_max: 1 })],
    ['revokeKey', await their.must('DELETE', `/v1/admin/keys/${keys[0]?.id}`)],
    ['creditAccount', await their.must('POST', `${path}/credit`, { amount: '1' })],
    ['refundAccount', await their.must('POST', `${path}/refund`)],
    ['changeAccount', await their.must('PATCH', path, {})],
    ['createAccount', await their.must('POST', '/v1/admin/accounts', { name: 'c' })],
    ['readAccountLedger', await their.must('GET', `${path}/ledger`)],
    ['readKey', (await fresh.call('GET', '/v1/key')).body],
    ['readUsage', (await fresh.call('GET', '/v1/usage')).body],
    ['readLedger', (await fresh.call('GET', '/v1/ledger')).body],
    ['readCredits', (await fresh.call('GET', '/v1/credits')).body],
  ] as const) {
    expectToMatch(operation, answer)
  }
})

test('an unknown and a malformed id are the same 404 on every call that takes one', async () => {
  for (const id of [UNKNOWN_ACCOUNT, 'key_01m84f0j8df20bh2fw7sqrp04k', 'nonsense', "' or 1=1", '%00']) {
    const account = `/v1/admin/accounts/${encodeURIComponent(id)}`
    const key = `/v1/admin/keys/${encodeURIComponent(id)}`
    for (const [method, path, body] of [
      ['GET', account],
      ['PATCH', account, { weight: 1 }],
      ['POST', `${account}/credit`, { amount: '1' }],
      ['POST', `${account}/refund`, {}],
      ['POST', `${account}/keys`, {}],
      ['GET', `${account}/keys`],
      ['GET', `${account}/ledger`],
      ['GET', key],
      ['PATCH', key, { name: 'a' }],
      ['DELETE', key],
    ] as const) {
      const answer = await operator.call(method, path, body)
      expect([answer.status, answer.body.error.code], `${method} ${path}`).toEqual([404, 'not_found'])
    }
  }
  for (const list of ['accounts', 'keys', 'audit']) {
    const answer = await operator.call('GET', `/v1/admin/${list}?after=nonsense`)
    expect([answer.status, answer.body.error.param], list).toEqual([404, 'after'])
  }
})

describe('bad input is a named 400 and changes nothing', () => {
  test.each([
    ['accounts', {}, 'name'],
    ['accounts', { name: '' }, 'name'],
    ['accounts', { name: ' ' }, 'name'],
    ['accounts', { name: 'a\u0000' }, 'name'],
    ['accounts', { name: 'a'.repeat(201) }, 'name'],
    ['accounts', { name: 'a', weight: 0 }, 'weight'],
    ['accounts', { name: 'a', weight: 1.5 }, 'weight'],
    ['accounts', { name: 'a', queued_max: -1 }, 'queued_max'],
    ['accounts', { name: 'a', queued_max: 1e15 }, 'queued_max'],
    ['accounts', { name: 'a', unfinished_max: '3' }, 'unfinished_max'],
    ['accounts', { name: 'a', running_max: -1 }, 'running_max'],
    ['accounts', { name: 'a', admin: true }, 'admin'],
    ['ACCOUNT/credit', {}, 'amount'],
    ['ACCOUNT/credit', { amount: 5 }, 'amount'],
    ['ACCOUNT/credit', { amount: '0' }, 'amount'],
    ['ACCOUNT/credit', { amount: '-1' }, 'amount'],
    ['ACCOUNT/credit', { amount: '1e3' }, 'amount'],
    ['ACCOUNT/credit', { amount: '0.0000001' }, 'amount'],
    ['ACCOUNT/credit', { amount: '1000000001' }, 'amount'],
    ['ACCOUNT/credit', { amount: '1', kind: 'gift' }, 'kind'],
    ['ACCOUNT/credit', { amount: '1', idempotency_key: '' }, 'idempotency_key'],
    ['ACCOUNT/credit', { amount: '1', idempotency_key: '\ud800' }, 'idempotency_key'],
    ['ACCOUNT/refund', { amount: '1' }, 'amount'],
    ['ACCOUNT/keys', { scopes: [] }, 'scopes'],
    ['ACCOUNT/keys', { scopes: ['admin'] }, 'scopes'],
    ['ACCOUNT/keys', { scopes: ['videos:read', 'worker'] }, 'scopes.1'],
    ['ACCOUNT/keys', { models: [] }, 'models'],
    ['ACCOUNT/keys', { models: ['sora-2'] }, 'models.0'],
    ['ACCOUNT/keys', { token_budget: -1 }, 'token_budget'],
    ['ACCOUNT/keys', { token_budget: 2 ** 60 }, 'token_budget'],
    ['ACCOUNT/keys', { budget_interval: 'week' }, 'budget_interval'],
    ['ACCOUNT/keys', { requests_per_minute: 0 }, 'requests_per_minute'],
    ['ACCOUNT/keys', { queued_max: -1 }, 'queued_max'],
    ['ACCOUNT/keys', { running_max: 1.5 }, 'running_max'],
    ['ACCOUNT/keys', { expires_at: 1_700_000_000 }, 'expires_at'],
    ['ACCOUNT/keys', { expires_at: 1_700_000_000, models: ['sora-2'] }, 'expires_at'],
    ['accounts/acct_01m84f0j8df20bh2fw7sqrp04k/keys', { expires_at: 1_700_000_000 }, 'expires_at'],
    ['keys', { scope: 'worker', expires_at: 1_700_000_000 }, 'expires_at'],
    ['ACCOUNT/keys', { expires_at: 1e300 }, 'expires_at'],
    ['keys', { scope: 'videos:read' }, 'scope'],
    ['prices', { model: 'sora-2', resolution: '256px', per_million: '1' }, 'model'],
    ['prices', { model: 'animatic', resolution: '512px', per_million: '1' }, 'resolution'],
    ['prices', { model: 'animatic', resolution: '256px', per_million: '1000000.000001' }, 'per_million'],
    ['prices', { model: 'animatic', resolution: '256px', per_million: '-1' }, 'per_million'],
    [
      'prices',
      { model: 'animatic', resolution: '256px', per_million: '1', effective_at: 253_402_300_800 },
      'effective_at',
    ],
  ])('POST %s %j', async (where, body, param) => {
    const accountId = (await api.call('GET', '/v1/key')).body.account_id
    const before = await operator.must('GET', '/v1/admin/audit')
    const answer = await operator.call(
      'POST',
      `/v1/admin/${where.replace('ACCOUNT', `accounts/${accountId}`)}`,
      body,
    )
    expect(answer.status).toBe(400)
    expect(answer.body.error).toMatchObject({ type: 'invalid_request_error', param })
    expect(answer.body.error.message).toContain(param)
    expect(await operator.must('GET', '/v1/admin/audit')).toEqual(before)
  })

  test.each([
    '/v1/admin/audit?action=x',
    '/v1/admin/audit?subject=%00',
    '/v1/admin/accounts?limit=0',
    '/v1/admin/keys?limit=101',
    '/v1/admin/accounts?after=a&after=b',
    '/v1/usage?from=yesterday',
    '/v1/usage?from=2026-02-30',
    '/v1/usage?to=0000-01-01',
    '/v1/usage?from=2026-02-02&to=2026-02-01',
    '/v1/usage?group_by=account',
    '/v1/usage?format=xml',
    '/v1/ledger?limit=x',
  ])('GET %s', async (path) => {
    const answer = await api.call('GET', path, undefined, {
      key: path.startsWith('/v1/admin') ? api.adminKey : api.key,
    })
    expect([answer.status, answer.body.error.type]).toEqual([400, 'invalid_request_error'])
  })
})
