import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { pause } from '@sluice/shared/pause'
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { transaction } from '../../apps/api/src/db/database.ts'
import type { NewVideo } from '../../apps/api/src/forecast/forecaster.ts'
import type { Purpose } from '../../apps/api/src/forecast/simulation-turns.ts'
import { checkLedger } from '../../apps/api/src/ledger/check.ts'
import { lockPurse } from '../../apps/api/src/ledger/purse.ts'
import { cancelledEnd, completedEnd, failedEnd } from '../../apps/api/src/videos/end.ts'
import { noteMissedPromises } from '../../apps/api/src/videos/missed-promises.ts'
import { endVideo, lockVideo } from '../../apps/api/src/videos/transition.ts'
import { runSql } from '../../bench/rig/accounts.ts'
import { eventually } from '../support/eventually.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { type Operator, operatorOf } from '../support/operator.ts'
import { type Answer, callJson, startTestApi, type TestApi } from '../support/start-api.ts'
import { createTestDatabase } from '../support/test-database.ts'

/** 504 tokens a step, at the first price of 0.2 per million. */
const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }
const COST = { standard: '0.001008', priority: '0.001512', flex: '0.000504' }

let api: TestApi
let operator: Operator
let accountId: string
let call: (method: string, path: string, body?: unknown) => Promise<Answer>

beforeAll(async () => {
  api = await startTestApi({ webhookAllowHosts: new Set(['127.0.0.1']) })
  operator = operatorOf(api)
})
afterAll(() => api.stop())
beforeEach(async () => {
  ;({ accountId, call } = await tenant(api))
})

/** An account whose videos may be promised a time. */
async function tenant(of: TestApi, money: { paid: string; trial?: string } = { paid: '1' }) {
  const id = await operatorOf(of).account(money, { promises: true })
  const { key } = await operatorOf(of).key(id)
  const ofKey: typeof call = (method, path, body) => callJson(of.url, key, method, path, body)
  return { accountId: id, key, call: ofKey }
}

const sql = async (text: string, values: unknown[] = []) =>
  (await api.context.db.query<Record<string, string>>({ text, values })).rows
const asOwner = (...statements: string[]) => runSql(api.database.adminUrl, statements)
/** As if that time had passed. */
const pass = (id: string, seconds: number) =>
  asOwner(`update video set deliver_by = deliver_by - ${seconds} * interval '1 second' where id = '${id}'`)
/** What a worker of these tests takes for a video of SMALL: a second a step. */
const learnPace = (of: TestApi) =>
  runSql(of.database.adminUrl, [
    `insert into pace
      select 'hand', 'animatic', v.width, v.height, v.num_frames, 1000, 0, 50
      from (select 336 as width, 192 as height, 5 as num_frames) v`,
  ])
/** A video with a promise, put past admission: what is tested is what becomes of it. */
async function promised(tier = 'standard', fields: object = {}): Promise<string> {
  const { body, status } = await call('POST', '/v1/videos', { ...SMALL, ...fields, service_tier: tier })
  expect(status).toBe(200)
  await asOwner(`update video set deliver_by = now() + interval '1 hour', promise = 'given',
      missed_multiplier_bps = 5000
    where id = '${body.id}'`)
  return body.id
}
const read = async (id: string) => (await call('GET', `/v1/videos/${id}`)).body
type Ending = 'completed' | 'failed' | 'cancelled'
/** Ends a video as a worker's report does, after so many steps. */
const end = (id: string, how: Ending, steps = 10) =>
  transaction(api.context.db, async (db) => {
    const video = await lockVideo(db, id)
    if (video === null) throw new Error(`no video ${id}`)
    const ends = {
      completed: completedEnd(video, 'videos/none'),
      failed: failedEnd({ code: 'internal', message: 'a test' }),
      cancelled: cancelledEnd({ ...video, cancel_step: steps }, steps),
    }
    await endVideo(db, video, ends[how], api.context.systemAccounts)
  })
