import { Catalogue } from '@sluice/shared/models/catalogue'
import { SERVICE_TIERS } from '@sluice/shared/service-tier'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Fleet, InFlight, Pool } from '../fleet.ts'
import type { HeadRow } from '../head-row.ts'
import { pacesOf } from '../pace.ts'
import { RunningCounts } from '../running-counts.ts'
import { VirtualTime } from '../virtual-time.ts'
import { NO_ARRIVALS, type RecentArrivals } from './arrivals.ts'
import type { Forecast } from './expected-end.ts'
import { type ForecastParts, forecastAt, simulate, simulateNext } from './simulate.ts'

const POOL: Pool = {
  pool: 'a',
  queue: 'a',
  device: 'cpu',
  slots: 1,
  untaken: 0,
  isPaused: false,
  loaded: [],
  switchMs: 0,
  switchWaitMsMax: 0,
  costPerHourMicros: null,
  capabilities: ['animatic'],
  sequenceDevices: 1,
  framesMax: 129,
  pixelsMax: 589_824,
}

function fleetOf(pools: Pool[], inFlight: InFlight[] = []): Fleet {
  return {
    pools,
    inFlight,
    flexQueued: 0,
    time: new VirtualTime(),
    running: new RunningCounts(inFlight),
    paces: pacesOf([], new Catalogue()),
  }
}

function queuedRow(id: number, account: number, fields: Partial<HeadRow> = {}): HeadRow {
  return {
    id: `video_${String(id).padStart(6, '0')}`,
    account_id: `account_${account}`,
    key_id: `key_of_${account}`,
    weight: 100,
    service_tier: 'standard',
    model: 'animatic',
    capability: 'animatic',
    resolution: '256px',
    width: 336,
    height: 192,
    num_frames: 5,
    num_steps: 10,
    video_tokens: 504n,
    account_running_max: null,
    key_running_max: null,
    checkpoint_step: null,
    passed_over_ms: null,
    expires_in_ms: 86_400_000,
    multiplier_bps_max: null,
    not_before_in_ms: 0,
    ...fields,
  }
}

/** What a simulation makes, uncut. */
function madeBy<Made>(simulation: Generator<undefined, Made>): Made {
  for (;;) {
    const { done, value } = simulation.next()
    if (done === true) return value
  }
}

/** Seconds until the device is free of it. */
function freeIn(forecasts: ReadonlyMap<string, Forecast>, id: string): number | undefined {
  const freeMs = forecasts.get(id)?.end?.freeMs
  return freeMs === undefined ? undefined : freeMs / 1_000
}

/** Nobody comes later. */
function partsOf(fleet: Fleet, queued: readonly HeadRow[], accountSharePercent: number): ForecastParts {
  return {
    fleet,
    queued,
    running: new Map(),
    rules: { accountSharePercent, flexRunMsMin: 30_000 },
    recent: NO_ARRIVALS,
    seed: 1,
    isTimeLeft: () => true,
  }
}

function forecastsOf(...given: Parameters<typeof partsOf>): ReadonlyMap<string, Forecast> {
  return madeBy(simulate(partsOf(...given)))
}

test('positions follow the gate’s order and ETAs add up slot by slot', () => {
  const queued = [queuedRow(1, 1), queuedRow(2, 1), queuedRow(3, 2)]
  const forecasts = forecastsOf(fleetOf([POOL]), queued, 75)
  // 0.5 s and ten steps of 0.1 s each; the second account goes before the first one's second video.
  expect(queued.map((row) => forecasts.get(row.id))).toMatchObject([
    { position: 1, end: { freeMs: 1_500 } },
    { position: 3, end: { freeMs: 4_500 } },
    { position: 2, end: { freeMs: 3_000 } },
  ])
})

test('an account at its cap waits until a slot of its own is nearly free, and the forecast comes to an end', () => {
  const three = { ...POOL, slots: 3 }
  // 4.5 s each. One that is nearly free counts no more: the next goes two seconds before its end.
  const queued = [1, 2, 3].map((id) => queuedRow(id, 1, { num_steps: 40 }))
  const other = runningOn('a', { accountId: 'account_2', keyId: 'key_of_2' }, 60)
  const forecasts = forecastsOf(fleetOf([three], [other]), queued, 34)
  expect(queued.map((row) => freeIn(forecasts, row.id))).toEqual([4.5, 7, 9.5])
})

