import { predictDeviceMs } from '@sluice/gate/pace'
import {
  type BacklogSample,
  type DemandOutcome,
  type EndedVideo,
  type PoolOutcome,
  quantile,
  type VideoKind,
} from '@sluice/gate/plan/demand'
import { simulateDemand } from '@sluice/gate/plan/simulate-demand'
import { fitsPool } from '@sluice/gate/pool-fits'
import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import type { Arrivals, Kinds } from './arrivals.ts'
import type { Plan, PlannedPool, PlannedVideo } from './plan.ts'
import type { WaitBound } from './wait-bound.ts'

/** How often what waits and runs is noted down. */
const SAMPLE_MS = 10 * 60_000

/** What came of the videos of a plan on these pools. */
export interface Simulated {
  pools: readonly PlannedPool[]
  /** How long videos came. */
  spanMs: number
  /** When the last one was there. */
  endedAtMs: number
  tiers: Record<ServiceTier, TierWaits>
  poolTimes: ReadonlyMap<string, PoolTimes>
  ended: readonly EndedGroup[]
  backlog: readonly BacklogSample[]
}

interface TierWaits {
  videos: number
  expired: number
  /** Times that videos made room for others. */
  yields: number
  /** From submission to the first start. */
  wait: Quantiles
  /** From submission to the end. */
  turnaround: Quantiles
}

/** Milliseconds that half, nine in ten and 99 in 100 do not exceed; null of none. */
export interface Quantiles {
  p50Ms: number | null
  p90Ms: number | null
  p99Ms: number | null
  longestMs: number | null
}

/** Videos of one kind and tier that ended on one pool. */
export interface EndedGroup {
  video: PlannedVideo
  tier: ServiceTier
  /** Where they ran last; empty = nowhere. */
  pool: string
  completed: number
  expired: number
  /** Device time of all their runs, with switches. */
  busyMs: number
}

/** Time of a pool's slots, by its own clock. */
export type PoolTimes = Pick<PoolOutcome, 'busyMs' | 'switchedMs' | 'switches'>

/** The kinds of videos in the mix: those of one model, shape and number of steps, whoever submits them. */
export function kindsOf({ mix, pools, paces }: Pick<Plan, 'mix' | 'pools' | 'paces'>): Kinds {
  const byName = new Map<string, VideoKind>()
  const ofMix = mix.map((video) => {
    const name = kindName(video)
    const known = byName.get(name)
    if (known !== undefined) return known
    const makers = pools.filter((pool) => fitsPool(pool, video))
    const kind: VideoKind = {
      name,
      model: video.model,
      steps: video.num_steps,
      tokens: Number(video.tokens),
      paces: Object.fromEntries(
        makers.map((pool) => {
          const overheadMs = predictDeviceMs(paces, pool, video, 0)
          return [pool.pool, { overheadMs, stepMs: predictDeviceMs(paces, pool, video, 1) - overheadMs }]
        }),
      ),
    }
    byName.set(name, kind)
    return kind
  })
  return { all: [...byName.values()], ofMix }
}

function kindName(video: PlannedVideo): string {
  const { capability, resolution, width, height, num_frames, num_steps, video_tokens } = video
  return `${capability} ${resolution} ${width}x${height} ${num_frames} frames ${num_steps} steps ${video_tokens}`
}

/** A simulation is broken off as soon as the bound cannot be kept any more. */
export interface BreakOff {
  bound: WaitBound
  videosOfTier: Readonly<Record<ServiceTier, number>>
}

class BrokenOff extends Error {}

interface SimulatedOn {
  kinds: Kinds
  arrivals: Arrivals
}

/**
 * Puts the videos of a plan through the rules of the gate, on these pools instead of the plan's own. Null
 * when it was broken off.
 */