const dispatched = (id: string) =>
  asOwner(`update video set status = 'dispatched', fence = 1, pool = 'none' where id = '${id}'`)
const MAIN = fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url))
/** `npx sluice quote` for a video that is asked for within so many seconds. */
const sluiceQuote = (url: string, key: string, seconds: string) =>
  new Promise<{ code: number; out: string }>((resolve) => {
    const args = [MAIN, 'quote', 'a boat', '--frames', '5', '--steps', '10', '--max-wait', seconds]
    const env = { PATH: process.env.PATH ?? '', SLUICE_API_KEY: key, SLUICE_BASE_URL: `${url}/v1` }
    const child = execFile(process.execPath, args, { env }, (_error, out, err) =>
      resolve({ code: child.exitCode ?? -1, out: out + err }),
    )
  })
const events = async (id: string) =>
  (await sql(`select type from webhook_event where subject_id = $1 order by type`, [id])).map(
    ({ type }) => type,
  )

test('no time is promised to an account until its operator turns that on, whether quoted or submitted', async () => {
  const request = { ...SMALL, max_wait: 600 }
  const off = await operator.account({ paid: '1' })
  const { key } = await operator.key(off)
  for (const path of ['/v1/videos/quote', '/v1/videos']) {
    const { status, body } = await callJson(api.url, key, 'POST', path, request)
    expect([status, body.error.code, body.error.param]).toEqual([403, 'promises_off', 'max_wait'])
  }
  const changed = await operator.must('PATCH', `/v1/admin/accounts/${off}`, { promises: true })
  expect(changed.promises).toBe(true)
  expect((await callJson(api.url, key, 'POST', '/v1/videos/quote', request)).status).toBe(200)
  const { data } = await operator.must('GET', `/v1/admin/audit?limit=1`)
  expect(data[0]).toMatchObject({ action: 'account.changed', details: { promises: true } })
})

test('a time that is never promised is named with its field, in a quote as in a submission', async () => {
  const nowSeconds = Math.floor(Date.now() / 1_000)
  const bads: [object, string][] = [
    [{ deliver_by: nowSeconds + 60, max_wait: 60 }, 'max_wait'],
    [{ max_wait: 60, service_tier: 'flex' }, 'max_wait'],
    [{ deliver_by: nowSeconds + 60, service_tier: 'flex' }, 'deliver_by'],
    [{ deliver_by: nowSeconds - 1 }, 'deliver_by'],
    [{ deliver_by: 0 }, 'deliver_by'],
    [{ deliver_by: -1 }, 'deliver_by'],
    [{ deliver_by: 1e15 }, 'deliver_by'],
    [{ deliver_by: '2026-11-27T04:00:00Z' }, 'deliver_by'],
    [{ max_wait: 0 }, 'max_wait'],
    [{ max_wait: 1.5 }, 'max_wait'],
    [{ max_wait: 60, execution_expires_after: 59 }, 'max_wait'],
    [{ deliver_by: nowSeconds + 86_500 }, 'deliver_by'],
  ]
  for (const [fields, param] of bads) {
    for (const path of ['/v1/videos/quote', '/v1/videos']) {
      const { status, body } = await call('POST', path, { ...SMALL, ...fields })
      expect([status, body.error.code, body.error.param], JSON.stringify(fields)).toEqual([
        400,
        'invalid_value',
        param,
      ])
    }
  }
})

