import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { type DatabasePool, transaction } from '../../apps/api/src/db/database.ts'
import { lockOwned } from '../../apps/api/src/ledger/accounts.ts'
import { checkLedger } from '../../apps/api/src/ledger/check.ts'
import { refundUnused, topUp } from '../../apps/api/src/ledger/fund.ts'
import { readProof, storeProof } from '../../apps/api/src/ledger/proof-store.ts'
import { runSql } from '../../bench/rig/accounts.ts'
import { operatorOf } from '../support/operator.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi
let accountId: string
let key: string

beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.stop())
beforeEach(async () => {
  const operator = operatorOf(api)
  accountId = await operator.account({ paid: '1', trial: '0.001' })
  key = (await operator.key(accountId, { token_budget: 10_000_000, budget_interval: 'day' })).key
})

const db = () => api.context.db
const submit = async () => {
  const { body } = await api.call(
    'POST',
    '/v1/videos',
    { prompt: 'x', num_frames: 5, num_steps: 10 },
    { key },
  )
  return body.id as string
}
const cancel = (id: string) => api.call('POST', `/v1/videos/${id}/cancel`, undefined, { key })
const broken = (check: { violations: Record<string, bigint> }) =>
  Object.fromEntries(Object.entries(check.violations).filter(([, count]) => count > 0n))
/** The same database; tells each time that a check asks whether older transactions are over. */
const watched = (onAsk: () => void): DatabasePool =>
  new Proxy(db(), {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target)
      if (property !== 'query') return typeof value === 'function' ? value.bind(target) : value
      return async (statement: { text: string }) => {
        const result = await target.query(statement)
        if (statement.text.includes('pg_snapshot_xmin')) onAsk()
        return result
      }
    },
  })
/** As no program of ours can: past triggers, grants and constraints of rows. */
const tamper = (...statements: string[]) =>
  runSql(api.database.adminUrl, ['set session_replication_role = replica', ...statements])

test('a check goes on from what the one before has proven, and looks at what was added since', async () => {
  const first = await submit()
  await submit()
  expect(await checkLedger(db())).toMatchObject({ ok: true, provenAt: null })
  const nothing = await checkLedger(db(), { since: 'proven' })
  expect(nothing).toMatchObject({ ok: true, transfers: 0n, entries: 0n, provenAt: expect.any(Date) })
  await cancel(first)
  await submit()
  // A settlement that returns all, and a hold.
  expect(await checkLedger(db(), { since: 'proven' })).toMatchObject({ ok: true, transfers: 2n })
})

test('an entry that gets an older number and is committed later is looked at all the same', async () => {
  await checkLedger(db())
  const client = await db().connect()
  try {
    await client.query('begin')
    const funding = { accountId, currency: 'USD', amountMicros: 70n, idempotencyKey: `late:${accountId}` }
    await topUp(client, funding, api.context.systemAccounts)
    const operator = operatorOf(api)
    const other = await operator.account({ paid: '1' })
    const asksAgain = Promise.withResolvers<void>()
    let asked = 0
    const onAsk = () => {
      asked += 1
      if (asked === 2) asksAgain.resolve()
    }
    const checking = checkLedger(watched(onAsk), { since: 'proven' })
    // One that does not wait ends before the entry is there.
    await Promise.race([asksAgain.promise, checking])
    await client.query('commit')
    expect(await checking).toMatchObject({ ok: true })
    const { rows } = await db().query<{ amount: string }>({
      text: `select p.amount::text as amount
      from proven_sum p
      join ledger_account a on a.id = p.ledger_account_id
      where a.account_id = any ($1::text[]) and a.kind = 'customer'
      order by 1`,
      values: [[accountId, other]],
    })
    expect(rows.map(({ amount }) => amount)).toEqual(['1000000', '1000070'])
  } finally {
    client.release(true)
  }
})

