import { formatMicros } from '@sluice/shared/money'
import fc from 'fast-check'
import Stripe from 'stripe'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { checkLedger } from '../../apps/api/src/ledger/check.ts'
import { collectOwed } from '../../apps/api/src/payments/collect-owed.ts'
import { receivePaymentEvent } from '../../apps/api/src/payments/receive.ts'
import { paymentEventOf } from '../../apps/api/src/payments/stripe-event.ts'
import type { RunningApi } from '../../apps/api/src/start-api.ts'
import { runSql } from '../../bench/rig/accounts.ts'
import { eventually } from '../support/eventually.ts'
import { gateDatabase } from '../support/gated-database.ts'
import { type Operator, operatorOf } from '../support/operator.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'
import {
  checkout,
  postStripe,
  reversal,
  STRIPE_SECRET,
  type StripeEvent,
  sendStripeEvent,
  stripeEvent,
} from '../support/stripe-events.ts'

const RUNS = Number(process.env.SLUICE_TEST_RUNS ?? 30)

let api: TestApi
let replica: RunningApi
let operator: Operator

beforeAll(async () => {
  const paymentLink = 'https://buy.stripe.com/abc?locale=en'
  api = await startTestApi({ stripe: { webhookSecret: STRIPE_SECRET, paymentLink } })
  replica = await api.replica()
  operator = operatorOf(api)
})
afterAll(() => api.stop())

const send = (event: StripeEvent, url = api.url) => sendStripeEvent(url, event)
const paidEvent = (session: Record<string, unknown>) => stripeEvent('checkout.session.completed', session)
const admin = (method: string, path: string, body?: unknown) =>
  api.call(method, path, body, { key: api.adminKey })
const account = async (id: string) => (await admin('GET', `/v1/admin/accounts/${id}`)).body
const payment = async (id: string) => {
  const { rows } = await api.context.db.query<Record<string, unknown>>({
    text: 'select * from payment where id = $1',
    values: [id],
  })
  return rows[0]
}
const transfers = async (accountId: string): Promise<[string, string][]> => {
  const { body } = await admin('GET', `/v1/admin/accounts/${accountId}/ledger?limit=100`)
  return body.data.map(({ kind, amount }: Record<string, string>) => [kind, amount])
}
const tamper = (...statements: string[]) =>
  runSql(api.database.adminUrl, ['set session_replication_role = replica', ...statements])

test('a paid checkout credits its account as paid money: once, however often it is said and at however many processes', async () => {
  const accountId = await operator.account()
  const session = checkout(accountId, 2_500)
  const event = paidEvent(session)
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) => send(event, index % 2 === 0 ? api.url : replica.url)),
  )
  for (const answer of answers)
    expect(answer).toMatchObject({ status: 200, body: { object: 'payment_event', result: 'credited' } })
  expect(new Set(answers.map(({ body }) => body.payment_id)).size).toBe(1)
  // Also by another event about the same checkout.
  expect(await send(stripeEvent('checkout.session.async_payment_succeeded', session))).toMatchObject({
    body: { result: 'credited' },
  })
  expect(await account(accountId)).toMatchObject({ paid: { amount: '25' }, trial: { amount: '0' } })
  expect(await transfers(accountId)).toEqual([['top_up', '25']])
  const { key } = await operator.key(accountId)
  const { body } = await api.call('GET', '/v1/payments', undefined, { key })
  expect(body.data).toEqual([
    expect.objectContaining({
      object: 'payment',
      status: 'credited',
      session: session.id,
      intent: session.payment_intent,
      account_id: accountId,
      paid: { amount: '25', currency: 'USD' },
      credited: { amount: '25', currency: 'USD' },
      owed: { amount: '0', currency: 'USD' },
      is_live: false,
    }),
  ])
})

test('each customer is told where to pay for their own account, where payments are taken', async () => {
  const accountId = await operator.account()
  const { key } = await operator.key(accountId)
  const { body } = await api.call('GET', '/v1/credits', undefined, { key })
  const link = 'https://buy.stripe.com/abc?locale=en&client_reference_id='
  expect(body.top_up_url).toBe(link + accountId)
})