test('a quote says whether the time can be kept, at which tier and for how much; a submission that is promised one that cannot is refused, holds nothing and hears which tier could', async () => {
  await using alone = await startTestApi()
  const { call: ask, accountId: owner, key: ownKey } = await tenant(alone)
  const asked = { ...SMALL, max_wait: 100 }
  const quote = async (fields: object = {}) =>
    (await ask('POST', '/v1/videos/quote', { ...asked, ...fields })).body.promise
  // Nobody is there to make it.
  expect(await quote()).toMatchObject({ can_be_kept: false, service_tier: null })
  await using worker = new HandWorker(alone)
  await learnPace(alone)
  await worker.heartbeat()
  const free = await eventually(quote, (promise) => promise.can_be_kept)
  expect(free).toMatchObject({
    service_tier: 'standard',
    tiers: [
      {
        service_tier: 'standard',
        can_be_kept: true,
        cost: { amount: COST.standard },
        credit_if_missed: { amount: '0.000504' },
      },
      {
        service_tier: 'priority',
        can_be_kept: true,
        cost: { amount: COST.priority },
        credit_if_missed: { amount: '0.001008' },
      },
    ],
  })
  expect(free.deliver_by - Math.floor(Date.now() / 1_000)).toBeGreaterThan(90)
  expect(await quote({ max_wait: undefined })).toBeNull()
  // Twenty of its own before it, ten seconds each.
  for (let video = 0; video < 20; video += 1) await ask('POST', '/v1/videos', SMALL)
  const busy = await eventually(quote, (promise) => !promise.can_be_kept)
  expect(busy).toMatchObject({
    service_tier: 'priority',
    tiers: [{ can_be_kept: false }, { service_tier: 'priority', can_be_kept: true }],
  })
  const told = await sluiceQuote(alone.url, ownKey, '100')
  expect(told).toMatchObject({ code: 1 })
  expect(told.out).toContain(
    `UTC cannot be promised with --tier standard: ${COST.standard} USD, of which 0.000504 is given back`,
  )
  expect(told.out).toContain('UTC can be promised with --tier priority')
  expect((await sluiceQuote(alone.url, ownKey, '86400')).code).toBe(0)
  const before = (await operatorOf(alone).must('GET', `/v1/admin/accounts/${owner}`)).held
  const refused = await ask('POST', '/v1/videos', asked)
  expect(refused.status).toBe(409)
  expect(refused.headers.get('x-should-retry')).toBe('false')
  expect(refused.body.error).toMatchObject({
    code: 'cannot_be_promised',
    param: 'max_wait',
    message: expect.stringMatching(
      /^max_wait is 100: with service_tier standard it would come within \d+ s .* service_tier priority can promise it\.$/,
    ),
  })
  expect((await operatorOf(alone).must('GET', `/v1/admin/accounts/${owner}`)).held).toEqual(before)
  const taken = await ask('POST', '/v1/videos', { ...asked, service_tier: 'priority' })
  expect(taken.body.promise).toEqual({
    deliver_by: taken.body.created_at + 100,
    state: 'given',
    credit: { amount: '0', currency: 'USD' },
  })
  const read = await ask('GET', `/v1/videos/${taken.body.id}`)
  expect(read.body.promise).toEqual(taken.body.promise)
})

test('of a burst of promises no more are given than can be kept', async () => {
  await using alone = await startTestApi()
  const [{ call: ask }, { call: askToo }] = [await tenant(alone), await tenant(alone)]
  await using worker = new HandWorker(alone)
  await learnPace(alone)
  await worker.heartbeat()
  const asked = { ...SMALL, deliver_by: Math.floor(Date.now() / 1_000) + 35 }
  await eventually(
    () => ask('POST', '/v1/videos/quote', asked),
    ({ body }) => body.promise?.can_be_kept === true,
  )
  // Forecasts that take their time: meanwhile others ask.
  const { forecaster } = alone.context
  const ofPromised = forecaster.ofPromised.bind(forecaster)
  forecaster.ofPromised = async (...asked) => {
    const forecasts = await ofPromised(...asked)
    await pause(20)
    return forecasts
  }
  const answers = await Promise.all(
    Array.from({ length: 24 }, (_, index) => (index % 2 === 0 ? ask : askToo)('POST', '/v1/videos', asked)),
  )
  const statuses = answers.map(({ status }) => status)
  const given = statuses.filter((status) => status === 200).length
  // Of ten seconds each, three fit.
  expect(given).toBeGreaterThan(0)
  expect(given).toBeLessThanOrEqual(3)
  expect(statuses.filter((status) => status === 409)).toHaveLength(24 - given)
})

