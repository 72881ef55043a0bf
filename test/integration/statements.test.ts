import { newId } from '@sluice/shared/ids'
import { formatMicros, parseMicros } from '@sluice/shared/money'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { transaction } from '../../apps/api/src/db/database.ts'
import { checkLedger } from '../../apps/api/src/ledger/check.ts'
import { cancelledEnd } from '../../apps/api/src/videos/end.ts'
import { endVideo, lockVideo } from '../../apps/api/src/videos/transition.ts'
import { runSql } from '../../bench/rig/accounts.ts'
import { type Operator, operatorOf } from '../support/operator.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'
import { checkout, reversal, STRIPE_SECRET, sendStripeEvent, stripeEvent } from '../support/stripe-events.ts'

let api: TestApi
let operator: Operator

beforeAll(async () => {
  api = await startTestApi({ stripe: { webhookSecret: STRIPE_SECRET, paymentLink: undefined } })
  operator = operatorOf(api)
})
afterAll(() => api.stop())

const THIS_MONTH = new Date().toISOString().slice(0, 7)
const micros = (amount: string) =>
  amount.startsWith('-') ? -(parseMicros(amount.slice(1)) ?? 0n) : (parseMicros(amount) ?? 0n)
const admin = (path: string) => api.call('GET', path, undefined, { key: api.adminKey })
const statement = async (accountId: string, month: string) =>
  (await admin(`/v1/admin/accounts/${accountId}/statement?month=${month}`)).body
const has = async (accountId: string) => {
  const { balance, held } = (await admin(`/v1/admin/accounts/${accountId}`)).body
  return micros(balance.amount) + micros(held.amount)
}

/** A top-up as it was posted at another time. */
async function paidAt(accountId: string, amount: bigint, at: string): Promise<void> {
  const id = newId('txfr')
  await runSql(api.database.adminUrl, [
    `with t as (
      insert into transfer (id, idempotency_key, kind, created_at)
      values ('${id}', '${id}', 'top_up', '${at}')
    ),
    e as (
      insert into entry (transfer_id, ledger_account_id, amount)
      select '${id}', id, case kind when 'customer' then ${amount} else -${amount} end
      from ledger_account
      where kind = 'customer' and account_id = '${accountId}' or kind = 'funding' and currency = 'USD'
    )
    update ledger_account set balance = balance + ${amount}
    where kind = 'customer' and account_id = '${accountId}'`,
  ])
}

/** Submits a video, ends it after `steps` of 10, and dates its end. Returns what was charged. */
async function charged(key: string, steps: number, more: object = {}, at?: string): Promise<bigint> {
  const request = { prompt: 'x', num_frames: 5, num_steps: 10, ...more }
  const { body } = await api.call('POST', '/v1/videos', request, { key })
  await transaction(api.context.db, async (db) => {
    const video = await lockVideo(db, body.id)
    if (video === null) throw new Error(JSON.stringify(body))
    const end = cancelledEnd({ ...video, cancel_step: steps }, steps)
    await endVideo(db, video, end, api.context.systemAccounts)
  })
  if (at !== undefined)
    await runSql(api.database.adminUrl, [`update video set ended_at = '${at}' where id = '${body.id}'`])
  const { rows } = await api.context.db.query<{ charged: bigint }>({
    text: 'select charged_micros as charged from video where id = $1',
    values: [body.id],
  })
  return rows[0]?.charged ?? 0n
}

/** What a statement's parts come to beside its opening balance. */
const changeOf = (of: { movements: { amount: string }[]; charges: { cost: string }[] }) =>
  of.movements.reduce((sum, { amount }) => sum + micros(amount), 0n) -
  of.charges.reduce((sum, { cost }) => sum + micros(cost), 0n)

