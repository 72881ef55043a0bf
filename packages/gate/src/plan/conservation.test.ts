import { SERVICE_TIERS } from '@sluice/shared/service-tier'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Demand, DemandedVideo, EndedVideo, PlannedAccount, VideoKind, VideoRun } from './demand.ts'
import { simulateDemand } from './simulate-demand.ts'

const POOLS = ['a', 'b', 'c']

/** Any small installation, and any demand of it. */
const someDemand = fc
  .record({
    slots: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 }),
    costs: fc.array(fc.option(fc.bigInt({ min: 1n, max: 5n })), { minLength: 3, maxLength: 3 }),
    switchMs: fc.constantFrom(0, 3_000),
    stepMs: fc.array(
      fc.array(fc.option(fc.integer({ min: 100, max: 4_000 })), { minLength: 3, maxLength: 3 }),
      { minLength: 1, maxLength: 3 },
    ),
    limits: fc.array(
      fc.record({
        weight: fc.constantFrom(50, 100, 400),
        account: fc.option(fc.integer({ min: 0, max: 2 })),
        key: fc.option(fc.integer({ min: 0, max: 2 })),
      }),
      { minLength: 3, maxLength: 3 },
    ),
    videos: fc.array(
      fc.record({
        afterMs: fc.integer({ min: 0, max: 9_000 }),
        kind: fc.nat(2),
        account: fc.nat(2),
        key: fc.nat(1),
        tier: fc.constantFrom(...SERVICE_TIERS),
        expiresAfterMs: fc.option(fc.integer({ min: 1_000, max: 200_000 })),
        slowness: fc.constantFrom(1, 1, 0.5, 2.5),
      }),
      { maxLength: 60 },
    ),
    horizonMs: fc.constantFrom(Number.POSITIVE_INFINITY, 60_000),
    flexRunMsMin: fc.constantFrom(0, 10_000),
    nearlyFreeMs: fc.constantFrom(0, 2_000),
  })
  .map(({ slots, costs, switchMs, stepMs, limits, videos, horizonMs, flexRunMsMin, nearlyFreeMs }) => {
    const kinds = stepMs.map(
      (paces, index): VideoKind => ({
        name: `kind ${index}`,
        model: index === 0 ? 'ink' : 'clay',
        steps: 5 + 10 * index,
        tokens: 1_000 * (index + 1),
        paces: Object.fromEntries(
          slots.flatMap((_, pool) => {
            const ms = paces[pool]
            return ms == null ? [] : [[POOLS[pool] ?? '', { stepMs: ms, overheadMs: 500, uploadMs: 0 }]]
          }),
        ),
      }),
    )
    let atMs = 0
    const demanded = videos.map((video): DemandedVideo => {
      atMs += video.afterMs
      return {
        atMs,
        accountId: `account ${video.account}`,
        keyId: `key ${video.key}`,
        tier: video.tier,
        kind: kinds[video.kind % kinds.length] as VideoKind,
        slowness: video.slowness,
        ...(video.expiresAfterMs === null ? {} : { expiresAfterMs: video.expiresAfterMs }),
      }
    })
    const accounts = limits.map(
      ({ weight, account, key }, index): PlannedAccount => ({
        id: `account ${index}`,
        weight,
        runningMax: account,
        keys: [{ id: 'key 0', runningMax: key }],
      }),
    )
    const pools = slots.map((count, index) => ({
      pool: POOLS[index] ?? '',
      slots: count,
      switchMs,
      costPerHourMicros: costs[index] ?? null,
    }))
    const settings = { flexRunMsMin, nearlyFreeMs }
    return { pools, kinds, accounts, videos: demanded, settings, horizonMs } satisfies Demand
  })

function watched(demand: Demand) {
  const ended: EndedVideo[] = []
  const runs: VideoRun[] = []
  const outcome = simulateDemand({
    ...demand,
    sampleEveryMs: 7_000,
    onEnded: (video) => ended.push(video),
    onRun: (run) => runs.push(run),
  })
  return { outcome, ended, runs }
}

