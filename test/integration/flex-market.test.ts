import { newClaim } from '@sluice/shared/ids'
import { costMicros, formatMicros, parseMicros } from '@sluice/shared/money'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { checkLedger } from '../../apps/api/src/ledger/check.ts'
import { createRequestSchema } from '../../apps/api/src/submissions/create-request.ts'
import { submitVideo } from '../../apps/api/src/submissions/submit.ts'
import { dispatchVideos } from '../../apps/api/src/videos/transition.ts'
import type { Video } from '../../apps/api/src/videos/video.ts'
import { runSql } from '../../bench/rig/accounts.ts'
import { eventually } from '../support/eventually.ts'
import { gatePassed } from '../support/gate-passed.ts'
import { type HandDrivenService, startHandDrivenService } from '../support/hand-driven-service.ts'
import { type HandAttempt, HandWorker } from '../support/hand-worker.ts'
import { type Operator, operatorOf } from '../support/operator.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

/** 504 tokens a step, at the first price of 0.2 per million. */
const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }
const PRICE_MICROS = 200_000n
const TOKENS = 5_040n

let api: TestApi
let operator: Operator
let poolNumber = 0
const submitted: { id: string; key: string }[] = []

beforeAll(async () => {
  api = await startTestApi()
  operator = operatorOf(api)
})
afterAll(() => api.stop())
// Whatever a failing test left behind must not reach the next one's worker.
afterEach(async () => {
  for (const { id, key } of submitted.splice(0))
    await api.call('POST', `/v1/videos/${id}/cancel`, undefined, { key })
})

const rich = () => api.account(1_000_000_000n)
const flex = (fields: Record<string, unknown> = {}) => ({ ...SMALL, service_tier: 'flex', ...fields })
const submit = async (key: string, fields: Record<string, unknown> = {}): Promise<string> => {
  const answer = await api.call('POST', '/v1/videos', flex(fields), { key })
  expect(answer).toMatchObject({ status: 200 })
  submitted.push({ id: answer.body.id, key })
  return answer.body.id
}
const read = async (id: string, key: string) =>
  (await api.call('GET', `/v1/videos/${id}`, undefined, { key })).body
const quote = async (key: string, fields: Record<string, unknown>) =>
  api.call('POST', '/v1/videos/quote', flex(fields), { key })
/** What flex costs from now on, at all times. */
const setPrice = (multiplier: string) => setSchedule('hour', [[0, multiplier]])
const setSchedule = (by: string, steps: (readonly [number, string])[]) =>
  operator.must('POST', '/v1/admin/flex-prices', {
    by,
    steps: steps.map(([from, multiplier]) => ({ from, multiplier })),
  })
const asOwner = (...statements: string[]) => runSql(api.database.adminUrl, statements)
const costAt = (multiplier: number) => formatMicros(costMicros(TOKENS, PRICE_MICROS, BigInt(multiplier)))

async function withWorker(slots: number, work: (worker: HandWorker) => Promise<unknown>): Promise<void> {
  const worker = new HandWorker(api, { pool: `flex${poolNumber++}`, slots })
  try {
    await worker.heartbeat()
    await work(worker)
  } finally {
    await worker.heartbeat([], { draining: true })
    await worker.close()
  }
}
const finish = async (attempt: HandAttempt) =>
  attempt.report({ type: 'finished', result: await attempt.upload() })

test('a flex video is held at its maximum and charged the price at which it was first dispatched, whatever it costs before and after', async () => {
  const { key } = await rich()
  await setPrice('0.4')
  const id = await submit(key, { max_price: '0.15' })
  expect(await read(id, key)).toMatchObject({
    max_price: '0.15',
    price_per_million: null,
    waits_for: null,
    cost: { amount: '0.000756', state: 'held' },
  })
  await setPrice('0.3')
  await withWorker(1, async (worker) => {
    const first = await worker.fetch()
    await setPrice('0.7')
    // It comes back, and is dispatched at another price than its own.
    await first.report({ type: 'yielded', step: 3 })
    const second = await worker.fetch()
    expect(second.job.video).toBe(id)
    expect(await read(id, key)).toMatchObject({ price_per_million: '0.06', waits_for: null })
    await finish(second)
  })
  expect(await read(id, key)).toMatchObject({
    price_per_million: '0.06',
    cost: { amount: costAt(3_000), state: 'charged' },
  })
  expect(await operator.ledgerIsOk()).toMatchObject({ ok: true })
})