test('a transaction that goes on for longer is not waited for, and nothing is proven past it', async () => {
  await checkLedger(db())
  const client = await db().connect()
  try {
    await client.query('begin')
    await lockOwned(client, accountId, 'USD')
    const operator = operatorOf(api)
    await operator.account({ paid: '1' })
    const before = await db().query({ text: 'select * from ledger_proof' })
    expect(await checkLedger(db(), { since: 'proven' })).toMatchObject({ ok: true, transfers: 1n })
    expect((await db().query({ text: 'select * from ledger_proof' })).rows).toEqual(before.rows)
    await client.query('rollback')
    expect(await checkLedger(db(), { since: 'proven' })).toMatchObject({ ok: true, transfers: 1n })
  } finally {
    client.release(true)
  }
})

test('pages of any size find the same', async () => {
  const [first, second] = [await submit(), await submit()]
  await cancel(first)
  const settle = `(select id from transfer where video_id = '${first}' and kind = 'settle')`
  await tamper(
    `update entry set amount = amount + 1 where transfer_id = ${settle} and amount > 0`,
    `update video set hold_micros = hold_micros + 1 where id = '${second}'`,
  )
  const whole = await checkLedger(db())
  for (const page of [1, 2, 3, 7]) expect(await checkLedger(db(), { page })).toEqual(whole)
  expect(broken(whole)).toEqual({
    // It returned trial credit and paid money.
    balances_that_differ_from_their_entries: 2n,
    transfers_that_do_not_sum_to_zero: 1n,
    holds_returned_elsewhere: 1n,
    holds_that_differ_from_their_video: 1n,
    hold_balances_that_differ_from_open_holds: 1n,
  })
  await tamper(
    `update entry set amount = amount - 1 where transfer_id = ${settle} and amount > 0`,
    `update video set hold_micros = hold_micros - 1 where id = '${second}'`,
  )
  expect(await checkLedger(db())).toMatchObject({ ok: true })
})

test('what breaks a rule after the last proof is found, and found again until it is mended', async () => {
  const videos = [await submit(), await submit(), await submit()]
  await checkLedger(db())
  for (const id of videos.slice(0, 2)) await cancel(id)
  const [ended = '', other = '', open = ''] = videos
  const cases: [string[], string[], string][] = [
    [
      [`update video set charged_micros = 1, charged_steps = 1 where id = '${ended}'`],
      [`update video set charged_micros = 0, charged_steps = 0 where id = '${ended}'`],
      'charges_that_differ_from_revenue',
    ],
    [
      [`update transfer set video_id = '${open}' where video_id = '${other}' and kind = 'settle'`],
      [`update transfer set video_id = '${other}' where video_id = '${open}' and kind = 'settle'`],
      'ended_videos_without_exactly_one_settle',
    ],
    [
      [
        `update ledger_account set balance = balance - 1 where kind = 'customer' and account_id = '${accountId}'`,
      ],
      [
        `update ledger_account set balance = balance + 1 where kind = 'customer' and account_id = '${accountId}'`,
      ],
      'balances_that_differ_from_their_entries',
    ],
    [
      [`update usage_sum set charged_micros = 5 where span = 'ever' and account_id = '${accountId}'`],
      [`update usage_sum set charged_micros = 0 where span = 'ever' and account_id = '${accountId}'`],
      'usage_that_differs_from_the_ledger',
    ],
  ]
  for (const [breakIt, mendIt, violation] of cases) {
    await tamper(...breakIt)
    for (const _ of ['once', 'again']) {
      const check = await checkLedger(db(), { since: 'proven' })
      expect(check.ok, violation).toBe(false)
      expect(check.violations[violation], violation).toBeGreaterThan(0n)
    }
    await tamper(...mendIt)
    expect(broken(await checkLedger(db(), { since: 'proven' })), violation).toEqual({})
  }
})

test('a check that began before another found something broken does not call it proven', async () => {
  const id = await submit()
  await cancel(id)
  await checkLedger(db())
  const before = await readProof(db())
  await tamper(`update video set charged_micros = 1, charged_steps = 1 where id = '${id}'`)
  expect(await checkLedger(db())).toMatchObject({ ok: false })
  await storeProof(db(), before, before, new Map())
  expect(await checkLedger(db(), { since: 'proven' })).toMatchObject({ ok: false, provenAt: null })
  await tamper(`update video set charged_micros = 0, charged_steps = 0 where id = '${id}'`)
  expect(await checkLedger(db())).toMatchObject({ ok: true })
})

