import { SERVICE_TIERS } from '@sluice/shared/service-tier'
import type { PlannedPool } from './plan.ts'
import type { Simulated } from './simulate.ts'
import type { WaitBound } from './wait-bound.ts'

/** Whether what comes in some time takes longer than that on some of the pools. */
export function isOverloaded({ pools, poolTimes, spanMs }: Simulated): boolean {
  return pools.some(({ pool, slots }) => (poolTimes.get(pool)?.busyMs ?? 0) > slots * spanMs)
}

/** Whether the videos waited no longer than allowed, and were made in the time in which they came. */
export function keepsBound(simulated: Simulated, bound: WaitBound): boolean {
  if (isOverloaded(simulated)) return false
  return SERVICE_TIERS.every((tier) => {
    const { expired, wait } = simulated.tiers[tier]
    const waitMs = bound.share === 0.9 ? wait.p90Ms : wait.p99Ms
    return expired === 0 && (waitMs ?? 0) <= bound.waitMsMax[tier]
  })
}

/**
 * The pools with `slots` slots in all, in the proportions of `pools`, each with at least one: slot after slot
 * goes to the pool that has the least for its part (Webster's method, so that no pool ever loses one when
 * there is one more).
 */
export function withSlots(pools: readonly PlannedPool[], slots: number): PlannedPool[] {
  const given = pools.map(() => 1)
  for (let left = slots - pools.length; left > 0; left -= 1) {
    let next = 0
    for (const [index, pool] of pools.entries()) {
      const [part, best] = [pool.slots, pools[next]?.slots ?? 0]
      if (part / ((given[index] ?? 0) + 0.5) > best / ((given[next] ?? 0) + 0.5)) next = index
    }
    given[next] = (given[next] ?? 0) + 1
  }
  return pools.map((pool, index) => ({ ...pool, slots: given[index] ?? 1 }))
}

/** What is known before anything is simulated: see `Load`. */
interface Expected {
  /** Fewer cannot be enough. */
  fewest: number
  /** About so many are. */
  likely: number
  /** When these are not, more are not either. */
  most: number
}

/**
 * The fewest slots with which the bound is kept; to one in a hundred where there are hundreds. Null when no
 * number of them keeps it: the limit of an account makes its videos wait.
 */
export function findCapacity(
  pools: readonly PlannedPool[],
  expected: Expected,
  /** Null = the bound is not kept. */
  simulateWithin: (pools: readonly PlannedPool[]) => Simulated | null,
): Simulated | null {
  const fewest = Math.max(pools.length, expected.fewest)
  const most = Math.max(fewest, expected.most)
  const likely = Math.min(most, Math.max(fewest, expected.likely))
  // The most that are known to be too few, and the fewest that are known to be enough.
  let tooFew = fewest - 1
  let enough: { slots: number; simulated: Simulated } | null = null
  const isEnough = (slots: number) => {
    const simulated = simulateWithin(withSlots(pools, slots))
    if (simulated === null) tooFew = slots
    else enough = { slots, simulated }
    return simulated !== null
  }
  const step = Math.max(1, likely >> 6)
  if (isEnough(likely)) {
    for (let by = step; likely - by > tooFew && isEnough(likely - by); by *= 2);
  } else {
    for (let by = step; !isEnough(Math.min(most, likely + by)); by *= 2) if (tooFew === most) return null
  }
  return bisect()

  function bisect(): Simulated | null {
    const found = enough as { slots: number; simulated: Simulated } | null
    if (found === null) return null
    if (found.slots - tooFew <= Math.max(1, found.slots / 100)) return found.simulated
    isEnough((tooFew + found.slots) >> 1)
    return bisect()
  }
}