test('a flex video without a maximum is held at the highest price of the schedule, and never charged more, however dear flex becomes', async () => {
  const { key } = await rich()
  await setSchedule('utilisation', [
    [0, '0.3'],
    [80, '0.6'],
  ])
  const quoted = (await quote(key, {})).body
  const id = await submit(key)
  expect(quoted).toMatchObject({
    cost: { amount: costAt(6_000) },
    flex: { waits_for: null, price_per_million: '0.06', cost: { amount: costAt(3_000) } },
  })
  expect((await read(id, key)).cost).toMatchObject({ amount: costAt(6_000), state: 'held' })
  await setPrice('2')
  await withWorker(1, async (worker) => finish(await worker.fetch()))
  expect((await read(id, key)).cost).toMatchObject({ amount: costAt(6_000), state: 'charged' })
})

test('a video whose maximum is below the price waits, stands in nobody’s way, and goes when the price has come down', async () => {
  const { key } = await rich()
  await setSchedule('utilisation', [
    [0, '0.9'],
    [100, '0.4'],
  ])
  const waiting = await submit(key, { max_price: '0.09' })
  const next = await submit(key, { max_price: '0.2' })
  const last = await submit(key)
  expect((await read(waiting, key)).waits_for).toBe('price')
  await withWorker(1, async (worker) => {
    for (const id of [next, last]) {
      const attempt = await worker.fetch()
      expect(attempt.job.video).toBe(id)
      await finish(attempt)
    }
    await gatePassed(api)
    expect(await read(waiting, key)).toMatchObject({ status: 'queued', waits_for: 'price' })
    await setPrice('0.45')
    const attempt = await worker.fetch()
    expect(attempt.job.video).toBe(waiting)
    await finish(attempt)
  })
  expect((await read(waiting, key)).cost.amount).toBe(costAt(4_500))
})

test('a queued video waits as soon as the price rises above its maximum, and those behind it go', async () => {
  const { key } = await rich()
  await setPrice('0.4')
  const cheap = Array.from({ length: 6 }, () => ({ max_price: '0.08' }))
  const ids: string[] = []
  for (const fields of cheap) ids.push(await submit(key, fields))
  const last = await submit(key)
  await setPrice('0.5')
  await withWorker(2, async (worker) => {
    const attempt = await worker.fetch()
    expect(attempt.job.video).toBe(last)
    await gatePassed(api)
    const videos = await Promise.all(ids.map((id) => read(id, key)))
    expect(new Set(videos.map(({ status, waits_for }) => `${status} ${waits_for}`))).toEqual(
      new Set(['queued price']),
    )
    await finish(attempt)
  })
})

test('a video is not dispatched before its time, and is as soon as that has come', async () => {
  const { key } = await rich()
  await setPrice('0.5')
  const notBefore = Math.floor(Date.now() / 1_000) + 3_600
  const quoted = (await quote(key, { not_before: notBefore })).body
  expect(quoted.flex).toMatchObject({ waits_for: 'not_before', starts_at: notBefore })
  const late = await submit(key, { not_before: notBefore })
  const now = await submit(key, { not_before: Math.floor(Date.now() / 1_000) - 60 })
  await withWorker(2, async (worker) => {
    const video = await eventually(
      () => read(late, key),
      ({ eta_seconds }) => eta_seconds !== null,
    )
    expect(video).toMatchObject({ not_before: notBefore, waits_for: 'not_before', queue_position: null })
    // A second or two of the clock, and what it takes.
    expect(video.eta_seconds.p50).toBeGreaterThan(3_590)
    expect(video.eta_seconds.p50).toBeLessThan(3_610)
    const attempt = await worker.fetch()
    expect(attempt.job.video).toBe(now)
    await gatePassed(api)
    expect((await read(late, key)).status).toBe('queued')
    await asOwner(`update video set not_before = now() - interval '1 second' where id = '${late}'`)
    const second = await worker.fetch()
    expect(second.job.video).toBe(late)
    await finish(attempt)
    await finish(second)
  })
})

test('one that waits can be cancelled and expires, and its hold is returned', async () => {
  const { key } = await rich()
  await setSchedule('utilisation', [
    [0, '0.9'],
    [100, '0.1'],
  ])
  const [cancelled, expired] = [
    await submit(key, { max_price: '0.05' }),
    await submit(key, { max_price: '0.05' }),
  ]
  await api.call('POST', `/v1/videos/${cancelled}/cancel`, undefined, { key })
  await asOwner(`update video set execution_expires_at = now() where id = '${expired}'`)
  const ended = await eventually(
    () => Promise.all([cancelled, expired].map((id) => read(id, key))),
    (videos) => videos.every(({ status }) => status === 'failed'),
  )
  expect(ended.map(({ error, cost, waits_for }) => [error.code, cost.state, waits_for])).toEqual([
    ['cancelled', 'released', null],
    ['expired', 'released', null],
  ])
  expect(await operator.ledgerIsOk()).toMatchObject({ ok: true })
})