test('every video ends once, or waits or runs at the horizon, and is counted in its tier, pool and account', () => {
  fc.assert(
    fc.property(someDemand, (demand) => {
      const { outcome, ended, runs } = watched(demand)
      const submitted = demand.videos.filter(({ atMs }) => atMs < demand.horizonMs)
      expect(ended.map(({ number }) => number).sort((a, b) => a - b)).toEqual(submitted.map((_, at) => at))
      for (const tier of SERVICE_TIERS) {
        const ofTier = ended.filter(({ video }) => video.tier === tier)
        const count = (of: EndedVideo['outcome']) => ofTier.filter((video) => video.outcome === of).length
        const started = ofTier.filter(({ startedAtMs }) => startedAtMs !== null)
        expect(outcome.tiers[tier]).toMatchObject({
          submitted: ofTier.length,
          completed: count('completed'),
          expired: count('expired'),
          running: count('running'),
          queued: count('queued'),
          yields: ofTier.reduce((sum, { yields }) => sum + yields, 0),
        })
        const waits = started.map(({ startedAtMs, video }) => (startedAtMs ?? 0) - video.atMs)
        expect([...outcome.tiers[tier].waitsMs]).toEqual(waits.sort((a, b) => a - b))
      }
      const sum = (values: Iterable<number>) => [...values].reduce((all, value) => all + value, 0)
      const tokens = sum(ended.map((one) => (one.outcome === 'completed' ? one.video.kind.tokens : 0)))
      const deviceMs = sum(runs.map(({ startedAtMs, endedAtMs }) => endedAtMs - startedAtMs))
      for (const grouping of [outcome.pools, outcome.accounts])
        expect(sum([...grouping.values()].map((one) => one.tokens))).toBe(tokens)
      expect(sum([...outcome.pools.values()].map(({ busyMs }) => busyMs))).toBeCloseTo(deviceMs, 3)
      expect(sum([...outcome.accounts.values()].map((one) => one.deviceMs))).toBeCloseTo(deviceMs, 3)
      for (const { busyMs, availableMs } of outcome.pools.values())
        expect(busyMs).toBeLessThanOrEqual(availableMs + 0.001)
    }),
    { numRuns: 300 },
  )
})

const atLeastOne = (limit: number | null) => (limit === null ? null : Math.max(1, limit))

test('what may run, on a pool that can make it, and does not expire, is completed', () => {
  fc.assert(
    fc.property(someDemand, (demand) => {
      const canBeMade = demand.videos.filter(({ kind }) => Object.keys(kind.paces).length > 0)
      const { ended } = watched({
        ...demand,
        videos: canBeMade.map(({ expiresAfterMs: _, ...video }) => video),
        accounts: demand.accounts.map(({ runningMax = null, keys = [], ...account }) => ({
          ...account,
          runningMax: atLeastOne(runningMax),
          keys: keys.map((key) => ({ ...key, runningMax: atLeastOne(key.runningMax ?? null) })),
        })),
        horizonMs: Number.POSITIVE_INFINITY,
      })
      expect(ended.map(({ outcome }) => outcome)).toEqual(canBeMade.map(() => 'completed'))
    }),
    { numRuns: 500 },
  )
})

test('no slot makes two videos at a time, no video is on two slots, and none on a pool that cannot make it', () => {
  fc.assert(
    fc.property(someDemand, (demand) => {
      const { runs } = watched(demand)
      const byStart = runs.toSorted((a, b) => a.startedAtMs - b.startedAtMs)
      for (const same of [
        Map.groupBy(byStart, ({ pool, slot }) => `${pool} ${slot}`),
        Map.groupBy(byStart, ({ number }) => number),
      ])
        for (const ofOne of same.values())
          for (const [at, run] of ofOne.entries())
            expect(run.startedAtMs).toBeGreaterThanOrEqual(ofOne[at - 1]?.endedAtMs ?? 0)
      for (const { number, pool, slot } of runs) {
        expect(demand.videos[number]?.kind.paces[pool]).toBeDefined()
        expect(slot).toBeLessThan(demand.pools.find((one) => one.pool === pool)?.slots ?? 0)
      }
    }),
    { numRuns: 300 },
  )
})

