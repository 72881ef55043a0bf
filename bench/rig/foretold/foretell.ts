import type { PaceRow } from '@sluice/gate/pace'
import type { DemandOutcome, VideoKind } from '@sluice/gate/plan/demand'
import { simulateDemand } from '@sluice/gate/plan/simulate-demand'
import { SERVICE_TIERS } from '@sluice/shared/service-tier'
import { ACCOUNTS, type Asked, SHAPES, type Shape, WORKERS } from './load.ts'
import type { MadeVideo } from './service.ts'

/** A figure, as it was foretold and as it came. */
export interface Foretold {
  name: string
  foretold: number
  real: number
}

/** Shares of the time from the first submission to the last end, by pool and of all. */
export function utilisations(
  asked: readonly Asked[],
  paces: readonly PaceRow[],
  made: readonly MadeVideo[],
): Foretold[] {
  const { pools, endedAtMs } = foretell(asked, paces)
  const realEndMs = Math.max(...made.map(({ endedAtMs: atMs }) => atMs))
  const ofPool = WORKERS.map(({ pool, slots }) => ({
    name: pool,
    slots,
    foretoldMs: pools.get(pool)?.busyMs ?? 0,
    realMs: sum(made.flatMap(({ runs }) => runs.flatMap((run) => (run.pool === pool ? run.ms : [])))),
  }))
  const all = {
    name: 'all',
    slots: sum(ofPool.map(({ slots }) => slots)),
    foretoldMs: sum(ofPool.map(({ foretoldMs }) => foretoldMs)),
    realMs: sum(ofPool.map(({ realMs }) => realMs)),
  }
  return [...ofPool, all].map(({ name, slots, foretoldMs, realMs }) => ({
    name,
    foretold: foretoldMs / (slots * (endedAtMs - (asked[0]?.atMs ?? 0))),
    real: realMs / (slots * realEndMs),
  }))
}

/** Mean seconds from a submission until its device begins, by tier and of all. */
export function tierWaits(
  asked: readonly Asked[],
  paces: readonly PaceRow[],
  made: readonly MadeVideo[],
): Foretold[] {
  const { tiers } = foretell(asked, paces)
  const ofTier = SERVICE_TIERS.map((tier) => ({
    name: tier,
    foretold: [...tiers[tier].waitsMs],
    real: made.flatMap((video) => (video.tier === tier ? video.waitedMs : [])),
  }))
  const all = {
    name: 'all',
    foretold: ofTier.flatMap(({ foretold }) => foretold),
    real: ofTier.flatMap(({ real }) => real),
  }
  const mean = (ms: number[]) => sum(ms) / ms.length / 1_000
  return [...ofTier, all].map(({ name, foretold, real }) => ({
    name,
    foretold: mean(foretold),
    real: mean(real),
  }))
}

const DAY_MS = 86_400_000

function foretell(asked: readonly Asked[], paces: readonly PaceRow[]): DemandOutcome {
  const kinds = new Map(SHAPES.map((shape) => [shape, kindOf(shape, paces)]))
  return simulateDemand({
    pools: WORKERS.map(({ pool, slots }) => ({ pool, slots })),
    kinds: [...kinds.values()],
    accounts: ACCOUNTS.map(({ weight, runningMax }, index) => ({
      id: `account ${index}`,
      weight,
      runningMax,
    })),
    videos: asked.map(({ atMs, account, tier, shape }) => {
      const kind = kinds.get(shape)
      if (kind === undefined) throw new RangeError('a shape of no kind')
      return { atMs, accountId: `account ${account}`, tier, kind, expiresAfterMs: DAY_MS }
    }),
    horizonMs: Number.POSITIVE_INFINITY,
  })
}

function kindOf({ size, num_frames: frames, num_steps: steps }: Shape, rows: readonly PaceRow[]): VideoKind {
  const ofShape = rows.filter((row) => `${row.width}x${row.height}` === size && row.num_frames === frames)
  const paces = ofShape.map(
    (row) => [row.pool, { stepMs: row.step_ms, overheadMs: row.overhead_ms }] as const,
  )
  const name = `${size} ${frames}`
  return { name, model: 'animatic', steps, tokens: 1, paces: Object.fromEntries(paces) }
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