test('a maximum that flex never comes down to, or not before the video expires, is refused by name, as are fields of flex in other tiers', async () => {
  const { key } = await rich()
  const hour = new Date().getUTCHours()
  // Two hours on it is cheap, for an hour.
  const cheapFrom = (hour + 2) % 24
  const steps = Array.from({ length: 24 }, (_, from) => [from, from === cheapFrom ? '0.1' : '0.6'] as const)
  await setSchedule('hour', steps)
  const seconds = Math.floor(Date.now() / 1_000)
  const cases: [Record<string, unknown>, string, string][] = [
    [{ max_price: '0.0199' }, 'max_price_too_small', 'flex costs at least 0.02 USD per million'],
    [
      { max_price: '0.02', execution_expires_after: 3_600 },
      'max_price_too_small',
      'before the video expires',
    ],
    [{ max_price: '0.1x' }, 'invalid_value', 'max_price is "0.1x"'],
    [{ max_price: 1_000_001 }, 'invalid_value', 'max_price is "1000001"'],
    [{ not_before: seconds + 259_300 }, 'invalid_value', `not_before is ${seconds + 259_300}`],
    [{ not_before: -1 }, 'invalid_value', 'not_before is -1'],
    [
      { max_price: '1', service_tier: 'standard' },
      'invalid_value',
      'max_price is "1": allowed is nothing with',
    ],
    [{ not_before: seconds, service_tier: 'priority' }, 'invalid_value', `not_before is ${seconds}`],
  ]
  for (const [fields, code, message] of cases) {
    const answers = [await quote(key, fields), await api.call('POST', '/v1/videos', flex(fields), { key })]
    for (const { status, body } of answers) {
      expect({ status, code: body.error?.code }).toEqual({ status: 400, code })
      expect(body.error.message).toContain(message)
    }
  }
  const quoted = (await quote(key, { max_price: '0.02' })).body
  const startsAt = Math.floor(seconds / 3_600) * 3_600 + 7_200
  expect([startsAt, startsAt + 3_600]).toContain(quoted.flex.starts_at)
  expect(quoted.flex).toMatchObject({ waits_for: 'price', price_per_million: '0.12' })
})

test('a quote is what a flex submission holds, for any maximum and any schedule', async () => {
  const { key } = await rich()
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 30_000 }), { minLength: 1, maxLength: 4 }),
      fc.option(fc.integer({ min: 1, max: 500_000 })),
      fc.integer({ min: 1, max: 30 }),
      async (multipliers, maxMicros, num_steps) => {
        await setSchedule(
          'utilisation',
          multipliers.map((bps, index) => [index * 20, formatMicros(BigInt(bps) * 100n)] as const),
        )
        const max_price = maxMicros === null ? undefined : formatMicros(BigInt(maxMicros))
        const quoted = await quote(key, { max_price, num_steps })
        const made = await api.call('POST', '/v1/videos', flex({ max_price, num_steps }), { key })
        expect(made.status).toBe(quoted.status)
        if (made.status !== 200) return
        expect(made.body.cost).toEqual({ ...quoted.body.cost, state: 'held' })
        const tokens = BigInt(quoted.body.usage.generated_tokens)
        const atMost = costMicros(tokens, BigInt(maxMicros ?? 20_000_000), 10_000n)
        expect((parseMicros(made.body.cost.amount) ?? 0n) <= atMost).toBe(true)
        if (maxMicros !== null) expect(made.body.cost.amount).toBe(formatMicros(atMost))
        await api.call('POST', `/v1/videos/${made.body.id}/cancel`, undefined, { key })
      },
    ),
    { numRuns: 25 },
  )
})

