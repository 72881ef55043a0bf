import { Heap } from '@sluice/gate/heap'
import type { VideoKind } from '@sluice/gate/plan/demand'
import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import type { Arrivals } from './arrivals.ts'
import type { PlannedPool } from './plan.ts'
import type { WaitBound } from './wait-bound.ts'

/** How fine what comes is looked at. */
const STEP_MS = 10 * 60_000

/** What videos ask of pools, before anything is simulated. */
export interface Load {
  videos: number
  tokens: bigint
  videosOfTier: Readonly<Record<ServiceTier, number>>
  /** Slots that they keep busy on average. */
  meanSlots: number
  /** Slots that would be busy at the same time if nobody waited: at the most, and as 99 in 100 find them. */
  peakSlots: number
  usualSlots: number
  /** Device time that comes in each step of time, by tier. */
  workMs: Readonly<Record<ServiceTier, number[]>>
}

/** What the videos ask of these pools, each made at the mean pace of those that make it. */
export function loadOf(arrivals: Arrivals, pools: readonly PlannedPool[]): Load {
  const costs = new Map<VideoKind, number>()
  const steps = Math.ceil(arrivals.spanMs / STEP_MS)
  const zeros = () => Array.from({ length: steps }, () => 0)
  const workMs = { priority: zeros(), standard: zeros(), flex: zeros() }
  const videosOfTier = { priority: 0, standard: 0, flex: 0 }
  const ends = new Heap<number>((a, b) => a < b)
  const found: number[] = []
  let [videos, tokens, deviceMs] = [0, 0, 0]
  for (const { kind, tier, atMs } of arrivals.videos()) {
    let costMs = costs.get(kind)
    if (costMs === undefined) {
      costMs = meanMs(kind, pools)
      costs.set(kind, costMs)
    }
    videos += 1
    tokens += kind.tokens
    deviceMs += costMs
    videosOfTier[tier] += 1
    const step = Math.floor(atMs / STEP_MS)
    workMs[tier][step] = (workMs[tier][step] ?? 0) + costMs
    for (let end = ends.peek(); end !== undefined && end <= atMs; end = ends.peek()) ends.pop()
    ends.push(atMs + costMs)
    found[ends.size] = (found[ends.size] ?? 0) + 1
  }
  return {
    videos,
    tokens: BigInt(tokens),
    videosOfTier,
    meanSlots: deviceMs / arrivals.spanMs,
    peakSlots: Math.max(0, found.length - 1),
    usualSlots: quantileOf(found, videos * 0.99),
    workMs,
  }
}

function meanMs(kind: VideoKind, pools: readonly PlannedPool[]): number {
  const makers = pools.flatMap(({ pool, slots }) => {
    const pace = kind.paces[pool]
    return pace === undefined ? [] : [{ slots, ms: pace.overheadMs + pace.stepMs * kind.steps }]
  })
  // A fast pool makes more of them.
  const slots = makers.reduce((sum, maker) => sum + maker.slots, 0)
  return slots / makers.reduce((sum, maker) => sum + maker.slots / maker.ms, 0)
}

/** The lowest number that so many of the counted ones do not exceed. */
function quantileOf(counts: readonly (number | undefined)[], wanted: number): number {
  let sum = 0
  for (let number = 0; number < counts.length; number += 1) {
    sum += counts[number] ?? 0
    if (sum >= wanted) return number
  }
  return Math.max(0, counts.length - 1)
}

/**
 * About how many slots keep the bound, were work a fluid that flows tier after tier: right for large numbers,
 * and a place to begin for small ones.
 */
export function likelySlots(load: Load, bound: WaitBound): number {
  if (bound.share === 0.99) return load.usualSlots
  let [tooFew, enough] = [Math.floor(load.meanSlots), Math.max(1, load.peakSlots)]
  while (enough - tooFew > 1) {
    const slots = (tooFew + enough) >> 1
    if (keepsAsFluid(load, bound, slots)) enough = slots
    else tooFew = slots
  }
  return enough
}

function keepsAsFluid({ workMs, videosOfTier }: Load, bound: WaitBound, slots: number): boolean {
  const backlogMs = { priority: 0, standard: 0, flex: 0 }
  const lateMs = { priority: 0, standard: 0, flex: 0 }
  for (let step = 0; step < workMs.priority.length; step += 1) {
    let capacityMs = slots * STEP_MS
    let aheadMs = 0
    for (const tier of SERVICE_TIERS) {
      const comes = workMs[tier][step] ?? 0
      backlogMs[tier] += comes
      const served = Math.min(backlogMs[tier], capacityMs)
      backlogMs[tier] -= served
      capacityMs -= served
      aheadMs += backlogMs[tier]
      if (aheadMs / slots > bound.waitMsMax[tier]) lateMs[tier] += comes
    }
  }
  return SERVICE_TIERS.every((tier) => {
    const all = workMs[tier].reduce((sum, ms) => sum + ms, 0)
    return videosOfTier[tier] === 0 || lateMs[tier] <= (1 - bound.share) * all
  })
}