test('no more videos of an account and of a key are on slots at a time than may run at once', () => {
  fc.assert(
    fc.property(someDemand, (demand) => {
      const { runs } = watched(demand)
      const owners = (number: number) => demand.videos[number] as DemandedVideo
      for (const { startedAtMs } of runs) {
        const now = runs.filter((run) => run.startedAtMs <= startedAtMs && startedAtMs < run.endedAtMs)
        for (const { id, runningMax, keys = [] } of demand.accounts) {
          const ofAccount = now.filter(({ number }) => owners(number).accountId === id)
          expect(ofAccount.length).toBeLessThanOrEqual(runningMax ?? Number.POSITIVE_INFINITY)
          const ofKey = ofAccount.filter(({ number }) => owners(number).keyId === keys[0]?.id)
          expect(ofKey.length).toBeLessThanOrEqual(keys[0]?.runningMax ?? Number.POSITIVE_INFINITY)
        }
      }
    }),
    { numRuns: 300 },
  )
})

test('a video takes what its pace says times its slowness, however often it made room, and each run its overhead', () => {
  fc.assert(
    fc.property(someDemand, (demand) => {
      const { ended, runs } = watched(demand)
      for (const { number, video, outcome, yields } of ended) {
        if (outcome !== 'completed') continue
        const own = runs.filter((run) => run.number === number)
        expect(own.length).toBe(yields + 1)
        // In steps, whichever pool made them.
        const steps = own.reduce((sum, { pool, startedAtMs, endedAtMs, switchMs }) => {
          const pace = video.kind.paces[pool] ?? { stepMs: Number.NaN, overheadMs: 0 }
          const workMs = (endedAtMs - startedAtMs - switchMs) / (video.slowness ?? 1)
          return sum + (workMs - pace.overheadMs) / pace.stepMs
        }, 0)
        expect(steps).toBeCloseTo(video.kind.steps, 6)
      }
    }),
    { numRuns: 300 },
  )
})

test('videos of one key, kind and tier start in the order in which they were submitted', () => {
  fc.assert(
    fc.property(someDemand, (demand) => {
      const { ended } = watched(demand)
      const lines = Map.groupBy(
        ended.filter(({ startedAtMs }) => startedAtMs !== null).toSorted((a, b) => a.number - b.number),
        ({ video }) => `${video.accountId} ${video.keyId} ${video.tier} ${video.kind.name}`,
      )
      // On several pools one may wait for a faster one.
      if (demand.pools.length > 1) return
      // A slot is given away a moment before it is free, and by then another may be free sooner.
      for (const line of lines.values())
        for (const [at, video] of line.entries())
          expect(video.startedAtMs).toBeGreaterThanOrEqual(
            (line[at - 1]?.startedAtMs ?? 0) - demand.settings.nearlyFreeMs,
          )
    }),
    { numRuns: 300 },
  )
})

test('no slot is idle while a video waits that may go, and the same demand comes out the same', () => {
  fc.assert(
    fc.property(someDemand, (demand) => {
      // One pool, one account without limits, decisions when a slot is free.
      const alone = {
        ...demand,
        pools: demand.pools.slice(0, 1),
        videos: demand.videos.map((video) => ({ ...video, accountId: 'alone' })),
        settings: { ...demand.settings, nearlyFreeMs: 0 },
      }
      const { runs, ended } = watched(alone)
      expect(watched(alone)).toEqual(watched(alone))
      const slots = alone.pools[0]?.slots ?? 0
      for (const { endedAtMs: nowMs } of runs) {
        if (nowMs >= alone.horizonMs) continue
        const busy = runs.filter((run) => run.startedAtMs <= nowMs && nowMs < run.endedAtMs).length
        const waiting = ended.filter(
          ({ video, startedAtMs, endedAtMs }) =>
            video.kind.paces.a !== undefined &&
            video.atMs < nowMs &&
            (startedAtMs ?? endedAtMs) > nowMs &&
            endedAtMs > nowMs,
        )
        if (waiting.length > 0) expect(busy).toBe(slots)
      }
    }),
    { numRuns: 300 },
  )
})