test('what Stripe did not sign is refused and does nothing: another secret, other bytes, long ago, no signature', async () => {
  const accountId = await operator.account()
  const event = paidEvent(checkout(accountId, 2_500))
  const payload = JSON.stringify(event)
  const header = Stripe.webhooks.generateTestHeaderString({ payload, secret: STRIPE_SECRET })
  const refused = [
    await sendStripeEvent(api.url, event, { secret: 'whsec_somebody_elses_secret' }),
    await postStripe(api.url, payload.replace('2500', '250000'), { 'stripe-signature': header }),
    await sendStripeEvent(api.url, event, { timestamp: Math.floor(Date.now() / 1_000) - 301 }),
    await postStripe(api.url, payload, {}),
    await postStripe(api.url, payload, { 'stripe-signature': 'nonsense' }),
  ]
  for (const answer of refused) {
    expect(answer).toMatchObject({
      status: 401,
      body: { error: { code: 'invalid_signature', param: 'Stripe-Signature' } },
    })
  }
  expect(await transfers(accountId)).toEqual([])
  expect((await admin('GET', '/v1/admin/payments')).body.data[0]?.session).not.toBe(event.data.object.id)
  // The same bytes with their own signature.
  expect((await postStripe(api.url, payload, { 'stripe-signature': header })).status).toBe(200)
  expect(await account(accountId)).toMatchObject({ paid: { amount: '25' } })
})

test('without a secret no payments are taken', async () => {
  await using other = await startTestApi()
  expect(await sendStripeEvent(other.url, paidEvent(checkout('x', 1)))).toMatchObject({
    status: 404,
    body: { error: { code: 'not_found', message: expect.stringContaining('SLUICE_STRIPE_WEBHOOK_SECRET') } },
  })
})

test('what fails before its commit credits nothing, and the same event credits it once when it comes again', async () => {
  const accountId = await operator.account()
  const event = paidEvent(checkout(accountId, 700))
  await runSql(api.database.adminUrl, [
    `create function crash() returns trigger language plpgsql as $$ begin raise 'crash'; end $$`,
    `create constraint trigger crash after update on payment deferrable initially deferred
      for each row execute function crash()`,
  ])
  expect((await send(event)).status).toBe(500)
  await runSql(api.database.adminUrl, ['drop trigger crash on payment', 'drop function crash'])
  expect(await transfers(accountId)).toEqual([])
  expect(await send(event, replica.url)).toMatchObject({ status: 200, body: { result: 'credited' } })
  expect(await transfers(accountId)).toEqual([['top_up', '7']])
})

test('a slow way of paying credits when the money is there, and not when it never comes', async () => {
  const accountId = await operator.account()
  const slow = checkout(accountId, 1_000, { payment_status: 'unpaid' })
  expect(await send(paidEvent(slow))).toMatchObject({ body: { result: 'pending' } })
  expect(await transfers(accountId)).toEqual([])
  const paid = stripeEvent('checkout.session.async_payment_succeeded', { ...slow, payment_status: 'paid' })
  expect(await send(paid)).toMatchObject({ body: { result: 'credited' } })
  expect(await send(paidEvent(slow))).toMatchObject({ body: { result: 'credited' } })
  const bounced = checkout(accountId, 9_900, { payment_status: 'unpaid' })
  await send(paidEvent(bounced))
  const failed = stripeEvent('checkout.session.async_payment_failed', bounced)
  expect(await send(failed)).toMatchObject({ body: { result: 'failed' } })
  expect(await send(paidEvent(bounced))).toMatchObject({ body: { result: 'failed' } })
  expect(await transfers(accountId)).toEqual([['top_up', '10']])
  // The money came after all, and what came late is credited once.
  const late = stripeEvent('checkout.session.async_payment_succeeded', { ...bounced, payment_status: 'paid' })
  for (const event of [late, late, failed])
    expect(await send(event)).toMatchObject({ status: 200, body: { result: 'credited' } })
  expect(await transfers(accountId)).toEqual([
    ['top_up', '99'],
    ['top_up', '10'],
  ])
})