test('an account whose backlog is old is kept to its share while another has something queued, as the gate does', () => {
  const four = { ...POOL, slots: 4 }
  const bulk = Array.from({ length: 5 }, (_, index) => queuedRow(index, 1, { service_tier: 'priority' }))
  const other = queuedRow(9, 2)
  const forecasts = forecastsOf(fleetOf([four]), [...bulk, other], 75)
  expect(bulk.map((row) => freeIn(forecasts, row.id))).toEqual([1.5, 1.5, 1.5, 3, 3])
  expect(freeIn(forecasts, other.id)).toBe(1.5)
})

test('what no pool can make has a position and no ETA', () => {
  const forecasts = forecastsOf(
    fleetOf([POOL]),
    [queuedRow(1, 1, { capability: 'animatic/t2i2v' }), queuedRow(2, 1)],
    75,
  )
  expect(forecasts.get('video_000001')).toEqual({ position: 2, end: null })
  expect(forecasts.get('video_000002')).toMatchObject({ position: 1 })
})

test('two pools never forecast the same video twice', () => {
  const queued = Array.from({ length: 50 }, (_, index) => queuedRow(index, index % 7))
  const forecasts = forecastsOf(fleetOf([POOL, { ...POOL, pool: 'b', queue: 'b', slots: 3 }]), queued, 75)
  expect(new Set([...forecasts.values()].map((forecast) => forecast.position)).size).toBe(50)
})

/** Something on a device for `seconds` more. */
function runningOn(
  pool: string,
  owner: { accountId: string; keyId: string },
  seconds: number,
  number = 0,
): InFlight {
  return {
    videoId: `running_${number}`,
    ...owner,
    tier: 'standard',
    pool,
    queue: pool,
    fence: 1,
    shape: queuedRow(0, 0),
    model: 'animatic',
    worker: null,
    slot: null,
    isTaken: true,
    dispatchedMs: 0,
    isRunning: true,
    isYielding: false,
    cameBack: false,
    ranMs: 0,
    expiresInMs: 86_400_000,
    freeInMs: seconds * 1_000,
    leftMs: seconds * 1_000,
    uploadMs: 0,
  }
}

test('videos of a key at its running limit wait for the ones before them, over all pools, and the account’s other keys do not', () => {
  const limited = { key_id: 'key_limited', key_running_max: 1 }
  const queued = [queuedRow(1, 1, limited), queuedRow(2, 1, limited), queuedRow(3, 1), queuedRow(4, 2)]
  const pools = [
    { ...POOL, slots: 2 },
    { ...POOL, pool: 'b', queue: 'b', slots: 2 },
  ]
  const inFlight = [runningOn('b', { accountId: 'account_1', keyId: 'key_limited' }, 4)]
  const forecasts = forecastsOf(fleetOf(pools, inFlight), queued, 75)
  expect(queued.map((row) => freeIn(forecasts, row.id))).toEqual([5.5, 7, 1.5, 1.5])
})

test('what runs on a pool that takes nothing new counts against the limit until it ends', () => {
  const queued = [queuedRow(1, 1, { account_running_max: 1 })]
  const inFlight = [runningOn('draining', { accountId: 'account_1', keyId: 'key_of_1' }, 9)]
  expect(freeIn(forecastsOf(fleetOf([POOL], inFlight), queued, 75), 'video_000001')).toBe(10.5)
})

test('the videos of an account that may run none have a position and no ETA', () => {
  const forecasts = forecastsOf(
    fleetOf([POOL]),
    [queuedRow(1, 1, { account_running_max: 0 }), queuedRow(2, 2)],
    75,
  )
  expect(forecasts.get('video_000001')).toEqual({ position: 2, end: null })
  expect(forecasts.get('video_000002')).toMatchObject({ position: 1, end: { freeMs: 1_500 } })
})

