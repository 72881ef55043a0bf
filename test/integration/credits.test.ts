import { newId } from '@sluice/shared/ids'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expireCredits } from '../../apps/api/src/accounts/expire-credits.ts'
import { type Database, transaction } from '../../apps/api/src/db/database.ts'
import { checkLedger } from '../../apps/api/src/ledger/check.ts'
import { expireLapsed } from '../../apps/api/src/ledger/expire.ts'
import { grantTrial, refundUnused, topUp } from '../../apps/api/src/ledger/fund.ts'
import { BalanceTooSmallError, holdOf, settle } from '../../apps/api/src/ledger/hold.ts'
import { listCredits } from '../../apps/api/src/ledger/list-credits.ts'
import { postAll } from '../../apps/api/src/ledger/post.ts'
import { type CreditKind, lockPurse, type Purse, readPurse } from '../../apps/api/src/ledger/purse.ts'
import { runSql } from '../../bench/rig/accounts.ts'
import { eventually } from '../support/eventually.ts'
import { type Operator, operatorOf } from '../support/operator.ts'
import { seedHolds } from '../support/seed-holds.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

/** What one small video is held at. */
const COST = '0.001008'
const DAY_MS = 86_400_000
const RUNS = Number(process.env.SLUICE_TEST_RUNS ?? 8)

let api: TestApi
let operator: Operator

beforeAll(async () => {
  // Expiries are posted by hand.
  api = await startTestApi({ timings: { expireEveryMs: 600_000 } })
  operator = operatorOf(api)
})
afterAll(() => api.stop())

const db = () => api.context.db
const system = () => api.context.systemAccounts
const inDays = (days: number) => Math.floor((Date.now() + days * DAY_MS) / 1_000)
const tenant = async () => {
  const id = await operator.account()
  return { id, key: (await operator.key(id)).key }
}
const grant = (id: string, amount: string, kind: CreditKind, days?: number) =>
  operator.must('POST', `/v1/admin/accounts/${id}/credit`, {
    amount,
    kind,
    ...(days === undefined ? {} : { expires_at: inDays(days) }),
  })
const submit = (key: string) =>
  api.call('POST', '/v1/videos', { prompt: 'x', num_frames: 5, num_steps: 10 }, { key })
const cancel = (key: string, id: string) => api.call('POST', `/v1/videos/${id}/cancel`, undefined, { key })
const credits = async (key: string) => (await api.call('GET', '/v1/credits', undefined, { key })).body
const left = async (key: string): Promise<Record<string, string>> => {
  const { expiring, trial, paid } = await credits(key)
  return Object.fromEntries([
    ...expiring.map((one: { id: string; left: { amount: string } }) => [one.id, one.left.amount]),
    ['trial', trial.amount],
    ['paid', paid.amount],
  ])
}
const asOwner = (...statements: string[]) => runSql(api.database.adminUrl, statements)
/** The date of a credit has passed, by a millisecond: of an account's, the one that expires first. */
const pass = (creditId: string) =>
  asOwner(`update credit set expires_at = now() - interval '1 millisecond' where id = '${creditId}'`)
const expire = (accountId: string) => expireCredits(api.context.internal, accountId)
const transfersOf = async (id: string): Promise<{ kind: string; amount: string }[]> =>
  (await operator.must('GET', `/v1/admin/accounts/${id}/ledger?limit=100`)).data