test('what Stripe cannot have meant is refused as such, and what it may mean at most is kept', async () => {
  const accountId = await operator.account()
  const session = checkout(accountId, 1)
  const intent = session.payment_intent
  const long = 'x'.repeat(256)
  const refund = (more: object) =>
    stripeEvent('refund.created', { ...reversal('re', intent, 1, 'succeeded'), ...more })
  const bads: [StripeEvent, string][] = [
    [{ ...paidEvent(session), id: long }, 'id'],
    [{ ...paidEvent(session), created: 2 ** 53 - 1 }, 'created'],
    [paidEvent({ ...session, id: long }), 'id'],
    [paidEvent({ ...session, id: 'a\0b' }), 'id'],
    [paidEvent({ ...session, id: '' }), 'id'],
    [paidEvent({ ...session, payment_intent: long }), 'payment_intent'],
    [paidEvent({ ...session, payment_intent: { id: '' } }), 'payment_intent'],
    [paidEvent({ ...session, amount_total: 2 ** 53 - 1 }), 'amount_total'],
    [paidEvent({ ...session, amount_total: 1e11 + 1 }), 'amount_total'],
    [paidEvent({ ...session, amount_total: 1e9 + 1, currency: 'jpy' }), 'amount_total'],
    [refund({ id: long }), 'id'],
    [refund({ payment_intent: long }), 'payment_intent'],
    [refund({ amount: 2 ** 53 - 1 }), 'amount'],
  ]
  for (const [event, field] of bads) {
    expect(await send(event), JSON.stringify(event).slice(0, 200)).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_value', message: expect.stringContaining(`: ${field}: `) } },
    })
  }
  expect(await transfers(accountId)).toEqual([])
  const most = checkout(accountId, 1e11, { id: 'x'.repeat(255) })
  expect(await send(paidEvent(most))).toMatchObject({ status: 200, body: { result: 'credited' } })
  await send(stripeEvent('refund.created', reversal('re', most.payment_intent, 1e11, 'succeeded')))
  expect(await account(accountId)).toMatchObject({ paid: { amount: '0' } })
  const nobody = checkout('a\0b', 1)
  expect(await send(paidEvent(nobody))).toMatchObject({ status: 200, body: { result: 'unassigned' } })
})

test('tax and shipping are no credit; free checkouts, those of other things and other events are left alone', async () => {
  const accountId = await operator.account()
  const taxed = checkout(accountId, 3_475, {
    total_details: { amount_discount: 0, amount_shipping: 500, amount_tax: 475 },
  })
  expect(await send(paidEvent(taxed))).toMatchObject({ body: { result: 'credited' } })
  const ignored = [
    paidEvent(checkout(accountId, 0, { payment_status: 'no_payment_required', payment_intent: null })),
    paidEvent(checkout(null, 500, { metadata: { sluice_account: 'none' } })),
    stripeEvent('invoice.paid', { id: 'in_1', object: 'invoice' }),
    stripeEvent('charge.dispute.created', reversal('dp', taxed.payment_intent, 3_475, 'needs_response')),
  ]
  for (const event of ignored)
    expect(await send(event)).toMatchObject({ status: 200, body: { result: 'ignored', payment_id: null } })
  const named = checkout(null, 100, { metadata: { sluice_account: accountId } })
  expect(await send(paidEvent(named))).toMatchObject({ body: { result: 'credited' } })
  expect(await account(accountId)).toMatchObject({ paid: { amount: '26' } })
  expect(await send(paidEvent({ id: 'cs_1' }))).toMatchObject({
    status: 400,
    body: { error: { code: 'invalid_value', message: expect.stringContaining('mode') } },
  })
})

