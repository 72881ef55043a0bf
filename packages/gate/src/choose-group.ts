import { type Choice, FairQueue, type Head, type Others } from './choose.ts'
import type { FreeSlots } from './loaded-slots.ts'
import { limitOn, type PoolShares } from './preempt.ts'
import type { Elsewhere } from './route.ts'
import type { RunningCounts } from './running-counts.ts'
import type { VirtualTime } from './virtual-time.ts'

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
  /** Those that wait for another pool. */
  putOff: readonly Head[]
}

/** Heads that are put off for one group: it bounds the time of a choice. */
const PUT_OFF_MAX = 256

/**
 * Who goes next on a pool, in the order in which they would be chosen one at a time, each after all before it
 * were dispatched: at most `videosMax`, fewer when nobody else may go, or when it is not known who stands
 * behind the last one. Changes nothing that it is given, but what `elsewhere` counts:
 * the heads that wait for another pool, of which there are none without it.
 */
export function chooseGroup(
  waiting: Waiting,
  standing: Standing,
  videosMax: number,
  elsewhere: Elsewhere | null = null,
): Group {
  const tentative = copyOf(standing)
  const { time, running, shares, free, switchWaitMsMax: waitMsMax } = tentative
  const queue = new FairQueue(time, waiting.heads)
  const limitOf = (head: Head) => limitOn(head, shares, running)
  const places = new Map<string, number>()
  const choices: Choice[] = []
  const putOff: Head[] = []
  const unknown = new Set<string>()
  const behind = ({ queueKey }: Head) => {
    const place = (places.get(queueKey) ?? 0) + 1
    places.set(queueKey, place)
    const successor = waiting.at(queueKey, place)
    if (successor === undefined) unknown.add(queueKey)
    return successor ?? null
  }
  const others: Others | null = elsewhere && {
    waits: (head, tier) => putOff.length < PUT_OFF_MAX && elsewhere.waits(head, tier),
    behind: (head) => {
      putOff.push(head)
      // It will run as well, and may be the last of its account or key that may.
      running.add(head, 1)
      return behind(head)
    },
  }
  for (let chosen = 0; chosen < videosMax; chosen += 1) {
    const choice = queue.next(limitOf, { loaded: free.models(), nowMs: 0, waitMsMax }, others)
    if (choice === null) break
    // From the first unknown one on this is a guess, which shows what else to read.
    if (unknown.size === 0) choices.push(choice)
    countDispatch(tentative, choice)
    const successor = behind(choice.head)
    if (successor !== null) queue.push(successor)
  }
  return { choices, unknown, putOff }
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
