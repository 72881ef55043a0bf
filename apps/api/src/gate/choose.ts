import type { ServiceTier } from '../videos/video.ts'

/** The next video in one account's line that this pool could run. */
export interface Head {
  videoId: string
  accountId: string
  /** Share of the pool an account gets against others, 100 = normal. */
  weight: number
  tier: ServiceTier
  /** Predicted GPU milliseconds on this pool. */
  costMs: number
  /** Milliseconds until it expires. */
  expiresInMs: number
}

/** What the gate looks at for one pool; plain data, so that the planner and the forecast decide exactly as the gate does. */
export interface PoolSnapshot {
  pool: string
  slots: number
  /** Slots that are free or nearly free and promised to nobody. */
  freeSlots: number
  /** Slots each account holds. */
  heldByAccount: ReadonlyMap<string, number>
  /** Whether more than one account has been active lately. */
  isShared: boolean
  heads: readonly Head[]
}

/** Virtual time by lane: the lane's clock and each account's finish tag, in weighted GPU milliseconds. */
export interface VirtualTime {
  clockMs: ReadonlyMap<ServiceTier, number>
  finishMs: (lane: ServiceTier, accountId: string) => number | undefined
}

export interface Choice {
  head: Head
  lane: ServiceTier
  startTagMs: number
  finishTagMs: number
}

const LANES: readonly ServiceTier[] = ['priority', 'standard', 'flex']
/** A flex video runs as standard once what is left to its deadline is this many times its own length, or this long. */
const PROMOTION_LENGTHS = 10
const PROMOTION_MS_MIN = 3_600_000

/**
 * Who goes next on a pool, or null: start-time fair queueing over accounts (Goyal, Vin, Cheng 1996) within the first lane
 * that has anyone to serve. An account's head starts at the later of the lane's clock and the account's last finish; the
 * earliest start goes first. An account at its cap is passed over, so that it can't fill the pool while others come and go.
 */
export function chooseNext(snapshot: PoolSnapshot, time: VirtualTime, accountSharePercent: number): Choice | null {
  if (snapshot.freeSlots <= 0) return null
  const cap = accountCap(snapshot, accountSharePercent)
  const eligible = snapshot.heads.filter((head) => (snapshot.heldByAccount.get(head.accountId) ?? 0) < cap)
  for (const lane of LANES) {
    let best: Choice | null = null
    for (const head of eligible) {
      if (laneOf(head) !== lane) continue
      const startTagMs = Math.max(time.clockMs.get(lane) ?? 0, time.finishMs(lane, head.accountId) ?? 0)
      const isEarlier =
        best === null || startTagMs < best.startTagMs || (startTagMs === best.startTagMs && head.videoId < best.head.videoId)
      if (isEarlier) best = { head, lane, startTagMs, finishTagMs: startTagMs + (head.costMs * 100) / head.weight }
    }
    if (best !== null) return best
  }
  return null
}

/** Slots one account may hold. Alone it may have them all; among others one slot at least stays out of its reach where there are two. */
export function accountCap(snapshot: Pick<PoolSnapshot, 'slots' | 'isShared'>, accountSharePercent: number): number {
  if (!snapshot.isShared) return snapshot.slots
  return Math.max(1, Math.floor((snapshot.slots * accountSharePercent) / 100))
}

/** The lane a head stands in: its tier's, or standard for a flex video whose deadline nears. */
export function laneOf(head: Pick<Head, 'tier' | 'costMs' | 'expiresInMs'>): ServiceTier {
  if (head.tier !== 'flex') return head.tier
  return head.expiresInMs <= Math.max(PROMOTION_MS_MIN, head.costMs * PROMOTION_LENGTHS) ? 'standard' : 'flex'
}