test('a payment that nobody can be credited for is kept for the operator, who credits it once or puts it aside', async () => {
  const accountId = await operator.account()
  const cases: [Record<string, unknown>, string][] = [
    [checkout(null, 500), 'no_account'],
    [checkout('acct_01m84f0j8df20bh2fw7sqrp04k', 500), 'unknown_account'],
    [checkout(accountId, 500, { currency: 'eur' }), 'other_currency'],
    [checkout(accountId, 500, { mode: 'subscription', payment_intent: null }), 'subscription'],
  ]
  const ids: string[] = []
  for (const [session, problem] of cases) {
    const { body } = await send(paidEvent(session))
    expect(body.result).toBe('unassigned')
    expect(await payment(body.payment_id)).toMatchObject({ status: 'unassigned', problem })
    ids.push(body.payment_id)
  }
  expect(await transfers(accountId)).toEqual([])
  const [nobody = '', unknown = '', euros = '', subscription = ''] = ids
  const listed = (await admin('GET', '/v1/admin/payments?status=unassigned&limit=100')).body.data
  expect(listed.map(({ id }: { id: string }) => id)).toEqual(expect.arrayContaining(ids))

  const credit = (id: string, body: object) => admin('POST', `/v1/admin/payments/${id}/credit`, body)
  const both = await Promise.all([1, 2].map(() => credit(nobody, { account_id: accountId })))
  for (const answer of both)
    expect(answer).toMatchObject({ status: 200, body: { status: 'credited', account_id: accountId } })
  expect(await credit(nobody, { account_id: accountId, amount: '6' })).toMatchObject({ status: 409 })
  expect(await credit(euros, { account_id: accountId })).toMatchObject({
    status: 400,
    body: { error: { code: 'missing_parameter', param: 'amount', message: expect.stringContaining('EUR') } },
  })
  expect(await credit(euros, { account_id: accountId, amount: '5.75' })).toMatchObject({ status: 200 })
  expect(await credit(unknown, { account_id: 'acct_01m84f0j8df20bh2fw7sqrp04k' })).toMatchObject({
    status: 404,
  })
  expect(await admin('POST', `/v1/admin/payments/${subscription}/dismiss`)).toMatchObject({
    body: { status: 'dismissed' },
  })
  expect(await admin('POST', `/v1/admin/payments/${nobody}/dismiss`)).toMatchObject({ status: 409 })
  expect(await transfers(accountId)).toEqual([
    ['top_up', '5.75'],
    ['top_up', '5'],
  ])
  const audit = (await admin('GET', `/v1/admin/audit?subject=${accountId}&action=payment.credited`)).body.data
  expect(audit.map(({ details }: { details: unknown }) => details)).toEqual([
    { payment_id: euros, amount: '5.75', currency: 'USD' },
    { payment_id: nobody, amount: '5', currency: 'USD' },
  ])
  // What was paid back before anybody was credited is for nobody to look at.
  const back = reversal('re', String(cases[1]?.[0].payment_intent), 500, 'succeeded')
  await send(stripeEvent('refund.created', back))
  expect(await payment(unknown)).toMatchObject({ status: 'dismissed' })
})

test('an event that comes again credits an account that was opened meanwhile', async () => {
  const event = paidEvent(checkout('acct_01m84f0j8df20bh2fw7sqrp0zz', 300))
  expect(await send(event)).toMatchObject({ body: { result: 'unassigned' } })
  await runSql(api.database.adminUrl, [
    `insert into account (id, name) values ('acct_01m84f0j8df20bh2fw7sqrp0zz', 'late')`,
    `insert into ledger_account (kind, account_id, currency, balance)
      select unnest(array['customer', 'trial', 'hold']), 'acct_01m84f0j8df20bh2fw7sqrp0zz', 'USD', 0`,
  ])
  expect(await send(event)).toMatchObject({ body: { result: 'credited' } })
  expect(await account('acct_01m84f0j8df20bh2fw7sqrp0zz')).toMatchObject({ paid: { amount: '3' } })
})