test('every month’s statement adds up to the micro-unit, begins where the one before ended, and ends with what the ledger has', async () => {
  const accountId = await operator.account()
  const { key } = await operator.key(accountId)
  await paidAt(accountId, 3_000_000n, '2025-09-30T23:59:59.999Z')
  await paidAt(accountId, 2_000_001n, '2025-10-01T00:00:00Z')
  const inOctober = await charged(key, 7, {}, '2025-10-31T23:59:59.999Z')
  const inNovember = [
    await charged(key, 3, { service_tier: 'flex' }, '2025-11-01T00:00:00Z'),
    await charged(key, 5, { service_tier: 'priority' }, '2025-11-20T12:00:00Z'),
    await charged(key, 5, { service_tier: 'priority', model: 'open-sora-2' }, '2025-11-21T12:00:00Z'),
  ]
  // Now: credit of both kinds, a payment that is refunded in part, a video that still holds, and all at once.
  const session = checkout(accountId, 1_000)
  await Promise.all([
    operator.must('POST', `/v1/admin/accounts/${accountId}/credit`, { amount: '0.5', kind: 'trial' }),
    sendStripeEvent(api.url, stripeEvent('checkout.session.completed', session)),
    ...[1, 2, 3].map((steps) => charged(key, steps)),
    api.call('POST', '/v1/videos', { prompt: 'x', num_frames: 5, num_steps: 10 }, { key }),
  ])
  const refund = reversal('re', session.payment_intent, 250, 'succeeded')
  await sendStripeEvent(api.url, stripeEvent('refund.created', refund))

  const { data: months } = (await api.call('GET', '/v1/statements', undefined, { key })).body
  expect(months.at(-1)).toMatchObject({ id: '2025-09', opening_balance: '0', moved: '3', charged: '0' })
  expect(months[0].id).toBe(THIS_MONTH)
  expect(months[0].is_final).toBe(false)
  let opening = 0n
  for (const month of months.toReversed()) {
    const one = await statement(accountId, month.id)
    expect(one).toMatchObject({ id: month.id, opening_balance: month.opening_balance, account_id: accountId })
    expect(micros(one.opening_balance)).toBe(opening)
    expect(micros(one.closing_balance)).toBe(opening + changeOf(one))
    expect(one.closing_balance).toBe(month.closing_balance)
    opening = micros(one.closing_balance)
    expect((await api.call('GET', `/v1/statements/${month.id}`, undefined, { key })).body).toEqual(one)
  }
  expect(opening).toBe(await has(accountId))

  const october = await statement(accountId, '2025-10')
  expect(october).toMatchObject({
    is_final: true,
    opening_balance: '3',
    movements: [{ kind: 'top_up', transfers: 1, amount: '2.000001' }],
    charges: [{ model: 'animatic', service_tier: 'standard', videos: 1, cost: formatMicros(inOctober) }],
  })
  const november = await statement(accountId, '2025-11')
  expect(november.movements).toEqual([])
  expect(
    november.charges.map(({ model, service_tier, cost }: Record<string, string>) => [
      model,
      service_tier,
      cost,
    ]),
  ).toEqual([
    ['animatic', 'flex', formatMicros(inNovember[0] ?? 0n)],
    ['animatic', 'priority', formatMicros(inNovember[1] ?? 0n)],
    ['open-sora-2', 'priority', formatMicros(inNovember[2] ?? 0n)],
  ])
  const now = await statement(accountId, THIS_MONTH)
  expect(now.movements).toEqual([
    { kind: 'top_up', transfers: 1, amount: '10' },
    { kind: 'trial_grant', transfers: 1, amount: '0.5' },
    { kind: 'reversal', transfers: 1, amount: '-2.5' },
  ])
  expect(now.transfers.map(({ kind }: { kind: string }) => kind).sort()).toEqual([
    'reversal',
    'top_up',
    'trial_grant',
  ])
  expect(await checkLedger(api.context.db)).toMatchObject({ ok: true })
})