test('what expires sooner is spent first, promotional before paid of one date, and what never expires last', async () => {
  const { id, key } = await tenant()
  await grant(id, COST, 'paid')
  await grant(id, COST, 'promotional')
  const late = (await grant(id, COST, 'promotional', 30)).credit_id
  const at = inDays(10)
  const add = (kind: CreditKind) =>
    operator.must('POST', `/v1/admin/accounts/${id}/credit`, { amount: COST, kind, expires_at: at })
  const paid = (await add('paid')).credit_id
  const promotional = (await add('promotional')).credit_id
  const order = [promotional, paid, late, 'trial', 'paid']
  expect((await credits(key)).expiring).toMatchObject([
    {
      id: promotional,
      kind: 'promotional',
      granted: { amount: COST },
      left: { amount: COST },
      expires_at: at,
    },
    { id: paid, kind: 'paid' },
    { id: late, kind: 'promotional' },
  ])
  expect((await api.call('GET', '/v1/key', undefined, { key })).body.account).toMatchObject({
    balance: { amount: '0.00504' },
    next_expiry: { amount: '0.002016', expires_at: at },
  })
  const spent: string[] = []
  for (const next of order) {
    const before = await left(key)
    expect((await submit(key)).status).toBe(200)
    const after = await left(key)
    spent.push(...order.filter((one) => (before[one] ?? '0') !== (after[one] ?? '0')))
    // Of what never expires, `trial` and `paid` have the rest of theirs.
    expect(spent).toContain(next)
  }
  expect((await submit(key)).body.error.code).toBe('insufficient_balance')
  expect(await operator.ledgerIsOk()).toMatchObject({ ok: true })
})

test('a hold returns to the credit it was taken from, and what it took first is used up first', async () => {
  const { id, key } = await tenant()
  const first = (await grant(id, '0.000008', 'paid', 1)).credit_id
  const second = (await grant(id, '0.0005', 'promotional', 2)).credit_id
  await grant(id, '1', 'paid')
  const video = (await submit(key)).body.id
  expect(await left(key)).toEqual({ trial: '0', paid: '0.9995' })
  await cancel(key, video)
  expect(await left(key)).toEqual({
    [first]: '0.000008',
    [second]: '0.0005',
    trial: '0.0005',
    paid: '1.000008',
  })
  expect(await operator.ledgerIsOk()).toMatchObject({ ok: true })
})

test('from its date on nothing of a credit can be spent, and its expiry takes off what is left once, whoever posts it', async () => {
  const { id, key } = await tenant()
  const credit = (await grant(id, '3', 'promotional', 1)).credit_id
  const paid = (await grant(id, '2', 'paid', 2)).credit_id
  const video = (await submit(key)).body.id
  await pass(credit)
  expect(await credits(key)).toMatchObject({ balance: { amount: '2' }, trial: { amount: '0' } })
  expect((await operator.must('GET', `/v1/admin/accounts/${id}`)).balance.amount).toBe('2')
  await Promise.all(Array.from({ length: 5 }, () => expire(id)))
  const expiry = {
    kind: 'expiry',
    amount: '-2.998992',
    video_id: null,
    entries: [
      { account: 'trial', credit_id: credit, amount: '-2.998992' },
      { account: 'promotion', amount: '2.998992' },
    ],
  }
  expect((await transfersOf(id)).filter(({ kind }) => kind === 'expiry')).toMatchObject([expiry])
  // What comes back of a hold is of credit that has expired.
  await cancel(key, video)
  expect((await credits(key)).balance.amount).toBe('2')
  await expire(id)
  const expiries = (await transfersOf(id)).filter(({ kind }) => kind === 'expiry')
  expect(expiries).toMatchObject([{ amount: `-${COST}` }, expiry])
  // What was paid for becomes the installation's.
  await pass(paid)
  await expire(id)
  expect((await transfersOf(id))[0]).toMatchObject({
    kind: 'expiry',
    entries: [
      { account: 'customer', credit_id: paid },
      { account: 'expired', amount: '2' },
    ],
  })
  const listed = await operator.must('GET', `/v1/admin/accounts/${id}/credits`)
  expect(listed.data).toMatchObject([
    { id: paid, kind: 'paid', granted: { amount: '2' }, left: { amount: '0' }, expired: { amount: '2' } },
    { id: credit, left: { amount: '0' }, expired: { amount: '3' } },
  ])
  expect((await submit(key)).status).toBe(402)
  expect(await operator.ledgerIsOk()).toMatchObject({ ok: true })
})