export function simulateUnless(
  plan: Plan,
  pools: readonly PlannedPool[],
  { breakOff, ...on }: SimulatedOn & { breakOff: BreakOff },
): Simulated | null {
  const { bound, videosOfTier } = breakOff
  const lateLeft = SERVICE_TIERS.map((tier) => videosOfTier[tier] * (1 - bound.share))
  try {
    return simulatePlan(plan, pools, {
      ...on,
      onEnded: ({ video, outcome, startedAtMs }) => {
        const tier = SERVICE_TIERS.indexOf(video.tier)
        const waitMs = (startedAtMs ?? Number.POSITIVE_INFINITY) - video.atMs
        if (waitMs > bound.waitMsMax[video.tier]) lateLeft[tier] = (lateLeft[tier] ?? 0) - 1
        if (outcome === 'expired' || (lateLeft[tier] ?? 0) < -1) throw new BrokenOff()
      },
    })
  } catch (error) {
    if (error instanceof BrokenOff) return null
    throw error
  }
}

/** Puts the videos of a plan through the rules of the gate, on these pools instead of the plan's own. */
export function simulatePlan(
  plan: Plan,
  pools: readonly PlannedPool[],
  { kinds, arrivals, onEnded = () => {} }: SimulatedOn & { onEnded?: (ended: EndedVideo) => void },
): Simulated {
  const counts = new Counts(plan.mix, kinds)
  const outcome = simulateDemand({
    pools: pools.map(({ pool, slots, switchMs, slotPriceMicrosPerHour }) => ({
      pool,
      slots,
      costPerHourMicros: slotPriceMicrosPerHour,
      switchMs: kinds.all.some(({ model }) => model !== kinds.all[0]?.model) ? switchMs : 0,
    })),
    kinds: kinds.all,
    accounts: plan.accounts.map(({ account, weight, runningMax }) => ({ id: account, weight, runningMax })),
    videos: arrivals.videos(),
    settings: { accountSharePercent: plan.accountSharePercent, switchWaitMsMax: plan.switchWaitMsMax },
    horizonMs: Number.POSITIVE_INFINITY,
    sampleEveryMs: SAMPLE_MS,
    onEnded: (ended) => {
      onEnded(ended)
      counts.add(ended)
    },
  })
  return {
    pools,
    spanMs: arrivals.spanMs,
    endedAtMs: outcome.endedAtMs,
    tiers: Object.fromEntries(
      SERVICE_TIERS.map((tier) => [tier, waitsOf(outcome.tiers[tier])]),
    ) as Simulated['tiers'],
    poolTimes: outcome.pools,
    ended: counts.groups,
    backlog: outcome.backlog,
  }
}

function waitsOf(tier: DemandOutcome['tiers'][ServiceTier]): TierWaits {
  return {
    videos: tier.submitted,
    expired: tier.expired,
    yields: tier.yields,
    wait: quantilesOf(tier.waitsMs),
    turnaround: quantilesOf(tier.turnaroundsMs),
  }
}

function quantilesOf(risingMs: Float64Array): Quantiles {
  const at = (share: number) => (risingMs.length === 0 ? null : quantile(risingMs, share))
  return { p50Ms: at(0.5), p90Ms: at(0.9), p99Ms: at(0.99), longestMs: at(1) }
}

/** Counts what ended, by kind, tier and pool. */
class Counts {
  readonly groups: EndedGroup[] = []
  /** By kind and pool; of each one for every tier. */
  readonly #known = new Map<VideoKind, Map<string, EndedGroup[]>>()
  readonly #videos: ReadonlyMap<VideoKind, PlannedVideo>

  constructor(mix: Plan['mix'], kinds: Kinds) {
    this.#videos = new Map(kinds.ofMix.map((kind, index) => [kind, mix[index] as PlannedVideo]))
  }

  add({ video, outcome, pool, deviceMs }: EndedVideo): void {
    const group = this.#groupOf(video.kind, video.tier, pool ?? '')
    group.busyMs += deviceMs
    if (outcome === 'completed') group.completed += 1
    else group.expired += 1
  }

  #groupOf(kind: VideoKind, tier: ServiceTier, pool: string): EndedGroup {
    const pools = this.#known.get(kind) ?? new Map<string, EndedGroup[]>()
    this.#known.set(kind, pools)
    const tiers = pools.get(pool) ?? []
    pools.set(pool, tiers)
    const number = SERVICE_TIERS.indexOf(tier)
    const known = tiers[number]
    if (known !== undefined) return known
    const video = this.#videos.get(kind) as PlannedVideo
    const group = { video, tier, pool, completed: 0, expired: 0, busyMs: 0 }
    this.groups.push(group)
    tiers[number] = group
    return group
  }
}