/** A video of SMALL as a forecast sees it. */
function headOf(account: string, fields: Partial<NewVideo> = {}): NewVideo {
  const standing = { weight: 100, account_running_max: null, key_running_max: null }
  const size = { resolution: '256px', width: 336, height: 192, num_frames: 5, num_steps: 10 }
  const made = { model: 'animatic', capability: 'animatic', video_tokens: 504n, ...size }
  const rest = { expires_in_ms: 86_400_000, multiplier_bps_max: null, not_before_in_ms: 0 }
  const owned = { account_id: account, key_id: `key_of_${account}`, service_tier: 'standard' as const }
  return { ...owned, ...standing, ...made, ...rest, ...fields }
}

test('who quotes times without end keeps only itself waiting, and a promise for one of its quotes at most', async () => {
  await using alone = await startTestApi()
  await using worker = new HandWorker(alone)
  await learnPace(alone)
  await worker.heartbeat()
  const { forecaster } = alone.context
  // Not queued yet: as long as it is not, each quote is simulated for itself.
  forecaster.notePromised('video_1', headOf('acct_1'))
  const answered: string[] = []
  const ask = async (account: string, purpose: Purpose) => {
    await forecaster.ofPromised([headOf(account)], purpose)
    answered.push(account)
  }
  const crowd = ['crowd 1', 'crowd 2', 'crowd 3', 'crowd 4', 'crowd 5']
  const asked = Array.from({ length: 6 }, () => crowd).flatMap((accounts) =>
    accounts.map((account) => ask(account, 'look')),
  )
  await Promise.all([...asked, ask('looks', 'look'), ask('is promised', 'promise')])
  expect(answered).toHaveLength(32)
  expect(answered.indexOf('is promised')).toBeLessThanOrEqual(1)
  // After the promise, one of each account, and another of the first, which found nobody there.
  expect(answered.indexOf('looks')).toBeLessThanOrEqual(1 + crowd.length + 1)
})

/** A worker's ten seconds a video, and a time that four such videos leave to nobody. */
const CROWDED = { ...SMALL, max_wait: 45 }

/**
 * Submits for a tenant what asks for a time, several times at once, and lets `change` happen once as many
 * are promised one as can be, before any of them is queued.
 */
async function crowd(
  of: TestApi,
  { accountId: owner, key }: Pick<Awaited<ReturnType<typeof tenant>>, 'accountId' | 'key'>,
  { change, headers }: { change: string; headers: () => Record<string, string> },
): Promise<Answer[]> {
  const { call: look } = await tenant(of)
  const canBeKept = (wanted: boolean) =>
    eventually(
      () => look('POST', '/v1/videos/quote', CROWDED),
      ({ body }) => body.promise?.can_be_kept === wanted,
    )
  await canBeKept(true)
  const asked = { ...CROWDED, service_tier: 'priority' }
  const answers = await transaction(of.context.db, async (db) => {
    await lockPurse(db, owner, 'USD')
    const sent = Array.from({ length: 8 }, () =>
      callJson(of.url, key, 'POST', '/v1/videos', asked, headers()),
    )
    await canBeKept(false)
    await runSql(of.database.adminUrl, [change])
    return sent
  })
  return Promise.all(answers)
}

test('what is promised a time and refused in the end uses up no promises of others', async () => {
  await using alone = await startTestApi()
  const other = await tenant(alone)
  await using worker = new HandWorker(alone)
  await learnPace(alone)
  await worker.heartbeat()
  const change = `update account set unfinished_max = 0 where id = '${other.accountId}'`
  const answers = await crowd(alone, other, { change, headers: () => ({}) })
  expect(answers.filter(({ status }) => status === 429).length).toBeGreaterThan(1)
  expect(answers.filter(({ status }) => status === 200)).toEqual([])
  const { call: ask } = await tenant(alone)
  expect((await ask('POST', '/v1/videos', CROWDED)).status).toBe(200)
})