test('from the beginning, sums and budgets are compared with the videos themselves', async () => {
  const id = await submit()
  await cancel(id)
  const ofKey = `where account_id = '${accountId}'`
  await tamper(
    `update video set ended_at = ended_at - interval '3 hours' where id = '${id}'`,
    `update usage_sum set starts_at = starts_at - interval '3 hours' ${ofKey} and span = 'hour'`,
    `update usage_sum u set starts_at = (
        select date_trunc('day', h.starts_at, 'UTC') from usage_sum h ${ofKey} and span = 'hour')
      ${ofKey} and span = 'day'`,
  )
  expect(await checkLedger(db())).toMatchObject({ ok: true })
  const open = await submit()
  const cases: [string, string, string][] = [
    [
      `update transfer set video_id = '${open}' where video_id = '${id}' and kind = 'settle'`,
      `update transfer set video_id = '${id}' where video_id = '${open}' and kind = 'settle'`,
      'unended_videos_with_a_settle',
    ],
    [
      `update usage_sum set cancelled = 2 ${ofKey} and span = 'hour'`,
      `update usage_sum set cancelled = 1 ${ofKey} and span = 'hour'`,
      'usage_sums_that_differ_from_their_videos',
    ],
    [
      `update usage_sum set tokens = 9 ${ofKey} and span = 'day'`,
      `update usage_sum set tokens = 0 ${ofKey} and span = 'day'`,
      'usage_sums_that_differ_from_their_hours',
    ],
    [
      'update key_budget set used_tokens = used_tokens + 1',
      'update key_budget set used_tokens = used_tokens - 1',
      'budgets_that_differ_from_their_videos',
    ],
  ]
  for (const [breakIt, mendIt, violation] of cases) {
    await tamper(breakIt)
    expect((await checkLedger(db())).violations[violation], violation).toBeGreaterThan(0n)
    await tamper(mendIt)
    expect(broken(await checkLedger(db())), violation).toEqual({})
  }
})

test('a hold or a transfer that is nobody’s, a settlement that keeps money, a failure that cost something and a refund of more than was paid are found by name', async () => {
  const [open, ended] = [await submit(), await submit()]
  await cancel(ended)
  await transaction(db(), (tx) =>
    refundUnused(
      tx,
      { accountId, currency: 'USD', idempotencyKey: `unused:${accountId}` },
      api.context.systemAccounts,
    ),
  )
  const holdOf = (from: string, to: string) =>
    `update transfer set video_id = '${to}' where video_id = '${from}' and kind = 'hold'`
  const settled = (micros: number) =>
    `update entry e set amount = e.amount + ${micros} from transfer t, ledger_account a
      where t.id = e.transfer_id and t.video_id = '${ended}' and t.kind = 'settle'
        and a.id = e.ledger_account_id and a.kind = 'hold'`
  const endedAs = (status: string, charged: number) =>
    `update video set status = '${status}', charged_micros = ${charged}, charged_steps = ${charged}
      where id = '${ended}'`
  const paidAs = (from: string, to: string) =>
    `update transfer set kind = '${to}'
      where kind = '${from}' and id in (
        select e.transfer_id
        from entry e
        join ledger_account a on a.id = e.ledger_account_id
        where a.account_id = '${accountId}' and a.kind = 'customer')`
  const cases: [string, string, string[]][] = [
    [
      holdOf(open, 'video_of_nobody'),
      holdOf('video_of_nobody', open),
      ['videos_without_exactly_one_hold', 'transfers_of_unknown_videos'],
    ],
    [settled(1), settled(-1), ['settles_that_differ_from_their_hold']],
    [endedAs('failed', 1), endedAs('cancelled', 0), ['failed_videos_that_were_charged']],
    [
      paidAs('top_up', 'trial_grant'),
      paidAs('trial_grant', 'top_up'),
      ['accounts_refunded_more_than_they_paid'],
    ],
  ]
  for (const [breakIt, mendIt, violations] of cases) {
    await tamper(breakIt)
    const check = await checkLedger(db())
    for (const violation of violations) expect(check.violations[violation], violation).toBeGreaterThan(0n)
    await tamper(mendIt)
    expect(broken(await checkLedger(db())), violations.join()).toEqual({})
  }
})