test('expiries are posted by themselves, by whichever process comes first', async () => {
  await using own = await startTestApi({ timings: { expireEveryMs: 10 } })
  await own.replica()
  const ownOperator = operatorOf(own)
  const id = await ownOperator.account()
  const { credit_id } = await ownOperator.must('POST', `/v1/admin/accounts/${id}/credit`, {
    amount: '5',
    expires_at: inDays(1),
  })
  await runSql(own.database.adminUrl, [`update credit set expires_at = now() where id = '${credit_id}'`])
  const ledger = () => ownOperator.must('GET', `/v1/admin/accounts/${id}/ledger`)
  const { data } = await eventually(ledger, (page) => page.data.length > 1)
  expect(data).toMatchObject([
    { kind: 'expiry', amount: '-5' },
    { kind: 'top_up', amount: '5' },
  ])
  expect(await ownOperator.ledgerIsOk()).toMatchObject({ ok: true })
})

test('a refund is also of paid credit that has not expired, never of promotional or of expired credit', async () => {
  const { id, key } = await tenant()
  const gone = (await grant(id, '4', 'paid', 1)).credit_id
  await grant(id, '3', 'paid', 2)
  await grant(id, '2', 'promotional', 3)
  await grant(id, '1', 'paid')
  await pass(gone)
  const refund = await operator.must('POST', `/v1/admin/accounts/${id}/refund`, {})
  expect(refund).toMatchObject({ amount: '4', account: { paid: { amount: '0' }, trial: { amount: '2' } } })
  expect(await operator.must('POST', `/v1/admin/accounts/${id}/refund`, {})).toMatchObject({ amount: '0' })
  expect((await credits(key)).expiring).toHaveLength(1)
  expect(await operator.ledgerIsOk()).toMatchObject({ ok: true })
})

test('the same idempotency key adds credit once, and is refused for another date or a date that has passed', async () => {
  const { id } = await tenant()
  const at = inDays(7)
  const add = (more: object) =>
    operator.call('POST', `/v1/admin/accounts/${id}/credit`, {
      amount: '2',
      kind: 'promotional',
      expires_at: at,
      idempotency_key: 'spring',
      ...more,
    })
  const answers = await Promise.all(Array.from({ length: 20 }, () => add({})))
  expect(new Set(answers.map(({ body }) => `${body.transfer_id} ${body.credit_id}`)).size).toBe(1)
  expect(answers[0]?.body).toMatchObject({
    kind: 'promotional',
    expires_at: at,
    account: { trial: { amount: '2' } },
  })
  expect((await add({ kind: 'trial' })).status).toBe(200)
  for (const other of [{ expires_at: at + 1 }, { expires_at: undefined }, { kind: 'paid' }])
    expect((await add(other)).body.error.code).toBe('idempotency_conflict')
  const past = await add({ expires_at: inDays(-1), idempotency_key: 'other' })
  expect(past.body.error).toMatchObject({ code: 'invalid_value', param: 'expires_at' })
})

test('an account has at most a thousand credits with an expiry date', async () => {
  const { id } = await tenant()
  await asOwner(
    `insert into credit (id, account_id, kind, granted_micros, expires_at, is_open)
    select 'credit_' || n || '${id}', '${id}', 'paid', 1, now() + interval '1 day', true
    from generate_series(1, 1000) n`,
    `insert into ledger_account (kind, account_id, currency, balance, credit_id)
    select 'customer', account_id, 'USD', 1, id from credit where account_id = '${id}'`,
  )
  const more = { amount: '1', expires_at: inDays(1) }
  const refused = await operator.call('POST', `/v1/admin/accounts/${id}/credit`, more)
  expect(refused.body.error.code).toBe('state_conflict')
  await grant(id, '1', 'paid')
  await asOwner(
    `delete from ledger_account where account_id = '${id}' and credit_id is not null`,
    `delete from credit where account_id = '${id}'`,
  )
})