test('a schedule is shown with what flex costs by it now, kept in the audit, and refused by the step that is wrong', async () => {
  const set = await setSchedule('utilisation', [
    [0, '0.25'],
    [50, '0.75'],
  ])
  expect(set).toMatchObject({ by: 'utilisation', multiplier: '0.25', currency: 'USD' })
  await asOwner(`update flex_market set utilisation = 0.5, noted_at = now() + interval '1 day'`)
  const shown = await operator.must('GET', '/v1/admin/flex-prices')
  expect(shown).toMatchObject({
    steps: [
      { from: 0, multiplier: '0.25' },
      { from: 50, multiplier: '0.75' },
    ],
    multiplier: '0.75',
    utilisation: 0.5,
  })
  expect(shown.prices).toContainEqual({ model: 'animatic', resolution: '256px', per_million: '0.15' })
  await asOwner('update flex_market set utilisation = 0, noted_at = null')
  const { data } = await operator.must('GET', '/v1/admin/audit?action=flex_prices.set')
  expect(data[0]).toMatchObject({
    subject: 'flex',
    details: { by: 'utilisation', steps: [{ from: 0, multiplier: '0.25' }, { from: 50 }] },
  })
  const refused: [string, unknown, string][] = [
    ['hour', [{ from: 1, multiplier: '0.5' }], 'steps.0.from'],
    [
      'hour',
      [
        { from: 0, multiplier: '0.5' },
        { from: 24, multiplier: '0.5' },
      ],
      'steps.1.from',
    ],
    [
      'utilisation',
      [
        { from: 0, multiplier: '0.5' },
        { from: 0, multiplier: '0.5' },
      ],
      'steps.1.from',
    ],
    ['hour', [{ from: 0, multiplier: '0' }], 'steps.0.multiplier'],
    ['hour', [{ from: 0, multiplier: '100.0001' }], 'steps.0.multiplier'],
    ['hour', [{ from: 0, multiplier: '0.00001' }], 'steps.0.multiplier'],
    ['hour', [], 'steps'],
    ['day', [{ from: 0, multiplier: '1' }], 'by'],
  ]
  for (const [by, steps, param] of refused) {
    const { status, body } = await operator.call('POST', '/v1/admin/flex-prices', { by, steps })
    expect({ status, param: body.error?.param }).toEqual({ status: 400, param })
  }
})

test('utilisation is what the tiers above flex have of the slots, and moves the price', async () => {
  const { key } = await rich()
  await setSchedule('utilisation', [
    [0, '0.2'],
    [60, '0.8'],
  ])
  await asOwner('update flex_market set utilisation = 0, noted_at = null')
  await withWorker(3, async (worker) => {
    await api.call('POST', '/v1/videos', SMALL, { key })
    await api.call('POST', '/v1/videos', SMALL, { key })
    await submit(key)
    const attempts = [await worker.fetch(), await worker.fetch(), await worker.fetch()]
    for (const attempt of attempts)
      await attempt.report({ type: 'progress', phase: 'denoise', step: 1, remaining_ms: 60_000 })
    await asOwner('update flex_market set utilisation = 0, noted_at = null')
    const market = await eventually(
      () => operator.must('GET', '/v1/admin/flex-prices'),
      ({ utilisation }) => utilisation > 0,
    )
    expect(market).toMatchObject({ utilisation: 0.6667, multiplier: '0.8' })
    for (const attempt of attempts) await finish(attempt)
  })
})

test('the dispatch itself lets nothing through that flex costs too much for, or whose time has not come', async () => {
  await using service = await startHandDrivenService()
  const key = await service.account(1_000_000_000n)
  await submitFlex(service, key, 5)
  const [{ id = '', account_id = '' } = {}] = (await service.readVideos(key.accountId)).values()
  const { queue, pool } = (
    await service.owner.query<{ queue: string; pool: string }>({ text: 'select * from worker' })
  ).rows[0] ?? { queue: '', pool: '' }
  const dispatch = (flexMultiplierBps: number) =>
    dispatchVideos(service.context.db, {
      ...{ pool, queue, leaseMs: 600_000, flexMultiplierBps },
      videos: [
        { videoId: id, accountId: account_id, tier: 'flex', clockMs: 0, finishTagMs: 0, passedOver: [] },
      ],
    })
  const refused = { fences: [], gone: new Set([id]), isPoolGone: false }
  // Its maximum is six tenths of the price of its class.
  expect(await dispatch(6_001)).toEqual(refused)
  await service.owner.query({ text: `update video set waits_for = 'not_before'` })
  expect(await dispatch(6_000)).toEqual(refused)
  await service.owner.query({ text: 'update video set waits_for = null' })
  expect(await dispatch(6_000)).toMatchObject({ fences: [1] })
})

const command = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('submit' as const), max: fc.option(fc.nat(9)) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('price' as const), bps: fc.nat(9) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('pass' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('finish' as const, 'yield' as const), at: fc.nat() }),
  },
)

