import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Demand, DemandedVideo, VideoKind, VideoRun } from '../plan/demand.ts'
import { simulateDemand } from '../plan/simulate-demand.ts'

/** Ten seconds on the fast pool, and thirty on the slow one. */
const CLIP: VideoKind = {
  name: 'clip',
  model: 'ink',
  steps: 10,
  tokens: 1_000,
  paces: { fast: { stepMs: 1_000, overheadMs: 0 }, slow: { stepMs: 3_000, overheadMs: 0 } },
}
/** What only the fast pool can make. */
const OWN: VideoKind = { ...CLIP, name: 'own', paces: { fast: { stepMs: 1_000, overheadMs: 0 } } }

type Video = Omit<DemandedVideo, 'kind' | 'accountId'> & Partial<DemandedVideo>

const at = (atMs: number, fields: Partial<DemandedVideo> = {}): Video => ({
  atMs,
  tier: 'standard',
  ...fields,
})

/** Where each video ran, and from when on, by its number. */
function placesOf(videos: readonly Video[], demand: Partial<Demand> = {}): string[] {
  const runs: VideoRun[] = []
  simulateDemand({
    pools: [
      { pool: 'fast', slots: 1 },
      { pool: 'slow', slots: 1 },
    ],
    kinds: [CLIP, OWN],
    videos: videos.map((video) => ({ accountId: 'account', kind: CLIP, ...video })),
    settings: { accountSharePercent: 100, nearlyFreeMs: 0 },
    horizonMs: Number.POSITIVE_INFINITY,
    onRun: (run) => runs.push(run),
    ...demand,
  })
  return runs
    .toSorted((a, b) => a.number - b.number)
    .map(({ pool, startedAtMs }) => `${pool} ${startedAtMs / 1_000}`)
}

test('a video waits for the pool where it is finished sooner, and goes where there is room when those before it there become too many', () => {
  expect(placesOf([at(0), at(1_000)])).toEqual(['fast 0', 'fast 10'])
  expect(placesOf([at(0), at(1_000), at(2_000)])).toEqual(['fast 0', 'fast 10', 'fast 20'])
  expect(placesOf([at(0), at(1_000), at(2_000), at(3_000)])).toEqual([
    'fast 0',
    'fast 10',
    'fast 20',
    'slow 3',
  ])
})

test('one that waits goes where there is room once others go before it', () => {
  const priority = (atMs: number) => at(atMs, { tier: 'priority' })
  expect(placesOf([at(0), at(1_000), priority(2_000)])).toEqual(['fast 0', 'fast 20', 'fast 10'])
  expect(placesOf([at(0), at(1_000), priority(2_000), priority(3_000)])).toEqual([
    'fast 0',
    'slow 3',
    'fast 10',
    'fast 20',
  ])
})

test('one that waits goes where there is room once more of what only the other pool can make is before it', () => {
  const own = (atMs: number) => at(atMs, { tier: 'priority', kind: OWN })
  expect(placesOf([at(0), at(1_000), own(2_000)])).toEqual(['fast 0', 'fast 20', 'fast 10'])
  expect(placesOf([at(0), at(1_000), own(2_000), own(3_000)])).toEqual([
    'fast 0',
    'slow 3',
    'fast 10',
    'fast 20',
  ])
})

test('one that came after those that wait waits behind them, and goes as soon as one of them goes where there is room', () => {
  // The key of the third may run one at a time, and its second video would be the second.
  const keyed = (atMs: number) => at(atMs, { accountId: 'keyed', keyId: 'key' })
  const accounts = [{ id: 'keyed', keys: [{ id: 'key', runningMax: 1 }] }]
  expect(placesOf([at(0), keyed(1_000), keyed(2_000)], { accounts })).toEqual([
    'fast 0',
    'fast 10',
    'fast 20',
  ])
})

test('one that is kept waiting by others for as long as it would have taken where there is room goes there', () => {
  const slowness = 8
  // The prediction says ten seconds; it takes eighty.
  expect(placesOf([at(0, { slowness }), at(1_000)])).toEqual(['fast 0', 'slow 1'])
  const late = [at(0), at(1_000, { slowness }), at(2_000)]
  expect(placesOf(late)).toEqual(['fast 0', 'fast 10', 'slow 10'])
})

test('a video of which was asked whether flex should make room for it has not waited since the beginning', () => {
  // Over after nine seconds on the slow pool.
  const short = { ...CLIP, name: 'short', steps: 3 }
  const flex = at(100_000, { tier: 'flex', accountId: 'flex', kind: short })
  const videos = [at(100_000), flex, at(101_000), at(102_000)]
  expect(placesOf(videos, { kinds: [CLIP, short] })).toEqual(['fast 100', 'slow 100', 'fast 110', 'fast 120'])
})