test('what is refunded or disputed is taken back, and comes again when the refund fails or the dispute is won', async () => {
  const accountId = await operator.account()
  const taxed = checkout(accountId, 2_975, {
    total_details: { amount_discount: 0, amount_shipping: 0, amount_tax: 475 },
  })
  const { body } = await send(paidEvent(taxed))
  const part = reversal('re', taxed.payment_intent, 1_190, 'pending')
  await send(stripeEvent('refund.created', part))
  expect(await account(accountId)).toMatchObject({ paid: { amount: '15' } })
  await send(stripeEvent('refund.updated', { ...part, status: 'succeeded' }))
  expect(await account(accountId)).toMatchObject({ paid: { amount: '15' } })
  await send(stripeEvent('refund.failed', { ...part, status: 'failed' }))
  expect(await account(accountId)).toMatchObject({ paid: { amount: '25' } })
  const dispute = reversal('dp', taxed.payment_intent, 2_975, 'needs_response')
  await send(stripeEvent('charge.dispute.funds_withdrawn', dispute))
  expect(await account(accountId)).toMatchObject({ paid: { amount: '0' } })
  const later = Math.floor(Date.now() / 1_000) + 86_400
  await send(stripeEvent('charge.dispute.funds_reinstated', { ...dispute, status: 'won' }, later))
  expect(await account(accountId)).toMatchObject({ paid: { amount: '25' } })
  expect(await transfers(accountId)).toEqual([
    ['reinstatement', '25'],
    ['reversal', '-25'],
    ['reinstatement', '10'],
    ['reversal', '-10'],
    ['top_up', '25'],
  ])
  expect(await payment(body.payment_id)).toMatchObject({ reversed_micros: 0n, owed_micros: 0n, moves: 4 })
})

test('a refund in another currency than its payment takes nothing back, and stays that payment’s problem as long as it stands', async () => {
  const accountId = await operator.account()
  const session = checkout(accountId, 2_500)
  const { body } = await send(paidEvent(session))
  const shown = async () =>
    (await admin('GET', `/v1/admin/payments?account_id=${accountId}`)).body.data[0] as object
  expect(await shown()).toMatchObject({ status: 'credited', problem: null })
  const at = Math.floor(Date.now() / 1_000)
  const strange = { ...reversal('re', session.payment_intent, 100, 'succeeded'), currency: 'jpy' }
  await send(stripeEvent('refund.created', strange, at))
  expect(await account(accountId)).toMatchObject({ paid: { amount: '25' } })
  const problem = { id: body.payment_id, status: 'credited', problem: 'reversed_in_other_currency' }
  expect(await shown()).toMatchObject(problem)
  // Also when others come and go, and the same is said again.
  const part = reversal('re', session.payment_intent, 500, 'succeeded')
  await send(stripeEvent('refund.created', part, at))
  await send(stripeEvent('refund.failed', { ...part, status: 'failed' }, at + 1))
  await send(paidEvent(session))
  expect(await shown()).toMatchObject({ ...problem, taken_back: { amount: '0' } })
  await send(stripeEvent('refund.failed', { ...strange, status: 'failed' }, at + 1))
  expect(await shown()).toMatchObject({ status: 'credited', problem: null })
})

test('what is spent already is owed: taken once money is there again, from a video, the next payment or the operator', async () => {
  const accountId = await operator.account()
  const { key } = await operator.key(accountId)
  const first = checkout(accountId, 1_000)
  await send(paidEvent(first))
  const submitted = await api.call(
    'POST',
    '/v1/videos',
    { prompt: 'x', num_frames: 5, num_steps: 10 },
    { key },
  )
  const held = (await account(accountId)).held.amount
  expect(Number(held)).toBeGreaterThan(0)
  await send(stripeEvent('refund.created', reversal('re', first.payment_intent, 1_000, 'succeeded')))
  expect(await account(accountId)).toMatchObject({ paid: { amount: '0' }, held: { amount: held } })
  const owed = async () =>
    (await admin('GET', `/v1/admin/payments?account_id=${accountId}`)).body.data.at(-1).owed
  expect(await owed()).toEqual({ amount: held, currency: 'USD' })
  const metrics = await fetch(`${api.url}/metrics`, { headers: { authorization: `Bearer ${api.adminKey}` } })
  expect(await metrics.text()).toMatch(/^sluice_payments_owed\{currency="USD"\} 0\.\d+$/m)
  // The video gives its hold back; two processes collect at once.
  await api.call('POST', `/v1/videos/${submitted.body.id}/cancel`, undefined, { key })
  await Promise.all([collectOwed(api.context.internal), collectOwed(replica.context.internal)])
  expect(await owed()).toEqual({ amount: '0', currency: 'USD' })
  expect(await account(accountId)).toMatchObject({ paid: { amount: '0' }, held: { amount: '0' } })

  const second = checkout(accountId, 1_000)
  await send(paidEvent(second))
  // All of it is taken off by the operator's hand, who pays it back in another way ...
  const refund = await admin('POST', `/v1/admin/accounts/${accountId}/refund`, {})
  expect(refund.body).toMatchObject({ amount: '10' })
  // ... and a refund at the provider takes nothing more of it.
  await send(stripeEvent('refund.created', reversal('re', second.payment_intent, 1_000, 'succeeded')))
  expect(await account(accountId)).toMatchObject({ paid: { amount: '0' } })
  expect((await admin('GET', `/v1/admin/payments?account_id=${accountId}`)).body.data[0]).toMatchObject({
    owed: { amount: '0' },
    refunded: { amount: '10' },
    taken_back: { amount: '0' },
  })
})