test('repeats that come at the same time use up one promise', async () => {
  await using alone = await startTestApi()
  const other = await tenant(alone)
  await using worker = new HandWorker(alone)
  await learnPace(alone)
  await worker.heartbeat()
  const headers = () => ({ 'idempotency-key': 'once' })
  const answers = await crowd(alone, other, { change: 'select', headers })
  const ids = answers.flatMap(({ status, body }) => (status === 200 ? [body.id] : []))
  expect(ids.length).toBeGreaterThan(1)
  expect(new Set(ids).size).toBe(1)
  const { call: ask } = await tenant(alone)
  expect((await ask('POST', '/v1/videos', CROWDED)).status).toBe(200)
})

test('money is looked at before a promise is: who has none learns that, and nothing is simulated', async () => {
  await using alone = await startTestApi()
  const { call: askPoor } = await tenant(alone, { paid: '0.000001' })
  // Nobody is there to make it, so that it could not be promised either.
  const { status, body } = await askPoor('POST', '/v1/videos', { ...SMALL, max_wait: 45 })
  expect([status, body.error.code]).toEqual([402, 'insufficient_balance'])
})

test('no time is promised while so many were that it would not count for those after it', async () => {
  await using alone = await startTestApi()
  const { call: ask } = await tenant(alone)
  await using worker = new HandWorker(alone)
  await learnPace(alone)
  await worker.heartbeat()
  const asked = { ...SMALL, max_wait: 600 }
  await eventually(
    () => ask('POST', '/v1/videos/quote', asked),
    ({ body }) => body.promise?.can_be_kept === true,
  )
  // Of a model that nobody here makes: they are in nobody's way.
  const { forecaster } = alone.context
  const other = headOf('acct_1', { model: 'none', capability: 'none' })
  let notes = 0
  while (notes < 10_000 && forecaster.notePromised(`video_${notes}`, other)) notes += 1
  expect(notes).toBeLessThan(10_000)
  const { status, body } = await ask('POST', '/v1/videos', asked)
  expect([status, body.error.code, body.error.param]).toEqual([503, 'unavailable', 'max_wait'])
  forecaster.endPromising('video_7', 'refused')
  expect((await ask('POST', '/v1/videos', asked)).status).toBe(200)
})

test('a promise counts no longer than its video is there', async () => {
  await using alone = await startTestApi()
  const { call: ask } = await tenant(alone)
  await using worker = new HandWorker(alone)
  await learnPace(alone)
  await worker.heartbeat()
  // A worker's ten seconds a video: two do not fit.
  const asked = { ...SMALL, max_wait: 18 }
  const { body: first } = await eventually(
    () => ask('POST', '/v1/videos', asked),
    ({ status }) => status === 200,
  )
  expect((await ask('POST', '/v1/videos', asked)).status).toBe(409)
  expect((await ask('DELETE', `/v1/videos/${first.id}`)).status).toBe(200)
  await eventually(
    () => ask('POST', '/v1/videos', asked),
    ({ status }) => status === 200,
  )
})