test('a video whose model is loaded is foretold before a fairer one until the bound has gone by, and a switch counts', () => {
  const ink: Pool = {
    ...POOL,
    capabilities: ['ink', 'clay'],
    loaded: [{ worker: 'one', slot: 0, model: 'ink' }],
    switchMs: 1_000,
  }
  // 4.5 s each: longer than the two that the gate is ahead.
  const asksFor = (model: string) => ({ model, capability: model, num_steps: 40 })
  const queued = [
    queuedRow(1, 1, asksFor('clay')),
    queuedRow(2, 2, asksFor('ink')),
    queuedRow(3, 3, asksFor('ink')),
  ]
  const etas = (pool: Pool, inFlight: InFlight[] = []) => {
    const forecasts = forecastsOf(fleetOf([pool], inFlight), queued, 75)
    return queued.map((row) => freeIn(forecasts, row.id))
  }
  expect(etas({ ...ink, switchWaitMsMax: 0 })).toEqual([5.5, 11, 15.5])
  expect(etas({ ...ink, switchWaitMsMax: 20_000 })).toEqual([14.5, 4.5, 9])
  expect(etas({ ...ink, switchWaitMsMax: 5_000 })).toEqual([10, 4.5, 15.5])
  expect(etas({ ...ink, loaded: [], switchWaitMsMax: 20_000 })).toEqual([4.5, 9, 13.5])
  // What runs is what its slot has loaded when it is free.
  const running: InFlight = {
    ...runningOn('a', { accountId: 'account_4', keyId: 'key_of_4' }, 4),
    model: 'clay',
    worker: 'one',
    slot: 0,
  }
  expect(etas({ ...ink, switchWaitMsMax: 20_000 }, [running])).toEqual([8.5, 14, 18.5])
})

test('of two free slots each gets the video whose model it has loaded', () => {
  const both: Pool = {
    ...POOL,
    slots: 2,
    capabilities: ['ink', 'clay'],
    loaded: [
      { worker: 'one', slot: 0, model: 'ink' },
      { worker: 'one', slot: 1, model: 'clay' },
    ],
    switchMs: 1_000,
  }
  const queued = ['clay', 'ink'].map((model, index) => queuedRow(index, index, { model, capability: model }))
  const forecasts = forecastsOf(fleetOf([both]), queued, 75)
  expect(queued.map((row) => freeIn(forecasts, row.id))).toEqual([1.5, 1.5])
})

/** Two accounts of three keys each: their limits, what runs and what waits. */
const crowd = fc.record({
  slots: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 }),
  accountMax: fc.array(fc.option(fc.integer({ min: 1, max: 3 })), { minLength: 2, maxLength: 2 }),
  keyMax: fc.array(fc.option(fc.integer({ min: 1, max: 2 })), { minLength: 6, maxLength: 6 }),
  running: fc.array(
    fc.record({ key: fc.integer({ min: 0, max: 5 }), seconds: fc.integer({ min: 0, max: 5 }) }),
    { maxLength: 9 },
  ),
  queued: fc.array(
    fc.record({
      key: fc.integer({ min: 0, max: 5 }),
      steps: fc.integer({ min: 1, max: 40 }),
      tier: fc.constantFrom(...SERVICE_TIERS),
    }),
    { maxLength: 40 },
  ),
})
const accountOfKey = (key: number) => Math.floor(key / 3)