/** A payment of 1 that is disputed while a video holds a part of it; what is owed of it then. */
async function owing(accountId: string): Promise<{ id: string; owed: bigint }> {
  const { key } = await operator.key(accountId)
  const session = checkout(accountId, 100)
  const { body } = await send(paidEvent(session))
  await api.call('POST', '/v1/videos', { prompt: 'x', num_frames: 5, num_steps: 10 }, { key })
  const dispute = reversal('dp', session.payment_intent, 100, 'needs_response')
  await send(stripeEvent('charge.dispute.funds_withdrawn', dispute))
  const owed = (await payment(body.payment_id))?.owed_micros as bigint
  expect(owed).toBeGreaterThan(0n)
  return { id: body.payment_id, owed }
}

test('the next payment pays first what is owed of the one before', async () => {
  const accountId = await operator.account()
  const { id, owed } = await owing(accountId)
  await send(paidEvent(checkout(accountId, 100)))
  expect(await payment(id)).toMatchObject({ owed_micros: 0n, reversed_micros: 1_000_000n })
  expect((await account(accountId)).paid.amount).toBe(formatMicros(1_000_000n - owed))
})

test('what is owed is taken before the operator’s refund pays anything out, also of credit with an expiry date', async () => {
  const expiresAt = Math.floor(Date.now() / 1_000) + 86_400
  for (const date of [{}, { expires_at: expiresAt }]) {
    const accountId = await operator.account()
    const { id, owed } = await owing(accountId)
    await admin('POST', `/v1/admin/accounts/${accountId}/credit`, { amount: '4', ...date })
    const refund = await admin('POST', `/v1/admin/accounts/${accountId}/refund`, {})
    expect(refund.body).toMatchObject({ amount: formatMicros(4_000_000n - owed), payments: [] })
    expect(await payment(id)).toMatchObject({ owed_micros: 0n, reversed_micros: 1_000_000n })
    expect(await account(accountId)).toMatchObject({ paid: { amount: '0' } })
  }
  expect(await checkLedger(api.context.db)).toMatchObject({ ok: true })
})

test('an account whose debt cannot be collected does not keep those behind it from paying theirs', async () => {
  const accountIds = [await operator.account(), await operator.account()].toSorted()
  const [first = '', second = ''] = accountIds
  const debts = new Map<string, string>()
  for (const accountId of accountIds) {
    debts.set(accountId, (await owing(accountId)).id)
    await admin('POST', `/v1/admin/accounts/${accountId}/credit`, { amount: '1' })
  }
  const owed = async (accountId: string) => (await payment(debts.get(accountId) ?? ''))?.owed_micros
  await runSql(api.database.adminUrl, [
    `create function crash() returns trigger language plpgsql as $$ begin raise 'crash'; end $$`,
    `create trigger crash before update on payment for each row
      when (new.account_id = '${first}') execute function crash()`,
  ])
  // As if no more were found at once.
  await expect(collectOwed(api.context.internal, null, 1)).rejects.toThrow('crash')
  expect(await owed(second)).toBe(0n)
  expect(await owed(first)).toBeGreaterThan(0n)
  await runSql(api.database.adminUrl, ['drop trigger crash on payment', 'drop function crash'])
  await collectOwed(api.context.internal)
  expect(await owed(first)).toBe(0n)
})