test('while forecasts hang no time is promised to anybody, and all who ask learn that soon', async () => {
  const database = await createTestDatabase()
  const limits = { lockMs: 60_000, statementMs: 60_000, answerMs: 90_000 }
  await using alone = await startTestApi(
    {
      database: { url: database.databaseUrl, connectionsMax: 20, limits },
      // Two forecasts that are waited for are longer.
      bounds: { callWaitMs: 5_000 },
    },
    { database },
  )
  const tenants = await Promise.all(Array.from({ length: 4 }, () => tenant(alone)))
  const asked = { ...SMALL, max_wait: 600 }
  const askAll = () => Promise.all(tenants.map(({ call: ask }) => ask('POST', '/v1/videos', asked)))
  const owner = new pg.Client({ connectionString: database.adminUrl })
  await owner.connect()
  try {
    // Snapshots are made of it, and nothing else that a submission looks at.
    await owner.query('begin; lock table pace in access exclusive mode')
    for (const { status, body } of await askAll())
      expect([status, body.error.code, body.error.param]).toEqual([503, 'unavailable', 'max_wait'])
    await owner.query('commit')
  } finally {
    await owner.end()
  }
  await using worker = new HandWorker(alone)
  await learnPace(alone)
  await worker.heartbeat()
  await eventually(askAll, (answers) => answers.every(({ status }) => status === 200))
})

test('a repeat of a promised submission is answered its video, whatever can be promised by then', async () => {
  await using alone = await startTestApi()
  const { accountId: owner } = await tenant(alone)
  const { key } = await operatorOf(alone).key(owner)
  const asked = { ...SMALL, max_wait: 100 }
  const ask = () => callJson(alone.url, key, 'POST', '/v1/videos', asked, { 'idempotency-key': 'the same' })
  {
    await using worker = new HandWorker(alone)
    await learnPace(alone)
    await worker.heartbeat()
    const { body } = await eventually(ask, ({ status }) => status === 200)
    await worker.heartbeat([], { slots: 0 })
    expect((await ask()).body.id).toBe(body.id)
    await eventually(
      () => callJson(alone.url, key, 'POST', '/v1/videos', asked),
      ({ status }) => status === 409,
    )
    expect((await ask()).body.id).toBe(body.id)
  }
})

test('a video that comes in time keeps its promise and costs its price', async () => {
  const id = await promised()
  await dispatched(id)
  await end(id, 'completed')
  expect(await read(id)).toMatchObject({
    promise: { state: 'kept', credit: { amount: '0' } },
    cost: { amount: COST.standard, state: 'charged' },
  })
})

test('a video that comes too late costs what flex costs: the rest is given back at its end, through the ledger, once', async () => {
  const id = await promised('priority')
  await dispatched(id)
  await pass(id, 3_601)
  const ends = await Promise.allSettled(Array.from({ length: 5 }, () => end(id, 'completed')))
  expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  expect(await read(id)).toMatchObject({
    promise: { state: 'missed', credit: { amount: '0.001008' } },
    cost: { amount: COST.flex, state: 'charged' },
  })
  const { data } = await operator.must('GET', `/v1/admin/accounts/${accountId}/ledger`)
  expect(data.slice(0, 2)).toMatchObject([
    {
      kind: 'rebate',
      video_id: id,
      amount: '0.001008',
      entries: [
        { account: 'revenue', amount: '-0.001008' },
        { account: 'customer', amount: '0.001008' },
      ],
    },
    { kind: 'settle', video_id: id, amount: '0' },
  ])
  const { body: usage } = await call('GET', '/v1/usage')
  expect(usage.total.cost).toBe(COST.flex)
  expect((await call('GET', '/v1/credits')).body).toMatchObject({
    balance: { amount: '0.999496' },
    used: { amount: COST.flex },
  })
  expect(await checkLedger(api.context.db)).toMatchObject({ ok: true })
})

test('what became of promises and what they cost is in the economics and at /metrics, beside the revenue that is left', async () => {
  const [late, kept] = [await promised('priority'), await promised()]
  for (const id of [late, kept]) {
    await dispatched(id)
    await asOwner(`update video set pool = 'promising' where id = '${id}'`)
  }
  await pass(late, 3_601)
  for (const id of [late, kept]) await end(id, 'completed')
  const { data } = await operator.must('GET', '/v1/admin/economics')
  expect(data.find(({ pool }: { pool: string }) => pool === 'promising')).toMatchObject({
    promises_kept: 1,
    promises_missed: 1,
    rebates: '0.001008',
    revenue: '0.001512',
  })
  const { key } = await operator.must('POST', '/v1/admin/keys', { name: 'metrics', scope: 'metrics:read' })
  const metrics = await eventually(
    async () => (await fetch(`${api.url}/metrics`, { headers: { authorization: `Bearer ${key}` } })).text(),
    (text) => text.includes('pool="promising"'),
  )
  expect(metrics).toContain('sluice_promises_total{pool="promising",outcome="kept"} 1')
  expect(metrics).toContain('sluice_promises_total{pool="promising",outcome="missed"} 1')
  expect(metrics).toContain('sluice_rebates_total{pool="promising",currency="USD"} 0.001008')
})

