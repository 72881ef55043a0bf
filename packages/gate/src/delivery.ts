import { type Fleet, type InFlight, occupantsOf, type Pool } from './fleet.ts'
import { fitsPool } from './pool-fits.ts'

/*
 * What the gate makes of dispatches that nobody takes. A worker takes a job as soon as one of its slots is
 * free or nearly so; one that does not, though its heartbeats come, cannot reach its queue.
 */

/**
 * A job on a queue with a free device is taken within milliseconds, so what is untaken after this long goes
 * to another pool, if there is one that could start it now. Without one it waits for the whole lease.
 */
const UNTAKEN_MS_MAX = 5_000

/** The attempts that nobody took and that another pool could start now; no two for the same free slot. */
export function movable(fleet: Pick<Fleet, 'pools' | 'inFlight'>): InFlight[] {
  const stuck = fleet.inFlight.filter((attempt) => isStuck(fleet, attempt))
  if (stuck.length === 0) return []
  const free = new Map(fleet.pools.map((pool) => [pool, pool.slots - occupantsOf(fleet, pool).length]))
  return stuck.filter((attempt) => {
    const other = fleet.pools.find(
      (pool) =>
        pool.queue !== attempt.queue &&
        pool.untaken === 0 &&
        (free.get(pool) ?? 0) > 0 &&
        fitsPool(pool, attempt.shape),
    )
    if (other === undefined) return false
    free.set(other, (free.get(other) ?? 0) - 1)
    return true
  })
}

/** Whether nobody takes the attempt though a device is free: it does not wait for a nearly free one. */
function isStuck({ pools, inFlight }: Pick<Fleet, 'pools' | 'inFlight'>, attempt: InFlight): boolean {
  if (attempt.isTaken || attempt.dispatchedMs < UNTAKEN_MS_MAX) return false
  const slots = pools.find((pool) => pool.queue === attempt.queue)?.slots
  const taken = inFlight.filter((other) => other.queue === attempt.queue && other.isTaken)
  return slots === undefined || taken.length < slots
}

/** How many videos may be put into the queue now; after an untaken one it is tried with a single one. */
export function takesNow(fleet: Pick<Fleet, 'inFlight'>, pool: Pool): number {
  if (pool.isPaused) return 0
  if (pool.untaken === 0) return pool.slots
  const isTried = fleet.inFlight.some((attempt) => attempt.queue === pool.queue && !attempt.isTaken)
  return isTried ? 0 : 1
}

/**
 * A pool that takes what it is given is filled before one that does not, and one that can make less before
 * one that can make more, which then has room for what only it can make.
 */
export function inOrderOfFilling<Filled extends Pick<Pool, 'untaken' | 'capabilities'>>(
  pools: readonly Filled[],
): Filled[] {
  return pools.toSorted((a, b) => a.untaken - b.untaken || a.capabilities.length - b.capabilities.length)
}