test('an API of the version before settles no hold on credit with an expiry date, and every other as before', async () => {
  const { id, key } = await tenant()
  await grant(id, COST, 'paid', 1)
  await grant(id, COST, 'paid')
  const videos = [(await submit(key)).body.id, (await submit(key)).body.id]
  const [refused, posted] = await Promise.all(
    videos.map((video) =>
      transaction(db(), async (tx) => {
        await tx.query({
          text: `insert into transfer (id, idempotency_key, kind, video_id) values ($1, $2, 'settle', $3)`,
          values: [newId('txfr'), `settle:${video}`, video],
        })
        throw new Error('it may')
      }).catch((error: Error) => error.message),
    ),
  )
  expect(refused).toContain('draws on credit with an expiry date')
  expect(posted).toBe('it may')
})

test('an expiry that an API of the version before posts is counted, so that the next has a key of its own', async () => {
  const { id, key } = await tenant()
  const credit = (await grant(id, '3', 'promotional', 1)).credit_id
  const video = (await submit(key)).body.id
  await pass(credit)
  await transaction(db(), async (tx) => {
    const [lapsed] = (await lockPurse(tx, id, 'USD')).lapsed
    if (lapsed === undefined) throw new Error('its date has passed')
    const postings = [
      { ledgerAccountId: lapsed.id, amountMicros: -lapsed.balanceMicros },
      { ledgerAccountId: system().promotion, amountMicros: lapsed.balanceMicros },
    ]
    const idempotencyKey = `expiry:${credit}:1`
    await postAll(tx, [{ kind: 'expiry', idempotencyKey, videoId: null, postings }])
  })
  await cancel(key, video)
  await expire(id)
  const listed = await operator.must('GET', `/v1/admin/accounts/${id}/credits`)
  expect(listed.data).toMatchObject([{ id: credit, left: { amount: '0' }, expired: { amount: '3' } }])
  expect(await operator.ledgerIsOk()).toMatchObject({ ok: true })
})

/** An API of its own, and an account whose credit with a date paid for so many holds and has it all again. */
async function withHolds(count: number) {
  const own = await startTestApi({ timings: { expireEveryMs: 600_000 } })
  const ownOperator = operatorOf(own)
  const accountId = await ownOperator.account()
  const add = (more: object) =>
    ownOperator.must('POST', `/v1/admin/accounts/${accountId}/credit`, { kind: 'paid', ...more })
  const creditId: string = (await add({ amount: '0.000001', expires_at: inDays(1) })).credit_id
  await add({ amount: '1' })
  await seedHolds(own.database.adminUrl, { creditId, count })
  const asOwner = (...statements: string[]) => runSql(own.database.adminUrl, statements)
  return { own, accountId, creditId, asOwner, [Symbol.asyncDispose]: () => own.stop() }
}

test('however much a credit paid for, its expiry and a list of credit read none of it', async () => {
  await using seeded = await withHolds(2_000)
  const { own, accountId, creditId } = seeded
  await seeded.asOwner(`update credit set expires_at = now() where id = '${creditId}'`)
  const rowsRead = async (tx: Database) => {
    const { rows } = await tx.query<{ read: bigint }>({
      text: `select sum(seq_tup_read + coalesce(idx_tup_fetch, 0))::bigint as read
      from pg_stat_xact_user_tables
      where relname in ('entry', 'transfer')`,
    })
    return Number(rows[0]?.read)
  }
  await transaction(own.context.db, async (tx) => {
    const before = await rowsRead(tx)
    const purse = await lockPurse(tx, accountId, 'USD')
    await expireLapsed(tx, purse, own.context.systemAccounts)
    await tx.query({ text: 'set constraints all immediate' })
    const listed = await listCredits(tx, accountId, { limit: 20 })
    expect(listed).toMatchObject([{ creditId, balanceMicros: 0n, expiredMicros: 1n }])
    // Those of the expiry, by whatever the commit checks and keeps.
    expect((await rowsRead(tx)) - before).toBeLessThan(50)
  })
})