test('what was held of trial and paid money and how a video ends: after a missed promise the account is as if it had asked for flex, and it never gets back more than it was charged', async () => {
  const ending = fc.record({
    how: fc.constantFrom<Ending>('completed', 'failed', 'cancelled'),
    steps: fc.nat(10),
    tier: fc.constantFrom('standard', 'priority'),
    isLate: fc.boolean(),
    isNoted: fc.boolean(),
    trial: fc.constantFrom('0.0001', '0.0005', '0.001', '0.5'),
  })
  await fc.assert(
    fc.asyncProperty(ending, async ({ how, steps, tier, isLate, isNoted, trial }) => {
      const balancesAfter = async (asked: string, isPromised: boolean) => {
        ;({ accountId, call } = await tenant(api, { paid: '1', trial }))
        const id = isPromised
          ? await promised(asked)
          : (await call('POST', '/v1/videos', { ...SMALL, service_tier: asked })).body.id
        await dispatched(id)
        if (isPromised && isLate) await pass(id, 3_601)
        if (isPromised && isNoted) await noteMissedPromises(api.context.internal.db)
        await end(id, how, steps)
        const { paid, trial: left } = await operator.must('GET', `/v1/admin/accounts/${accountId}`)
        return { paid: paid.amount, left: left.amount, state: (await read(id)).promise?.state }
      }
      const state = isLate || how === 'failed' ? 'missed' : how === 'cancelled' ? 'void' : 'kept'
      const paysFlex = state === 'missed'
      const expected = await balancesAfter(paysFlex ? 'flex' : tier, false)
      expect(await balancesAfter(tier, true)).toEqual({ ...expected, state })
    }),
    { numRuns: 15 },
  )
  expect(await checkLedger(api.context.db)).toMatchObject({ ok: true })
})

test('a missed promise is told once, as soon as its time has passed and to those who asked for it, and stays missed', async () => {
  for (const event of ['video.promise_missed', 'video.completed']) {
    const endpoint = { url: 'http://127.0.0.1:9/hook', events: [event] }
    expect((await call('POST', '/v1/webhook_endpoints', endpoint)).status).toBe(200)
  }
  const [late, ended, kept] = [await promised(), await promised(), await promised()]
  for (const id of [late, ended, kept]) await dispatched(id)
  await pass(late, 3_601)
  await Promise.all([1, 2, 3].map(() => noteMissedPromises(api.context.internal.db)))
  expect(await events(late)).toEqual(['video.promise_missed'])
  expect((await read(late)).promise).toMatchObject({ state: 'missed', credit: { amount: '0' } })
  await end(late, 'completed')
  expect(await events(late)).toEqual(['video.completed', 'video.promise_missed'])
  // Its time passes between two looks.
  await asOwner(`update video set deliver_by = now() - interval '1 second' where id = '${ended}'`)
  await end(ended, 'completed')
  await noteMissedPromises(api.context.internal.db)
  expect(await events(ended)).toEqual(['video.completed', 'video.promise_missed'])
  await end(kept, 'completed')
  expect(await events(kept)).toEqual(['video.completed'])
  const { rows } = await api.context.db.query<{ count: bigint }>({
    text: `select count(*) as count from webhook_delivery where account_id = $1`,
    values: [accountId],
  })
  expect(rows).toEqual([{ count: 5n }])
})