test('the forecast keeps to every limit at every moment, and leaves no device idle while a video waits that may go and is on its way to none', () => {
  fc.assert(
    fc.property(crowd, ({ slots, accountMax, keyMax, running, queued }) => {
      const pools = slots.map((count, index) => ({
        ...POOL,
        pool: `pool_${index}`,
        queue: `pool_${index}`,
        slots: count,
      }))
      const places = pools.flatMap(({ pool, slots: count }) => Array.from({ length: count }, () => pool))
      const inFlight = running.slice(0, places.length).map(({ key, seconds }, index) => {
        const owner = { accountId: `account_${accountOfKey(key)}`, keyId: `key_${key}` }
        return runningOn(places[index] ?? '', owner, seconds, index)
      })
      const rows = queued.map(({ key, steps, tier }, index) =>
        queuedRow(index, accountOfKey(key), {
          key_id: `key_${key}`,
          num_steps: steps,
          service_tier: tier,
          account_running_max: accountMax[accountOfKey(key)] ?? null,
          key_running_max: keyMax[key] ?? null,
        }),
      )
      // A share of the whole pool: shares are another test's.
      const forecasts = forecastsOf(fleetOf(pools, inFlight), rows, 100)

      // In tenths of a second, as forecasts are rounded.
      const waiting = rows.map((row) => {
        const end = Math.round((freeIn(forecasts, row.id) ?? Number.NaN) * 10)
        return { row, accountId: row.account_id, keyId: row.key_id, start: end - 5 - row.num_steps, end }
      })
      const spans = [
        ...inFlight.map((at) => ({ ...at, start: 0, end: (at.freeInMs ?? 0) / 100 })),
        ...waiting,
      ]
      for (const moment of new Set([0, ...spans.map((span) => span.end)])) {
        const now = spans.filter((span) => span.start <= moment && moment < span.end)
        // The gate is two seconds ahead; from its dispatch on a video counts.
        const isOnItsWay = ({ start }: { start: number }) => start <= moment + 20
        const counts = new RunningCounts(spans.filter((span) => isOnItsWay(span) && moment < span.end))
        expect(now.length).toBeLessThanOrEqual(places.length)
        for (const { row, start } of waiting) {
          expect(start).toBeGreaterThanOrEqual(0)
          const limits = {
            accountId: row.account_id,
            keyId: row.key_id,
            accountRunningMax: row.account_running_max,
            keyRunningMax: row.key_running_max,
          }
          if (!isOnItsWay({ start }) && now.length < places.length)
            expect(counts.limitOf(limits)).not.toBeNull()
        }
        const startedNow = waiting.filter((span) => span.start === moment)
        for (const { row } of startedNow) {
          const beside = (owns: (span: { accountId: string; keyId: string }) => boolean) =>
            now.filter(owns).length
          // One that was running over a limit that was lowered meanwhile keeps the others from starting.
          expect(beside((span) => span.accountId === row.account_id)).toBeLessThanOrEqual(
            row.account_running_max ?? Number.POSITIVE_INFINITY,
          )
          expect(beside((span) => span.keyId === row.key_id)).toBeLessThanOrEqual(
            row.key_running_max ?? Number.POSITIVE_INFINITY,
          )
        }
      }
    }),
    { numRuns: 1_000 },
  )
})

/** Somebody else's video every second of the last minute, and so in the next one. */
const STEADY: RecentArrivals = {
  rows: Array.from({ length: 60 }, () => queuedRow(0, 9, { service_tier: 'standard' })),
  spanMs: 60_000,
}

test('what comes later and goes first is in the way of flex in each future, of none that goes before it, and has no position', () => {
  const fleet = fleetOf([POOL], [runningOn('a', { accountId: 'account_2', keyId: 'key_of_2' }, 10)])
  const rows = [queuedRow(1, 1, { service_tier: 'priority' }), queuedRow(2, 1, { service_tier: 'flex' })]
  const alone = forecastsOf(fleet, rows, 75)
  const among = madeBy(simulate({ ...partsOf(fleet, rows, 75), recent: STEADY }))
  expect(among.get('video_000001')).toEqual(alone.get('video_000001'))
  const flex = among.get('video_000002')
  expect(flex?.position).toBe(2)
  // They are more than the pool can make, and come for a minute: half of those that it makes go before.
  const { startMs = 0, storedMs = 0, lateMs = 0 } = flex?.end ?? {}
  expect(startMs).toBeGreaterThan(60_000)
  expect(lateMs).toBeGreaterThan(storedMs)
  const place = madeBy(
    simulateNext({ ...partsOf(fleet, rows.slice(0, 1), 75), recent: STEADY }, rows[1] as HeadRow),
  )
  expect(forecastAt(place, rows[1] as HeadRow, fleet.paces)).toEqual(flex)
})

test('a video that comes later is behind those that came before it and have not begun by then, dispatched or not', () => {
  const next = (parts: ForecastParts) => {
    const since = [{ inMs: 10, row: queuedRow(5, 5) }]
    return madeBy(simulateNext(parts, queuedRow(0, 1), { since, inMs: 20 }))
  }
  // The one before it has begun on the other slot.
  const two = { ...POOL, slots: 2 }
  expect(next(partsOf(fleetOf([two]), [], 75))).toMatchObject({ position: 1, starts: [{ atMs: 20 }] })
  // What is nearly over has two behind it; the first of them has the slot already.
  const running = runningOn('a', { accountId: 'account_2', keyId: 'key_of_2' }, 1.5)
  const behind = partsOf(fleetOf([POOL], [running]), [queuedRow(4, 4)], 75)
  expect(next(behind)).toMatchObject({ position: 3, starts: [{ atMs: 4_500 }] })
})