test('one that waits goes where there is room once another that was at a limit goes before it', () => {
  const kind = { ...CLIP, paces: { ...CLIP.paces, slow: { stepMs: 2_100, overheadMs: 0 } } }
  const keyed = (atMs: number) => at(atMs, { tier: 'priority', accountId: 'keyed', keyId: 'key', kind })
  const accounts = [{ id: 'keyed', keys: [{ id: 'key', runningMax: 1 }] }]
  expect(placesOf([keyed(0), keyed(500), at(1_000, { kind })], { accounts, kinds: [kind] })).toEqual([
    'fast 0',
    'fast 10',
    'slow 10',
  ])
})

/** The other way round than CLIP. */
const MIRRORED: VideoKind = {
  ...CLIP,
  name: 'mirrored',
  paces: { fast: { stepMs: 3_000, overheadMs: 0 }, slow: { stepMs: 1_000, overheadMs: 0 } },
}
const PRICED = ['fast', 'slow'].map((pool) => ({ pool, slots: 1, costPerHourMicros: 1n }))

test('of an account at its limit no two wait for each other', () => {
  const flex = (kind: VideoKind) => at(0, { tier: 'flex', kind })
  const places = placesOf([flex(MIRRORED), flex(CLIP), flex(MIRRORED)], {
    pools: PRICED,
    kinds: [CLIP, MIRRORED],
    accounts: [{ id: 'account', runningMax: 1 }],
  })
  expect(places).toEqual(['slow 0', 'fast 10', 'slow 20'])
})

test('a line of flex that waits counts as one video of its account, however many come to it', () => {
  const flex = (atMs: number, accountId: string) => at(atMs, { tier: 'flex', accountId, kind: MIRRORED })
  const clip = at(100_000, { tier: 'flex', accountId: 'limited' })
  const places = placesOf([flex(0, 'other'), flex(1, 'limited'), flex(2, 'limited'), clip, clip], {
    pools: [{ pool: 'fast', slots: 2, costPerHourMicros: 1n }, ...PRICED.slice(1)],
    kinds: [CLIP, MIRRORED],
    accounts: [{ id: 'limited', runningMax: 2 }],
  })
  expect(places).toEqual(['slow 0', 'slow 10', 'slow 20', 'fast 100', 'fast 100'])
})

test('flex that waits for a cheaper pool goes where there is room once its deadline is near', () => {
  const pools = [
    { pool: 'fast', slots: 1, costPerHourMicros: 3n },
    { pool: 'slow', slots: 1, costPerHourMicros: 1n },
  ]
  const same = (steps: number, name: string): VideoKind => ({
    ...CLIP,
    name,
    steps,
    paces: { fast: { stepMs: 1_000, overheadMs: 0 }, slow: { stepMs: 1_000, overheadMs: 0 } },
  })
  const onSlow = (steps: number, name: string): VideoKind => ({
    ...same(steps, name),
    paces: { slow: { stepMs: 1_000, overheadMs: 0 } },
  })
  const [ten, first, second] = [same(10, 'ten'), onSlow(1_000, 'first'), onSlow(10_000, 'second')]
  const videos = [
    at(0, { kind: first, accountId: 'other' }),
    at(1_000, { kind: ten, tier: 'flex', expiresAfterMs: 86_400_000 }),
    at(1_000, { kind: ten, tier: 'flex', expiresAfterMs: 4_100_000 }),
    at(1_001_000, { kind: second, accountId: 'other' }),
  ]
  const places = placesOf(videos, { pools, kinds: [ten, first, second] })
  // The first makes room for what comes then, and goes on later.
  expect(places).toEqual(['slow 0', 'slow 1000', 'slow 11001', 'fast 1000', 'slow 1001'])
})

test('one that was not asked for because another waits no longer has not waited itself', () => {
  const priority = at(2_000, { tier: 'priority' })
  const videos = [at(0), at(1_000), priority, priority, at(2_000), at(2_000)]
  expect(placesOf(videos).at(-1)).toBe('fast 40')
})

test('flex that waits for a cheaper pool goes elsewhere once that one could not make all of it well before the deadline', () => {
  const flex = (atMs: number) => at(atMs, { tier: 'flex', expiresAfterMs: 7_200_000 })
  const pools = [
    { pool: 'fast', slots: 1, costPerHourMicros: 9_000_000n },
    { pool: 'slow', slots: 1, costPerHourMicros: 1_000_000n },
  ]
  const few = placesOf(
    Array.from({ length: 60 }, () => flex(0)),
    { pools },
  )
  expect(few.filter((place) => place.startsWith('fast'))).toEqual([])
  const many = placesOf(
    Array.from({ length: 200 }, (_, number) => flex(number)),
    { pools },
  )
  // Half of the time to the deadline is enough for 120 of them; the oldest that waits goes first.
  const there = many.flatMap((place, number) => (place.startsWith('fast') ? number : []))
  expect(there.length).toBeGreaterThan(50)
  expect(there[0]).toBe(1)
})