test('as CSV the amounts above the closing balance add up to it; as a page each stands there and nothing is loaded', async () => {
  const accountId = await operator.account({ paid: '1234.5' }, { name: 'a <b>studio</b> & more' })
  const { key } = await operator.key(accountId)
  await charged(key, 9)
  await operator.must('POST', `/v1/admin/accounts/${accountId}/refund`, {})
  const get = (accept: string, query = '') =>
    fetch(`${api.url}/v1/statements/${THIS_MONTH}${query}`, {
      headers: { authorization: `Bearer ${key}`, accept },
    })
  const csv = await get('text/csv')
  expect(csv.headers.get('content-disposition')).toContain(`statement-${THIS_MONTH}.csv`)
  const [header, ...lines] = (await csv.text())
    .trim()
    .split('\r\n')
    .map((line) => line.split(','))
  expect(header).toContain('amount')
  const amounts = lines.map((line) => micros(line[7] ?? ''))
  expect(amounts.slice(0, -1).reduce((sum, each) => sum + each, 0n)).toBe(amounts.at(-1))
  expect(lines.map(([what]) => what)).toEqual([
    'opening_balance',
    'top_up',
    'refund',
    'charge',
    'closing_balance',
  ])

  const page = await get('text/html,application/xhtml+xml,*/*;q=0.8')
  expect(page.headers.get('content-type')).toContain('text/html')
  expect(page.headers.get('content-security-policy')).toMatch(/style-src 'sha256-/)
  const html = await page.text()
  expect(html).toContain('a &lt;b&gt;studio&lt;/b&gt; &amp; more')
  expect(html).toContain('>1,234.50')
  expect(html).not.toMatch(/<script|<img|<link|https?:/)
  expect(await (await get('*/*', '?format=html')).text()).toBe(html)
  expect((await get('*/*')).headers.get('content-type')).toContain('application/json')
})

test('a month that is none, or has not begun, is named; an account sees its own statements alone', async () => {
  const [mine, other] = [await operator.account({ paid: '1' }), await operator.account({ paid: '2' })]
  const { key } = await operator.key(mine)
  for (const month of ['2025-13', '2025-1', 'now', '2999-01']) {
    expect(await api.call('GET', `/v1/statements/${month}`, undefined, { key })).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_value', param: 'id', message: expect.stringContaining(month) } },
    })
    expect(await admin(`/v1/admin/accounts/${mine}/statement?month=${month}`)).toMatchObject({
      status: 400,
      body: { error: { param: 'month' } },
    })
  }
  expect((await admin('/v1/admin/accounts/acct_01m84f0j8df20bh2fw7sqrp04k/statement')).status).toBe(404)
  expect((await api.call('GET', `/v1/admin/accounts/${other}/statement`, undefined, { key })).status).toBe(
    403,
  )
  expect(
    (await api.call('GET', `/v1/statements/${THIS_MONTH}`, undefined, { key })).body.closing_balance,
  ).toBe('1')
  // Before there was any money.
  expect((await statement(mine, '2020-02')).closing_balance).toBe('0')
})

test('the check of the ledger finds a statement that is not what the ledger says', async () => {
  const accountId = await operator.account({ paid: '1' })
  const { key } = await operator.key(accountId)
  await charged(key, 9)
  expect(await checkLedger(api.context.db)).toMatchObject({ ok: true })
  const broken = async (column: string, table: string) => {
    const change = (by: number) =>
      runSql(api.database.adminUrl, [
        `update ${table} set ${column} = ${column} + ${by} where account_id = '${accountId}'`,
      ])
    await change(1)
    const { violations } = await checkLedger(api.context.db)
    await change(-1)
    return Object.entries(violations).flatMap(([name, found]) => (found > 0n ? [name] : []))
  }
  expect(await broken('charged_micros', 'charge_month')).toEqual([
    'statement_charges_that_differ_from_the_usage',
    'statements_that_differ_from_the_balances',
  ])
  expect(await broken('amount_micros', 'transfer_month')).toEqual([
    'statement_sums_that_differ_from_their_lines',
    'statements_that_differ_from_the_balances',
  ])
  expect(await broken('amount_micros', 'account_transfer')).toEqual([
    'statement_lines_that_differ_from_their_transfers',
    'statement_sums_that_differ_from_their_lines',
  ])
  expect(await checkLedger(api.context.db)).toMatchObject({ ok: true })
})
