import type { Head } from '../choose.ts'
import type { HeadCosts, OtherPool } from '../route.ts'
import type { Line, SimulatedVideo } from './line.ts'

/** One that waits for another pool; of a line of flex videos its first, for all of them. */
export class Waiter<Video extends SimulatedVideo> {
  readonly line: Line<Video>
  head: Head
  costs: HeadCosts
  /** It stands for its whole line. */
  readonly isWhole: boolean
  /** What it waits for; null = for what is cheaper. */
  on: OtherPool | null = null
  endsAtMs = Number.NaN
  /** As it left: no other waited for the same before it. */
  isFirst = false
  before: Waiter<Video> | null = null
  next: Waiter<Video> | null = null
  /** Another of its line. */
  nextOfLine: Waiter<Video> | null = null

  constructor(line: Line<Video>, head: Head, { costs, isWhole }: { costs: HeadCosts; isWhole: boolean }) {
    this.line = line
    this.head = head
    this.costs = costs
    this.isWhole = isWhole
  }
}

/**
 * Those of one tier that wait, in the order in which they began to: a list through its members, which are
 * looked at again and again.
 */
export class Waiters<Video extends SimulatedVideo> {
  first: Waiter<Video> | null = null
  /** They have not been asked since what they count on is read anew. */
  isUnasked = false
  #last: Waiter<Video> | null = null

  get isEmpty(): boolean {
    return this.first === null
  }

  /** Adds one, or puts it in the place of another. */
  put(waiter: Waiter<Video>, other: Waiter<Video> | null): void {
    const before = other === null ? this.#last : other.before
    const next = other === null ? null : other.next
    this.#link(before, waiter)
    this.#link(waiter, next)
    if (other !== null) unlink(other)
  }

  remove(waiter: Waiter<Video>): void {
    this.#link(waiter.before, waiter.next)
    unlink(waiter)
  }

  clear(): void {
    this.first = null
    this.#last = null
  }

  #link(before: Waiter<Video> | null, next: Waiter<Video> | null): void {
    if (before === null) this.first = next
    else before.next = next
    if (next === null) this.#last = before
    else next.before = before
  }
}

/** What has left leads to none that is still there. */
function unlink<Video extends SimulatedVideo>(waiter: Waiter<Video>): void {
  waiter.before = null
  waiter.next = null
}