test('whatever the price does: no flex video is charged above its maximum or dispatched above it, and each pays what was in force when it first was', async () => {
  await using service = await startHandDrivenService()
  const key = await service.account(1_000_000_000n)
  /** Of each video, what was in force when it was first dispatched. */
  const first = new Map<string, number>()
  let bps = 0
  const setBps = async (to: number) => {
    bps = to
    const steps = JSON.stringify([{ from: 0, multiplier_bps: to }])
    await service.owner.query({
      text: 'insert into flex_schedule (kind, steps) values ($1, $2)',
      values: ['hour', steps],
    })
  }
  await fc.assert(
    fc.asyncProperty(fc.array(command, { minLength: 8, maxLength: 24 }), async (commands) => {
      await setBps(5_000)
      for (const one of commands) {
        if (one.do === 'price') await setBps(1_000 * (one.bps + 1))
        else if (one.do === 'submit') await submitFlex(service, key, one.max)
        else if (one.do === 'pass') await passAndCheck(service, key.accountId, first, bps)
        else await endOrYield(service, key.accountId, one.do, one.at)
      }
      // Cheap enough for all that wait.
      await setBps(1)
      do while (await endOrYield(service, key.accountId, 'finish', 0));
      while ((await passAndCheck(service, key.accountId, first, bps)) > 0)
      for (const video of (await service.readVideos(key.accountId)).values()) {
        const paid = costMicros(
          video.video_tokens * 2n,
          video.price_micros_per_million,
          BigInt(first.get(video.id) ?? 0),
        )
        expect(video.charged_micros).toBe(paid)
        if (video.max_price_micros !== null)
          expect(paid <= costMicros(video.video_tokens * 2n, video.max_price_micros, 10_000n)).toBe(true)
      }
      expect(await checkLedger(service.context.db)).toMatchObject({ ok: true })
    }),
    { numRuns: 6 },
  )
})

async function submitFlex(
  service: HandDrivenService,
  key: Parameters<HandDrivenService['submit']>[0],
  max: number | null,
) {
  const max_price = max === null ? undefined : formatMicros((PRICE_MICROS * BigInt(max + 1)) / 10n)
  try {
    await submitVideo(service.context, key, {
      request: createRequestSchema.parse({ ...flex({ max_price }), num_steps: 2 }),
      idempotencyKey: null,
      tryNumber: null,
      keyHash: () => Buffer.alloc(32),
      callerGone: new AbortController().signal,
      remixedFromVideoId: null,
    })
  } catch (error) {
    // Flex never comes down to it.
    expect(error).toMatchObject({ code: 'max_price_too_small' })
  }
}

/**
 * One pass of the gate: notes the price of each video that it dispatches for the first time. Returns how many
 * it dispatched.
 */
async function passAndCheck(
  service: HandDrivenService,
  accountId: string,
  first: Map<string, number>,
  bps: number,
): Promise<number> {
  const before = await service.readVideos(accountId)
  const dispatched = await service.gatePass()
  const after = [...(await service.readVideos(accountId)).values()]
  const queued = after.filter(({ status }) => status === 'queued')
  if (after.filter(isInFlight).length < 3)
    expect(queued.filter((video) => video.max_price_micros === null || video.multiplier_bps >= bps)).toEqual(
      [],
    )
  for (const video of after) {
    const { fence: earlier = 0, multiplier_bps: highest = 0 } = before.get(video.id) ?? {}
    if (earlier === 0 && video.fence === 1) {
      if (video.max_price_micros !== null) expect(highest).toBeGreaterThanOrEqual(bps)
      expect(video.multiplier_bps).toBe(Math.min(highest, bps))
      first.set(video.id, video.multiplier_bps)
    } else expect(video.multiplier_bps).toBe(highest)
  }
  return dispatched
}

const isInFlight = ({ status }: Video) => status === 'dispatched' || status === 'running'

/** Returns false when nothing is in flight. */
async function endOrYield(
  service: HandDrivenService,
  accountId: string,
  what: 'finish' | 'yield',
  at: number,
): Promise<boolean> {
  const videos = [...(await service.readVideos(accountId)).values()].filter(isInFlight)
  const video = videos[at % Math.max(1, videos.length)]
  if (video === undefined) return false
  const start = { videoId: video.id, fence: video.fence, claim: newClaim() }
  await service.report(start, { type: 'taken', slot: 0 })
  if (what === 'finish')
    await service.report(start, { type: 'finished', result: await service.upload(start, 2) })
  else await service.report(start, { type: 'yielded', step: 0 })
  return true
}