test('what the operator waives is taken from nothing that comes', async () => {
  const accountId = await operator.account()
  const { id, owed } = await owing(accountId)
  const waived = await admin('POST', `/v1/admin/payments/${id}/waive`)
  expect(waived.body).toMatchObject({ owed: { amount: '0' }, waived: { amount: formatMicros(owed) } })
  expect((await admin('POST', `/v1/admin/payments/${id}/waive`)).body).toEqual(waived.body)
  await send(paidEvent(checkout(accountId, 100)))
  expect((await account(accountId)).paid.amount).toBe('1')
  const audit = (await admin('GET', '/v1/admin/audit?action=payment.waived')).body.data
  expect(audit).toHaveLength(1)
})

test('the operator’s refund says what to refund of which payment, tax included', async () => {
  const accountId = await operator.account()
  const taxed = checkout(accountId, 2_975, {
    total_details: { amount_discount: 0, amount_shipping: 0, amount_tax: 475 },
  })
  await send(paidEvent(taxed))
  await admin('POST', `/v1/admin/accounts/${accountId}/credit`, { amount: '4' })
  const plain = checkout(accountId, 1_000)
  await send(paidEvent(plain))
  const order = { idempotency_key: 'all of it' }
  const refund = await admin('POST', `/v1/admin/accounts/${accountId}/refund`, order)
  expect(refund.body).toMatchObject({
    amount: '39',
    payments: [
      { intent: plain.payment_intent, amount: '10', currency: 'USD' },
      { intent: taxed.payment_intent, amount: '29.75', currency: 'USD' },
    ],
  })
  expect((await admin('POST', `/v1/admin/accounts/${accountId}/refund`, order)).body).toEqual(refund.body)
  for (const [intent, cents] of [
    [taxed.payment_intent, 2_975] as const,
    [plain.payment_intent, 1_000] as const,
  ])
    expect(
      await send(stripeEvent('refund.created', reversal('re', intent, cents, 'succeeded'))),
    ).toMatchObject({ status: 200, body: { result: 'credited' } })
  expect((await transfers(accountId)).map(([kind]) => kind)).toEqual(['refund', 'top_up', 'top_up', 'top_up'])
})

/** The events of one checkout of 10, by what happens. */
function eventsOf(accountId: string) {
  const session = checkout(accountId, 1_000)
  const refund = reversal('re', session.payment_intent, 300, 'succeeded')
  const failing = reversal('re', session.payment_intent, 200, 'pending')
  const dispute = reversal('dp', session.payment_intent, 600, 'needs_response')
  const at = Math.floor(Date.now() / 1_000)
  return {
    paid: [paidEvent(session)],
    unpaid: [paidEvent({ ...session, payment_status: 'unpaid' })],
    failed: [stripeEvent('checkout.session.async_payment_failed', { ...session, payment_status: 'unpaid' })],
    later: [stripeEvent('checkout.session.async_payment_succeeded', session)],
    refund: [stripeEvent('refund.created', refund, at), stripeEvent('refund.updated', refund, at + 1)],
    failing: [
      stripeEvent('refund.created', failing, at),
      stripeEvent('refund.failed', { ...failing, status: 'failed' }, at),
    ],
    dispute: [stripeEvent('charge.dispute.funds_withdrawn', dispute, at)],
    won: [stripeEvent('charge.dispute.funds_reinstated', { ...dispute, status: 'won' }, at + 5)],
  }
}

test('in whatever order and however often the events of a payment come, they come to the same', async () => {
  const kinds = ['paid', 'unpaid', 'failed', 'later', 'refund', 'failing', 'dispute', 'won'] as const
  const said = fc.shuffledSubarray([...kinds], { minLength: 1 })
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), said, fc.nat(3), async (scheduler, chosen, again) => {
      const accountId = await operator.account()
      const events = eventsOf(accountId)
      const all = chosen.flatMap((kind) => events[kind])
      // All at the same time, their statements in the scheduler's order; then some of them once more.
      const gated = gateDatabase(api.context.db, scheduler)
      const receive = (event: StripeEvent, context = api.context) =>
        receivePaymentEvent(context, paymentEventOf(event) ?? expect.fail(event.type))
      const settled = await gated.run(all.map((event) => receive(event, { ...api.context, db: gated.db })))
      expect(settled.filter(({ status }) => status === 'rejected')).toEqual([])
      for (const event of all.slice(0, again)) await receive(event)
      const isCredited = chosen.includes('paid') || chosen.includes('later')
      const isDisputed = chosen.includes('dispute') && !chosen.includes('won')
      const left = 10 - (chosen.includes('refund') ? 3 : 0) - (isDisputed ? 6 : 0)
      expect((await account(accountId)).paid.amount).toBe(String(isCredited ? left : 0))
    }),
    { numRuns: RUNS },
  )
  expect(await checkLedger(api.context.db)).toMatchObject({ ok: true })
})

