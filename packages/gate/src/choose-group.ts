import { type Choice, FairQueue, type Head, type VirtualTime } from './choose.ts'
import type { FreeSlots } from './loaded-slots.ts'
import { limitOn, type PoolShares } from './preempt.ts'
import type { RunningCounts } from './running-counts.ts'

/** What the choice of who gets the slots of one pool depends on. */
export interface Standing {
  time: VirtualTime
  running: RunningCounts
  shares: PoolShares
  free: FreeSlots
  /** The models that wait for a slot of the pool. */
  wanted: ReadonlySet<string>
  switchWaitMsMax: number
}

/** The queued videos of a pool, in lines: those of one key, shape and tier. */
export interface Waiting {
  heads: readonly Head[]
  /**
   * The video at a place of a line, 0 = the head. Null when there is none; undefined when that is not known.
   */
  at(queueKey: string, place: number): Head | null | undefined
}

/** Videos that are to be dispatched together. */
interface Group {
  /** In the order in which they would be chosen one at a time. */
  choices: Choice[]
  /** The lines of which more must be known to choose further, and those that probably come after them. */
  unknown: ReadonlySet<string>
}

/**
 * Who goes next on a pool, in the order in which they would be chosen one at a time, each after all before it
 * were dispatched: at most `videosMax`, fewer when nobody else may go, or when it is not known who stands
 * behind the last one. Changes nothing that it is given.
 */
export function chooseGroup(waiting: Waiting, standing: Standing, videosMax: number): Group {
  const tentative = copyOf(standing)
  const { time, running, shares, free, switchWaitMsMax: waitMsMax } = tentative
  const queue = new FairQueue(time, waiting.heads)
  const limitOf = (head: Head) => limitOn(head, shares, running)
  const places = new Map<string, number>()
  const choices: Choice[] = []
  const unknown = new Set<string>()
  for (let chosen = 0; chosen < videosMax; chosen += 1) {
    const choice = queue.next(limitOf, { loaded: free.models(), nowMs: 0, waitMsMax })
    if (choice === null) break
    // From the first unknown one on this is a guess, which shows what else to read.
    if (unknown.size === 0) choices.push(choice)
    countDispatch(tentative, choice)
    const { queueKey } = choice.head
    const place = (places.get(queueKey) ?? 0) + 1
    places.set(queueKey, place)
    const successor = waiting.at(queueKey, place)
    if (successor === undefined) unknown.add(queueKey)
    else if (successor !== null) queue.push(successor)
  }
  return { choices, unknown }
}

/** What the dispatch of a choice changes for those after it. Returns the slot that it was chosen for. */
export function countDispatch(
  { time, running, shares: { occupied }, free, wanted }: Standing,
  choice: Choice,
): ReturnType<FreeSlots['take']> {
  const { accountId, model } = choice.head
  time.advance(choice)
  running.add(choice.head, 1)
  occupied.set(accountId, (occupied.get(accountId) ?? 0) + 1)
  return free.take(model, wanted)
}

function copyOf(standing: Standing): Standing {
  const { time, running, shares, free } = standing
  return {
    ...standing,
    time: time.copy(),
    running: running.copy(),
    shares: { ...shares, occupied: new Map(shares.occupied) },
    free: free.copy(),
  }
}