test('credit that was empty and full again for each of many videos is checked in one pass', async () => {
  await using seeded = await withHolds(20_000)
  const { own, accountId, creditId } = seeded
  const passedOver = async () =>
    (await checkLedger(own.context.db)).violations.holds_that_pass_over_what_is_spent_before
  expect(await passedOver()).toBe(0n)
  const undated = `(select id from ledger_account
    where account_id = '${accountId}' and kind = 'customer' and credit_id is null)`
  await seeded.asOwner(
    'set session_replication_role = replica',
    `update entry set ledger_account_id = ${undated}
    where transfer_id in (select id from transfer where video_id like 'video_0000010000%')
      and ledger_account_id = (select id from ledger_account where credit_id = '${creditId}')`,
  )
  // Both of its parts, while the credit was there.
  expect(await passedOver()).toBe(2n)
})

test('the check finds what was done to credit behind its back', async () => {
  await using own = await startTestApi({ timings: { expireEveryMs: 600_000 } })
  const ownOperator = operatorOf(own)
  const id = await ownOperator.account()
  const { key } = await ownOperator.key(id)
  const add = (amount: string, days?: number) =>
    ownOperator.must('POST', `/v1/admin/accounts/${id}/credit`, {
      amount,
      ...(days === undefined ? {} : { expires_at: inDays(days) }),
    })
  const first = (await add('1', 1)).credit_id
  const second = (await add('1', 2)).credit_id
  await add('1')
  const submitted = async () =>
    (await own.call('POST', '/v1/videos', { prompt: 'x', num_frames: 5, num_steps: 10 }, { key })).body.id
  const [ended, open] = [await submitted(), await submitted()]
  await own.call('POST', `/v1/videos/${ended}/cancel`, undefined, { key })
  await runSql(own.database.adminUrl, [`update credit set expires_at = now() where id = '${first}'`])
  await expireCredits(own.context.internal, id)
  expect(await ownOperator.ledgerIsOk()).toMatchObject({ ok: true })

  const accountOf = (credit: string) => `(select id from ledger_account where credit_id = '${credit}')`
  const undated = `(select id from ledger_account
    where account_id = '${id}' and kind = 'customer' and credit_id is null)`
  const move = (video: string, kind: string, from: string, to: string) =>
    `update entry set ledger_account_id = ${to} where ledger_account_id = ${from}
      and transfer_id = (select id from transfer where video_id = '${video}' and kind = '${kind}')`
  const cases: [breakIt: string, mendIt: string, violation: string][] = [
    [
      `update credit set is_open = not is_open where id = '${second}'`,
      `update credit set is_open = not is_open where id = '${second}'`,
      'credits_that_differ_from_their_balance',
    ],
    [
      `update credit set granted_micros = granted_micros + 1 where id = '${second}'`,
      `update credit set granted_micros = granted_micros - 1 where id = '${second}'`,
      'credits_that_differ_from_their_grant',
    ],
    [
      `update credit set expiries = expiries + 1 where id = '${first}'`,
      `update credit set expiries = expiries - 1 where id = '${first}'`,
      'credits_that_differ_from_their_expiries',
    ],
    [
      `update credit set expired_micros = expired_micros - 1 where id = '${first}'`,
      `update credit set expired_micros = expired_micros + 1 where id = '${first}'`,
      'credits_that_differ_from_their_expiries',
    ],
    [
      move(ended, 'settle', accountOf(first), accountOf(second)),
      move(ended, 'settle', accountOf(second), accountOf(first)),
      'holds_returned_elsewhere',
    ],
    [
      move(open, 'hold', accountOf(first), undated),
      move(open, 'hold', undated, accountOf(first)),
      'holds_that_pass_over_what_is_spent_before',
    ],
    [
      `update credit set expires_at = expires_at + interval '1 hour' where id = '${first}'`,
      `update credit set expires_at = expires_at - interval '1 hour' where id = '${first}'`,
      'expiries_of_other_than_credit_past_its_date',
    ],
  ]
  for (const [breakIt, mendIt, violation] of cases) {
    const tamper = (sql: string) =>
      runSql(own.database.adminUrl, ['set session_replication_role = replica', sql])
    await tamper(breakIt)
    const { ok, violations } = await ownOperator.ledgerIsOk()
    expect(ok).toBe(false)
    expect(violations[violation]).toBeGreaterThan(0)
    await tamper(mendIt)
    expect(await ownOperator.ledgerIsOk()).toMatchObject({ ok: true })
  }
})