test('steps that a worker says take no time keep no forecast from coming to an end', () => {
  const flexRow = queuedRow(1, 1, { service_tier: 'flex', num_steps: 300 })
  const running: InFlight = {
    ...runningOn('a', { accountId: 'account_1', keyId: 'key_of_1' }, 0),
    videoId: flexRow.id,
    tier: 'flex',
    freeInMs: null,
    isYielding: true,
  }
  const shape = { pool: 'a', capability: 'animatic', width: 336, height: 192, num_frames: 5 }
  const measured = [{ ...shape, step_ms: 0, overhead_ms: 7_000, upload_ms: 0 }]
  const fleet = { ...fleetOf([POOL], [running]), paces: pacesOf(measured, new Catalogue()) }
  const queued = [queuedRow(2, 2, { service_tier: 'flex' }), queuedRow(3, 3)]
  const parts = { ...partsOf(fleet, queued, 75), running: new Map([[flexRow.id, flexRow]]), recent: STEADY }
  for (const { end } of madeBy(simulate(parts)).values()) expect(end?.storedMs).toBeLessThan(1_000_000)
})

test('the same seed foretells the same, and where time is short one future is enough', () => {
  const rows = [queuedRow(1, 1, { service_tier: 'flex' })]
  const made = (more: Partial<ForecastParts> = {}) =>
    madeBy(simulate({ ...partsOf(fleetOf([POOL]), rows, 75), recent: STEADY, ...more }))
  expect(made()).toEqual(made())
  let asked = 0
  const isTimeLeft = () => {
    asked += 1
    return false
  }
  const end = made({ isTimeLeft }).get('video_000001')?.end
  expect(asked).toBe(1)
  expect(end?.lateMs).toBe(end?.storedMs)
})

test('a running flex video makes room in the forecast as in the gate: who comes is foretold sooner, and it later', () => {
  const flexRow = queuedRow(1, 1, { service_tier: 'flex', num_steps: 300 })
  const running: InFlight = {
    ...runningOn('a', { accountId: 'account_1', keyId: 'key_of_1' }, 30),
    videoId: flexRow.id,
    tier: 'flex',
  }
  const standard = queuedRow(2, 2)
  const parts = partsOf(fleetOf([POOL], [running]), [standard], 75)
  const without = madeBy(simulate(parts))
  expect(freeIn(without, standard.id)).toBe(31.5)
  const made = madeBy(simulate({ ...parts, running: new Map([[flexRow.id, flexRow]]) }))
  // After the step that is under way; then what is left of it begins anew, half a second in.
  expect(freeIn(made, standard.id)).toBeCloseTo(0.1 + 1.5)
  expect(made.get(flexRow.id)).toMatchObject({ position: null, end: { startMs: 0 } })
  expect(freeIn(made, flexRow.id)).toBeCloseTo(30 + 1.5 + 0.5)
  // One that was asked before does so although nobody waits any more.
  const asked = partsOf(fleetOf([POOL], [{ ...running, isYielding: true }]), [], 75)
  const alone = madeBy(simulate({ ...asked, running: new Map([[flexRow.id, flexRow]]) }))
  expect(freeIn(alone, flexRow.id)).toBeCloseTo(30.5)
})

test('one that came back runs its time before it makes room in the forecast, as long as it ran counted', () => {
  const flexRow = queuedRow(1, 1, { service_tier: 'flex', num_steps: 600 })
  const running: InFlight = {
    ...runningOn('a', { accountId: 'account_1', keyId: 'key_of_1' }, 60),
    videoId: flexRow.id,
    tier: 'flex',
    cameBack: true,
    ranMs: 20_000,
  }
  const standard = queuedRow(2, 2)
  const parts = partsOf(fleetOf([POOL], [running]), [standard], 75)
  const made = madeBy(simulate({ ...parts, running: new Map([[flexRow.id, flexRow]]) }))
  // Ten seconds are left of its thirty.
  expect(freeIn(made, standard.id)).toBeCloseTo(10 + 1.5, 0)
})

const CROWDS: readonly [string, (index: number) => Partial<HeadRow>][] = [
  ['of 1,000 accounts', () => ({})],
  ['of 1,000 accounts that may run one each', () => ({ account_running_max: 1 })],
  [
    'of 1,000 keys of one account that may run one each',
    (index) => ({ account_id: 'account_0', key_id: `key_${index % 1_000}`, key_running_max: 1 }),
  ],
  ['of 1,000 keys of one account', (index) => ({ account_id: 'account_0', key_id: `key_${index % 1_000}` })],
  ['of one key that may run one', () => ({ account_id: 'account_0', key_id: 'key_0', key_running_max: 1 })],
]

