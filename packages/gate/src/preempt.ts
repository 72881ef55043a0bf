import { type FairQueue, type Head, IN_ORDER, type Others, tierOf } from './choose.ts'
import { type Fleet, type InFlight, occupiesSlot, type Pool } from './fleet.ts'
import type { Owner, RunningCounts } from './running-counts.ts'

/** Who occupies how much of one pool. */
export interface PoolShares {
  /** Slots of the pool each account occupies. */
  occupied: Map<string, number>
  /** Slots of the pool one account may occupy. */
  accountCap: number
}

/** What of an attempt decides whether it may be asked to make room. */
export type Preemptable = Owner &
  Pick<
    InFlight,
    | 'queue'
    | 'tier'
    | 'isRunning'
    | 'isYielding'
    | 'cameBack'
    | 'ranMs'
    | 'expiresInMs'
    | 'freeInMs'
    | 'leftMs'
  >

/** A yield frees the device hardly sooner than the end of a video that is over within this long. */
const LEFT_MS_MIN = 5_000

/** The account or key whose limit keeps the head waiting; null when it may go. */
export function limitOn(
  head: Head,
  { occupied, accountCap }: PoolShares,
  running: RunningCounts,
): string | null {
  if ((occupied.get(head.accountId) ?? 0) >= accountCap) return head.accountId
  return running.limitOf(head)
}

/**
 * Running flex videos of a full pool that could make room, and that it is worth to ask; none while one does
 * already, or a slot is nearly free. One that came back runs for `runMsMin` before it makes room again: what
 * a yield costs (the step under way, the checkpoint up and down, another start) is some seconds.
 */
export function preemptable<Attempt extends Preemptable>(
  fleet: { inFlight: readonly Attempt[] },
  pool: Pick<Pool, 'queue'>,
  runMsMin: number,
): Attempt[] {
  const victims: Attempt[] = []
  for (const attempt of fleet.inFlight) {
    if (attempt.queue !== pool.queue || !attempt.isRunning) continue
    if (attempt.isYielding || !occupiesSlot(attempt)) return []
    if (mayMakeRoom(attempt, runMsMin)) victims.push(attempt)
  }
  return victims
}

function mayMakeRoom(attempt: Preemptable, runMsMin: number): boolean {
  return (
    attempt.tier === 'flex' &&
    // One whose deadline is near runs as standard, by the same rule as when it is queued.
    tierOf({ tier: attempt.tier, costMs: attempt.leftMs, expiresInMs: attempt.expiresInMs }) === 'flex' &&
    (!attempt.cameBack || attempt.ranMs >= runMsMin) &&
    (attempt.freeInMs ?? attempt.leftMs) >= LEFT_MS_MIN
  )
}

/** What of a fleet tells who would get a slot; `nowMs`: by the clock of the heads, left out = 0. */
type Asked = Pick<Fleet, 'running'> & { others?: Others | null; nowMs?: number }

/**
 * The flex video to ask to make room, because a video of a higher tier would get its slot: not one of an
 * account or key at a limit, which would be passed over, and the flex video started again; nor for one that
 * waits for one of the `others`. Null = none. The flex video goes on later from its checkpoint.
 */
export function victimFor<Victim extends Owner>(
  fleet: Asked,
  shares: PoolShares,
  queue: FairQueue,
  victims: readonly Victim[],
): Victim | null {
  const keysInVain = new Set<string>()
  for (const victim of victims) {
    // Whose slot it is matters, and not which of them.
    if (keysInVain.has(victim.keyId)) continue
    // And only where somebody waits for that account or key to have one less.
    const hasWaited = queue.resume(victim)
    if ((hasWaited || keysInVain.size === 0) && wouldServeHigherTier(fleet, shares, queue, victim))
      return victim
    keysInVain.add(victim.keyId)
  }
  return null
}

/** Whether the slot of this victim, were it free, would go to a video above flex. */
function wouldServeHigherTier(
  { running, others = null, nowMs = 0 }: Asked,
  shares: PoolShares,
  queue: FairQueue,
  victim: Owner,
): boolean {
  const occupied = shares.occupied.get(victim.accountId) ?? 0
  shares.occupied.set(victim.accountId, occupied - 1)
  running.add(victim, -1)
  const choice = queue.next((head) => limitOn(head, shares, running), { ...IN_ORDER, nowMs }, others)
  running.add(victim, 1)
  shares.occupied.set(victim.accountId, occupied)
  if (choice === null) return false
  queue.push(choice.head)
  return choice.tier !== 'flex'
}