// ---- against a plain model ----

interface Source {
  place: number
  kind: CreditKind
  amount: bigint
}

/** An account as the words say it: sources in spending order, and holds with what they took from where. */
class Model {
  readonly sources = new Map<string, Source>()
  readonly holds = new Map<string, { amount: bigint; parts: [string, bigint][] }>()
  readonly expired = new Set<string>()

  inOrder(): [string, Source][] {
    return [...this.sources]
      .filter(([id]) => !this.expired.has(id))
      .sort(([a, one], [b, other]) => one.place - other.place || (a < b ? -1 : 1))
  }

  spendable(): [string, Source][] {
    return this.inOrder().filter(([, { amount }]) => amount > 0n)
  }

  add(id: string, source: Source): void {
    this.sources.set(id, { ...source, amount: (this.sources.get(id)?.amount ?? 0n) + source.amount })
  }

  hold(video: string, amount: bigint): boolean {
    const parts: [string, bigint][] = []
    let missing = amount
    for (const [id, source] of this.spendable()) {
      const part = source.amount < missing ? source.amount : missing
      missing -= part
      if (part > 0n) parts.push([id, part])
    }
    if (missing > 0n) return false
    for (const [id, part] of parts) this.give(id, -part)
    this.holds.set(video, { amount, parts })
    return true
  }

  settle(video: string, charge: bigint): void {
    let open = charge
    for (const [id, part] of this.holds.get(video)?.parts ?? []) {
      const used = part < open ? part : open
      open -= used
      this.give(id, part - used)
    }
    this.holds.delete(video)
  }

  give(id: string, amount: bigint): void {
    const source = this.sources.get(id)
    if (source !== undefined) source.amount += amount
  }
}

const step = fc.oneof(
  fc.record({
    do: fc.constant('grant' as const),
    kind: fc.constantFrom<CreditKind>('paid', 'promotional'),
    days: fc.option(fc.integer({ min: 1, max: 4 })),
    amount: fc.bigInt({ min: 1n, max: 50n }),
  }),
  fc.record({ do: fc.constant('hold' as const), amount: fc.bigInt({ min: 0n, max: 60n }) }),
  fc.record({ do: fc.constant('hold' as const), amount: fc.bigInt({ min: 0n, max: 60n }) }),
  fc.record({
    do: fc.constant('settle' as const),
    percent: fc.integer({ min: 0, max: 100 }),
    // of promises that were missed
    rebate: fc.constantFrom(0, 0, 40, 100),
  }),
  fc.record({ do: fc.constant('pass' as const) }),
  fc.record({ do: fc.constant('expire' as const) }),
  fc.record({ do: fc.constant('refund' as const) }),
)
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never

const balancesOf = (purse: Purse): Record<string, bigint> =>
  Object.fromEntries(
    [
      ...purse.dated.map(({ creditId, balanceMicros }) => [creditId, balanceMicros] as const),
      ['trial', purse.trial.balanceMicros] as const,
      ['customer', purse.customer.balanceMicros] as const,
    ].filter(([, balance]) => balance > 0n),
  )