/** Counts how often a head is looked at: what a forecast's time goes into. */
class CountedLooks extends RunningCounts {
  looks = 0

  override copy(): RunningCounts {
    return this
  }

  override limitOf(head: Parameters<RunningCounts['limitOf']>[0]): string | null {
    this.looks += 1
    return super.limitOf(head)
  }
}

test.each(CROWDS)(
  'a forecast of 2,000 queued videos %s on two pools looks at each of them a few times',
  (_name, fieldsOf) => {
    const queued = Array.from({ length: 2_000 }, (_, index) =>
      queuedRow(index, index % 1_000, { num_steps: 1 + (index % 90), ...fieldsOf(index) }),
    )
    const pools = [
      { ...POOL, slots: 8 },
      { ...POOL, pool: 'b', queue: 'b', slots: 32 },
    ]
    const running = new CountedLooks([])
    expect(forecastsOf({ ...fleetOf(pools), running }, queued, 75).size).toBe(2_000)
    expect(running.looks).toBeLessThan(3 * pools.length * queued.length)
  },
)

/** Accounts of two keys each that ask for two models, and pools that may have them loaded. */
const mixedCrowd = fc.record({
  slots: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 }),
  loaded: fc.option(fc.array(fc.constantFrom('ink', 'clay'), { minLength: 3, maxLength: 3 })),
  switchWaitMsMax: fc.constantFrom(0, 3_000),
  max: fc.option(fc.integer({ min: 0, max: 2 })),
  running: fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 3 }),
  videos: fc.array(
    fc.record({
      key: fc.integer({ min: 0, max: 5 }),
      steps: fc.integer({ min: 1, max: 40 }),
      tier: fc.constantFrom(...SERVICE_TIERS),
      model: fc.constantFrom('ink', 'clay'),
    }),
    { minLength: 1, maxLength: 30 },
  ),
})

type MixedCrowd = typeof mixedCrowd extends fc.Arbitrary<infer Crowd> ? Crowd : never

function mixedFleet({ slots, loaded, switchWaitMsMax, running }: MixedCrowd): Fleet {
  const pools = slots.map((count, index) => ({
    ...POOL,
    pool: `pool_${index}`,
    queue: `pool_${index}`,
    slots: count,
    capabilities: index === 0 ? ['ink', 'clay'] : ['ink'],
    loaded: (loaded ?? []).slice(0, count).map((model, slot) => ({ worker: 'one', slot, model })),
    switchMs: 1_000,
    switchWaitMsMax,
  }))
  const inFlight = running.map((seconds, index) => {
    const owner = { accountId: `account_${index}`, keyId: `key_${index}` }
    return runningOn(pools[index]?.queue ?? 'pool_0', owner, seconds, index)
  })
  return fleetOf(pools, inFlight)
}

function mixedRows({ videos, max }: MixedCrowd): HeadRow[] {
  return videos.map(({ key, steps, tier, model }, index) =>
    queuedRow(index, key >> 1, {
      ...{ key_id: `key_${key}`, num_steps: steps, service_tier: tier, model, capability: model },
      key_running_max: key % 2 === 0 ? max : null,
      account_running_max: key < 2 ? max : null,
    }),
  )
}

test('a video that is only quoted is foretold what it is foretold once it is queued', () => {
  fc.assert(
    fc.property(mixedCrowd, (crowd) => {
      const fleet = mixedFleet(crowd)
      const rows = mixedRows(crowd)
      const last = rows.pop() as HeadRow
      const queued = forecastsOf(fleet, [...rows, last], 75)
      const place = madeBy(simulateNext(partsOf(fleet, rows, 75), last))
      expect(forecastAt(place, last, fleet.paces)).toEqual(queued.get(last.id))
    }),
    { numRuns: 1_000 },
  )
})

test('a forecast may be cut between the slots that it gives at one time', () => {
  const videos = 400
  const queued = Array.from({ length: videos }, (_, id) => queuedRow(id, id))
  const work = simulate(partsOf(fleetOf([{ ...POOL, slots: videos }]), queued, 75))
  const cuts = [...work].length
  // One for each that is queued, and some for those that are given a slot.
  expect(cuts).toBeGreaterThan(videos + videos / 8)
})