test('on two pools, one that waits while a slot is free is finished sooner than it had been there, but for those that come later and go before it', () => {
  const someDemand = fc.record({
    stepMs: fc.array(fc.integer({ min: 100, max: 400 }), { minLength: 2, maxLength: 2 }),
    slots: fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 2, maxLength: 2 }),
    videos: fc.array(
      fc.record({
        afterMs: fc.integer({ min: 0, max: 1_000 }),
        tier: fc.constantFrom('priority', 'standard', 'standard', 'standard'),
      }),
      { maxLength: 60 },
    ),
  })
  fc.assert(
    fc.property(someDemand, ({ stepMs, slots, videos: asked }) => {
      const paces = Object.fromEntries(stepMs.map((ms, pool) => [`${pool}`, { stepMs: ms, overheadMs: 0 }]))
      let nowMs = 0
      const videos = asked.map(({ afterMs, tier }): DemandedVideo => {
        nowMs += afterMs
        return { atMs: nowMs, accountId: 'account', tier, kind: { ...CLIP, paces } } as DemandedVideo
      })
      const [kind] = videos.map((video) => video.kind)
      const runs: VideoRun[] = []
      simulateDemand({
        pools: slots.map((count, pool) => ({ pool: `${pool}`, slots: count })),
        kinds: kind === undefined ? [] : [kind],
        videos: videos.map((video) => ({ ...video, kind: kind as VideoKind })),
        settings: { accountSharePercent: 100, nearlyFreeMs: 0 },
        horizonMs: Number.POSITIVE_INFINITY,
        onRun: (run) => runs.push(run),
      })
      const busyAt = (pool: string, ms: number) =>
        runs.filter((run) => run.pool === pool && run.startedAtMs <= ms && ms < run.endedAtMs).length
      for (const { number, startedAtMs, endedAtMs } of runs) {
        const { atMs, tier } = videos[number] as DemandedVideo
        const laterMs = videos.flatMap((video) => (video.tier === 'priority' ? video.atMs : []))
        for (const lookMs of runs.flatMap((run) => [run.startedAtMs, run.endedAtMs])) {
          if (lookMs < atMs || lookMs >= startedAtMs) continue
          if (tier === 'standard' && laterMs.some((ms) => ms > lookMs && ms <= startedAtMs)) continue
          for (const [pool, count] of slots.entries()) {
            const hereMs = CLIP.steps * (stepMs[pool] ?? 0)
            // One that others kept waiting for so long goes, however soon it would begin there.
            if (busyAt(`${pool}`, lookMs) < count && startedAtMs - atMs < hereMs)
              expect(endedAtMs - lookMs).toBeLessThan(hereMs)
          }
        }
      }
    }),
    { numRuns: 300 },
  )
})

test('one that made room is asked for what is left of it, on pools too that knew the whole of it', () => {
  const kind = {
    ...CLIP,
    steps: 50,
    paces: { fast: { stepMs: 1_000, overheadMs: 0 }, slow: { stepMs: 1_000, overheadMs: 500 } },
  }
  const videos = [at(0, { kind }), at(0, { kind, tier: 'flex', accountId: 'flex' }), at(40_000, { kind })]
  const places = placesOf(videos, { pools: PRICED, kinds: [kind] })
  // What is left is cheaper on the fast pool. Of the whole it made no difference.
  expect(places).toEqual(['fast 0', 'slow 0', 'fast 50', 'slow 40.5'])
})

test('of a line of flex the next one is asked once the first of them has gone, where more of it is left', () => {
  const pools = [
    { pool: 'fast', slots: 1, costPerHourMicros: 4n },
    { pool: 'slow', slots: 1, costPerHourMicros: 1n },
  ]
  // The whole of it is cheaper on the slow pool, the last two steps are on the fast one.
  const kind = {
    ...CLIP,
    steps: 15,
    paces: { fast: { stepMs: 800, overheadMs: 0 }, slow: { stepMs: 3_000, overheadMs: 2_000 } },
  }
  const onSlow = { ...CLIP, name: 'on slow', steps: 5, paces: { slow: { stepMs: 1_000, overheadMs: 0 } } }
  const flex = at(0, { tier: 'flex', accountId: 'flex', kind })
  const videos = [flex, flex, at(40_000, { kind: onSlow }), at(40_000, { kind: OWN })]
  expect(placesOf(videos, { pools, kinds: [kind, OWN, onSlow] })).toEqual([
    'slow 0',
    'fast 50',
    'slow 50',
    'slow 41',
    'fast 40',
  ])
})