/** Does a step to an account and to its model. */
async function take(one: Step, accountId: string, model: Model): Promise<void> {
  const currency = 'USD'
  switch (one.do) {
    case 'grant': {
      const funding = { accountId, currency, amountMicros: one.amount, idempotencyKey: newId('req') }
      const dated = one.days === null ? {} : { expiresAt: new Date(EPOCH + one.days * DAY_MS) }
      const fund = one.kind === 'paid' ? topUp : grantTrial
      await transaction(db(), (tx) => fund(tx, { ...funding, ...dated }, system()))
      const place = (one.days ?? 1_000) * 2 + (one.kind === 'paid' ? 1 : 0)
      const purse = await readPurse(db(), accountId, currency)
      const added = purse.dated.map(({ creditId }) => creditId).find((id) => !model.sources.has(id))
      const undated = one.kind === 'paid' ? 'customer' : 'trial'
      model.add(one.days === null ? undated : (added ?? ''), { place, kind: one.kind, amount: one.amount })
      return
    }
    case 'hold': {
      const video = newId('video')
      const held = await transaction(db(), async (tx) => {
        await insertVideo(tx, { id: video, accountId, holdMicros: one.amount })
        const purse = await lockPurse(tx, accountId, currency)
        await postAll(tx, [holdOf(video, one.amount, purse).transfer])
        return true
      }).catch((error: unknown) => {
        if (error instanceof BalanceTooSmallError) return false
        throw error
      })
      expect(held).toBe(model.hold(video, one.amount))
      return
    }
    case 'settle': {
      const [video, hold] = [...model.holds][0] ?? []
      if (video === undefined || hold === undefined) return
      const chargeMicros = (hold.amount * BigInt(one.percent)) / 100n
      const rebateMicros = (chargeMicros * BigInt(one.rebate)) / 100n
      await transaction(db(), async (tx) => {
        const settlement = { videoId: video, accountId, currency, chargeMicros, rebateMicros }
        await settle(tx, settlement, system())
        await tx.query({
          // Two tokens at this price and multiplier are what is left of the charge.
          text: `update video set status = 'cancelled', ended_at = now(), error_code = 'cancelled',
              charged_micros = $2::bigint, charged_steps = 1, price_micros_per_million = $2::bigint * 1000000,
              rebate_micros = $3, promise = 'missed', deliver_by = now(), missed_multiplier_bps = 5000
            where id = $1`,
          values: [video, chargeMicros - rebateMicros, rebateMicros],
        })
      })
      model.settle(video, chargeMicros - rebateMicros)
      return
    }
    case 'pass': {
      const next = model.inOrder().find(([, { place }]) => place < 100)
      if (next === undefined) return
      await pass(next[0])
      model.expired.add(next[0])
      return
    }
    case 'expire': {
      await expire(accountId)
      return
    }
    case 'refund': {
      const paid = model.spendable().filter(([, { kind }]) => kind === 'paid')
      const { amountMicros } = await transaction(db(), (tx) =>
        refundUnused(tx, { accountId, currency, idempotencyKey: newId('req') }, system()),
      )
      expect(amountMicros).toBe(paid.reduce((sum, [, { amount }]) => sum + amount, 0n))
      for (const [id, { amount }] of paid) model.give(id, -amount)
    }
  }
}

const EPOCH = Date.now()

async function insertVideo(
  tx: Database,
  { id, accountId, holdMicros }: { id: string; accountId: string; holdMicros: bigint },
): Promise<void> {
  await tx.query({
    text: `insert into video (
      id, account_id, key_id, model, service_tier, resolution, width, height, num_frames, num_steps,
      request, request_hash, video_tokens, currency, price_micros_per_million, multiplier_bps, hold_micros,
      execution_expires_at)
    select
      $1, $2, id, 'by-hand', 'standard', '256px', 16, 16, 5, 10,
      '{}', '', 2, 'USD', 0, 10000, $3,
      now() + interval '1 day'
    from api_key where account_id = $2`,
    values: [id, accountId, holdMicros],
  })
}

test('whatever is granted, held, charged, returned, refunded and expires, each unit is where a plain model has it, and the ledger is in order', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 20 }), async (steps) => {
      const { accountId } = await api.account(0n)
      const model = new Model()
      for (const one of steps) {
        await take(one, accountId, model)
        const expected = model.spendable().map(([id, { amount }]) => [id, amount])
        expect(balancesOf(await readPurse(db(), accountId, 'USD'))).toEqual(Object.fromEntries(expected))
      }
    }),
    { numRuns: RUNS, endOnFailure: true },
  )
  const { violations } = await checkLedger(db())
  expect(Object.entries(violations).filter(([, count]) => count > 0n)).toEqual([])
}, 60_000)