test('a cancel in time makes a promise void, also when the worker answers it later', async () => {
  const [queued, running] = [await promised(), await promised()]
  await call('POST', `/v1/videos/${queued}/cancel`)
  expect(await read(queued)).toMatchObject({ promise: { state: 'void' }, cost: { state: 'released' } })
  await dispatched(running)
  await asOwner(`update video set status = 'running', step = 4, cancel_step = 4,
      cancel_requested_at = now() - interval '2 seconds', deliver_by = now() - interval '1 second'
    where id = '${running}'`)
  // The reconciler looks meanwhile.
  await noteMissedPromises(api.context.internal.db)
  await end(running, 'cancelled', 5)
  expect(await read(running)).toMatchObject({
    promise: { state: 'void', credit: { amount: '0' } },
    cost: { amount: '0.000504', state: 'charged' },
  })
})

test('a program that knows no promises cannot end a promised video, so that nothing that is owed is forgotten', async () => {
  const id = await promised()
  const old = api.context.db.query({
    text: `update video set status = 'failed', ended_at = now(), charged_micros = 0, charged_steps = 0,
        error_code = 'internal'
      where id = $1`,
    values: [id],
  })
  await expect(old).rejects.toThrow('video_promise_is_decided_at_the_end')
})

test('the ledger check finds a rebate that is missing, too large, of another promise, or of a kept one', async () => {
  await using other = await startTestApi()
  const { call: ask } = await tenant(other)
  const ended: string[] = []
  for (let video = 0; video < 4; video += 1) {
    const { body } = await ask('POST', '/v1/videos', { ...SMALL, service_tier: 'priority' })
    ended.push(body.id)
  }
  /** As no program of ours can: past triggers and grants. */
  const owner = (...statements: string[]) =>
    runSql(other.database.adminUrl, ['set session_replication_role = replica', ...statements])
  const list = ended.map((id) => `'${id}'`).join(', ')
  await runSql(other.database.adminUrl, [
    `update video set status = 'dispatched', fence = 1, pool = 'none', promise = 'given',
      deliver_by = now() - interval '1 second', missed_multiplier_bps = 5000
    where id in (${list})`,
  ])
  for (const id of ended) {
    await transaction(other.context.db, async (db) => {
      const video = await lockVideo(db, id)
      if (video === null) throw new Error(`no video ${id}`)
      await endVideo(db, video, completedEnd(video, 'videos/none'), other.context.systemAccounts)
    })
  }
  const violations = async () => {
    const check = await checkLedger(other.context.db)
    return Object.keys(check.violations).filter((name) => check.violations[name] !== 0n)
  }
  expect(await violations()).toEqual([])
  const [missing, larger, shifted, kept] = ended
  const rebate = (id: string | undefined) =>
    `(select id from transfer where video_id = '${id}' and kind = 'rebate')`
  await owner(
    `delete from entry where transfer_id = ${rebate(missing)}`,
    `delete from transfer where id = ${rebate(missing)}`,
  )
  expect(await violations()).toEqual(
    expect.arrayContaining(['missed_promises_without_their_rebate', 'rebates_that_differ_from_their_video']),
  )
  await owner(`update entry set amount = amount * 3 where transfer_id = ${rebate(larger)}`)
  expect(await violations()).toContain('rebates_of_more_than_was_charged')
  await owner(`update video set rebate_micros = rebate_micros - 1 where id = '${shifted}'`)
  const before = await violations()
  expect(before).not.toContain('rebates_without_a_missed_promise')
  await owner(
    'alter table video drop constraint video_rebate_is_of_a_missed_promise',
    'alter table video drop constraint video_promise_is_kept_in_time',
    `update video set promise = 'kept' where id = '${kept}'`,
  )
  expect(await violations()).toEqual(
    expect.arrayContaining(['rebates_without_a_missed_promise', 'late_videos_whose_promise_is_kept']),
  )
})