test('a refund that arrives at the same time as its payment is not missed, also after another one', async () => {
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), async (scheduler) => {
      const accountId = await operator.account()
      const { paid, refund, dispute } = eventsOf(accountId)
      await send(refund[0] ?? expect.fail())
      const gated = gateDatabase(api.context.db, scheduler)
      const context = { ...api.context, db: gated.db }
      const calls = [...paid, ...dispute].map((event) =>
        receivePaymentEvent(context, paymentEventOf(event) ?? expect.fail(event.type)),
      )
      await gated.run(calls)
      expect((await account(accountId)).paid.amount).toBe('1')
    }),
    { numRuns: 15 },
  )
})

test('a payment that arrives while a dispute of it is being noted waits for that, and is taken back of', async () => {
  const accountId = await operator.account()
  const { paid, refund, dispute } = eventsOf(accountId)
  await send(refund[0] ?? expect.fail())
  const [holder, watcher] = [await api.context.db.connect(), await api.context.db.connect()]
  try {
    // Who works as another role than its login locks no table, and sees of no session what it waits for.
    for (const client of [holder, watcher]) await client.query('set role none')
    const waiting = (count: number) =>
      eventually(
        async () =>
          (
            await watcher.query(
              `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
            )
          ).rows.length,
        (found) => found === count,
      )
    const receive = (event: StripeEvent | undefined) =>
      receivePaymentEvent(api.context, paymentEventOf(event ?? expect.fail()) ?? expect.fail())
    await holder.query('begin')
    await holder.query('lock table payment_reversal in share mode')
    // It has found no payment, and cannot be noted yet.
    const disputed = receive(dispute[0])
    await waiting(1)
    const credited = receive(paid[0])
    await Promise.race([waiting(2), credited])
    await holder.query('rollback')
    await Promise.all([disputed, credited])
  } finally {
    holder.release(true)
    watcher.release(true)
  }
  expect((await account(accountId)).paid.amount).toBe('1')
})

test('the check of the ledger finds a payment that is credited twice, or not at all, or taken back of as it does not say', async () => {
  const accountId = await operator.account()
  const session = checkout(accountId, 1_000)
  const { body } = await send(paidEvent(session))
  await send(stripeEvent('refund.created', reversal('re', session.payment_intent, 100, 'succeeded')))
  const id = body.payment_id
  expect(await checkLedger(api.context.db)).toMatchObject({ ok: true })
  const broken = async () =>
    Object.entries((await checkLedger(api.context.db)).violations).flatMap(([name, count]) =>
      count > 0n ? [name] : [],
    )
  await tamper(`update payment set reversed_micros = 0 where id = '${id}'`)
  expect(await broken()).toEqual(['payments_that_differ_from_their_transfers'])
  await tamper(`update payment set reversed_micros = 1000000, credited_micros = 9000000 where id = '${id}'`)
  expect(await broken()).toEqual(['payments_that_differ_from_their_transfers'])
  await tamper(
    `update payment set credited_micros = 10000000 where id = '${id}'`,
    `insert into payment (id, provider, session, account_id, status, currency, paid_micros, net_micros,
      credited_micros, is_live, credited_at)
    values ('pay_other', 'stripe', 'cs_other', '${accountId}', 'credited', 'USD', 1, 1, 1, false, now())`,
  )
  expect(await broken()).toEqual(['credited_payments_without_a_transfer'])
  await tamper(`delete from payment where id = 'pay_other'`)
  expect(await checkLedger(api.context.db)).toMatchObject({ ok: true })
})
