import { NEARLY_FREE_MS } from '@sluice/shared/attempt-contract'
import type { ServiceTier } from '@sluice/shared/service-tier'
import type { Head } from './choose.ts'
import { Heap } from './heap.ts'
import type { SlotState } from './loaded-slots.ts'
import type { Paces } from './pace.ts'
import type { FittedShape, PoolLimits } from './pool-fits.ts'
import type { RunningCounts } from './running-counts.ts'
import type { VirtualTime } from './virtual-time.ts'

/** The living workers of one pool that read the same queue, as they declare it. */
export interface Pool extends PoolLimits {
  pool: string
  queue: string
  device: string
  slots: number
  /** Dispatches in a row that nobody took; 0 = the last one was taken, or there was none. */
  untaken: number
  /** Nothing is put into the queue for now, since nobody took what was put there. */
  isPaused: boolean
  /** Its slots, and what they have loaded. */
  loaded: readonly SlotState[]
  /** What a switch of models takes there. */
  switchMs: number
  /** The longest that a video is passed over there because of what is loaded. */
  switchWaitMsMax: number
  /** What a slot costs an hour, on average over its workers; null when one of them has not declared it. */
  costPerHourMicros: bigint | null
}

/** An attempt that has not given its device back. */
export interface InFlight {
  videoId: string
  accountId: string
  keyId: string
  tier: ServiceTier
  pool: string
  queue: string
  fence: number
  shape: FittedShape
  model: string
  /** Whose slot it has; null until it is taken. */
  worker: string | null
  slot: number | null
  /** A worker has taken it off the queue. */
  isTaken: boolean
  /** Milliseconds since its dispatch. */
  dispatchedMs: number
  isRunning: boolean
  isYielding: boolean
  /** It was dispatched before, and came back to the queue. */
  cameBack: boolean
  /** Milliseconds since its runner began; 0 before that. */
  ranMs: number
  expiresInMs: number
  /** Milliseconds until the worker expects the device to be free; null when it has not said. */
  freeInMs: number | null
  /** Predicted milliseconds until its device is free. */
  leftMs: number
  /** Predicted milliseconds from then until it is stored. */
  uploadMs: number
}

/** One look at all pools. */
export interface Fleet {
  pools: Pool[]
  inFlight: InFlight[]
  /** Flex videos that wait, whichever pool could make them. */
  flexQueued: number
  /** Kept up to date by whoever dispatches, as `running` is. */
  time: VirtualTime
  running: RunningCounts
  paces: Paces
}

/**
 * An attempt occupies its slot until the device is free or nearly so; from then on the slot may get its next
 * video.
 */
export function occupiesSlot(attempt: Pick<InFlight, 'freeInMs'>): boolean {
  return attempt.freeInMs === null || attempt.freeInMs > NEARLY_FREE_MS
}

/**
 * Milliseconds until each slot of a pool is free, the first one first. What follows a nearly finished attempt
 * begins when that ends.
 */
export function slotsFreeInMs(
  fleet: { inFlight: readonly Pick<InFlight, 'queue' | 'isRunning' | 'freeInMs' | 'leftMs'>[] },
  pool: Pick<Pool, 'queue' | 'slots'>,
): number[] {
  const freeMs = new Heap<number>((a, b) => a < b)
  for (let slot = 0; slot < pool.slots; slot += 1) freeMs.push(0)
  const inFlight = fleet.inFlight.filter(({ queue }) => queue === pool.queue)
  for (const attempt of inFlight.sort((a, b) => Number(b.isRunning) - Number(a.isRunning))) {
    const startMs = freeMs.pop()
    if (startMs !== undefined) freeMs.push(startMs + Math.max(0, attempt.freeInMs ?? attempt.leftMs))
  }
  const sorted: number[] = []
  for (let ms = freeMs.pop(); ms !== undefined; ms = freeMs.pop()) sorted.push(ms)
  return sorted
}

/** What occupies one pool's slots. */
export function occupantsOf(fleet: Pick<Fleet, 'inFlight'>, pool: Pick<Pool, 'queue'>): InFlight[] {
  return fleet.inFlight.filter((attempt) => attempt.queue === pool.queue && occupiesSlot(attempt))
}

/**
 * The accounts whose share of the pool counts: those with a video that is in flight on it, or waits for it
 * and may run. However long ago it was submitted; and what has ended counts for nothing, however lately.
 * `heads`: of the queues it could serve.
 */
export function activeAccounts(
  fleet: Pick<Fleet, 'inFlight'>,
  pool: Pick<Pool, 'queue'>,
  heads: Iterable<Pick<Head, 'accountId' | 'accountRunningMax' | 'keyRunningMax'>>,
): ReadonlySet<string> {
  const active = new Set<string>()
  for (const attempt of fleet.inFlight) if (attempt.queue === pool.queue) active.add(attempt.accountId)
  for (const { accountId, accountRunningMax, keyRunningMax } of heads) {
    // No slot need be kept for one whose limit lets none of it run.
    if (accountRunningMax !== 0 && keyRunningMax !== 0) active.add(accountId)
  }
  return active
}

/** How many slots each account occupies. */
export function slotsByAccount(occupants: readonly Pick<InFlight, 'accountId'>[]): Map<string, number> {
  const occupied = new Map<string, number>()
  for (const { accountId } of occupants) occupied.set(accountId, (occupied.get(accountId) ?? 0) + 1)
  return occupied
}
