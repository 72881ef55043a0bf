import { type Choice, type Head, promotedIn, tierOf, type VirtualTime } from '../choose.ts'
import { Heap } from '../heap.ts'
import { limitOn, preemptable, victimFor } from '../preempt.ts'
import type { Owner, RunningCounts } from '../running-counts.ts'
import { Line, type LineKind, type SimulatedVideo } from './line.ts'
import { type Clock, Occupation, type Slot } from './occupation.ts'
import { type PoolRules, SimulatedPool } from './simulated-pool.ts'

/** A video on a slot, at the moment the slot is free again. */
export interface Run {
  pool: number
  startedAtMs: number
  /** Of that time, what a switch of models took before it. */
  switchMs: number
  endedAtMs: number
}

/** Hears of everything that happens to a video. */
export interface Watch<Video extends SimulatedVideo> {
  started(video: Video, at: { pool: number; nowMs: number; choice: Choice; switchMs: number }): void
  completed(video: Video, run: Run): void
  /** It made room, and is queued again. */
  yielded(video: Video, run: Run): void
  /** `run` is null for one that was queued. */
  expired(video: Video, atMs: number, run: Run | null): void
}

export interface SimulationParts<Video extends SimulatedVideo> {
  /** In the order in which the gate fills them. */
  pools: readonly PoolRules[]
  /** Both are the simulation's from now on. */
  time: VirtualTime
  running: RunningCounts
  accountSharePercent: number
  /** How long a flex video that came back runs before it makes room again; infinite = none is ever asked. */
  flexRunMsMin: number
  watch: Watch<Video>
}

/** What occupies a slot as the simulation begins. */
export interface Standing<Video extends SimulatedVideo> {
  owner: Owner
  tier: Head['tier']
  model: string
  endsInMs: number
  expiresInMs: number
  /** With its line, where it can be queued again. */
  moved: { line: Line<Video>; video: Video } | null
  ranMs: number
  cameBack: boolean
  isYielding: boolean
}

/** The leader looks at everything once a second, though nothing has happened. */
const LOOK_EVERY_MS = 1_000

interface Event<Video extends SimulatedVideo> {
  atMs: number
  /** Of those at the same time the first goes first. */
  order: number
  /** What it is about; it counts only while that still says this time. */
  occupation: Occupation | null
  line: Line<Video> | null
  pool: SimulatedPool | null
}

/**
 * The gate run ahead in time: gives slot after slot, as they become free, to the video that the gate would
 * give it to, by the gate's own rules. Videos may be queued at any time. It has no clock but its own, and
 * nothing at random.
 */
export class Simulation<Video extends SimulatedVideo> implements Clock {
  nowMs = 0
  readonly pools: readonly SimulatedPool[]
  readonly #parts: SimulationParts<Video>
  readonly #lines = new Map<string, Line<Video>>()
  readonly #events = new Heap<Event<Video>>((a, b) =>
    a.atMs === b.atMs ? a.order < b.order : a.atMs < b.atMs,
  )
  #eventCount = 0

  constructor(parts: SimulationParts<Video>) {
    this.#parts = parts
    this.pools = parts.pools.map(
      (rules, number) =>
        new SimulatedPool(number, {
          rules,
          time: parts.time,
          accountSharePercent: parts.accountSharePercent,
          current: (head) => this.#currentOf(head, number),
        }),
    )
    for (const pool of this.pools) for (const slot of pool.slots) pool.addIdle(slot)
  }

  get lines(): Iterable<Line<Video>> {
    return this.#lines.values()
  }

  addLine(kind: LineKind): Line<Video> {
    const line = new Line<Video>(kind)
    this.#lines.set(kind.queueKey, line)
    return line
  }

  /** Queues a video now, behind all others of its line. */
  queue(line: Line<Video>, video: Video): void {
    line.append(video)
    if (line.size === 1) this.#open(line)
  }

  /**
   * Puts on a slot what is on it as the simulation begins; without a slot it only counts against limits. It
   * counts in `running` already.
   */
  occupyFirst(slot: Slot | null, standing: Standing<Video>): Occupation {
    const occupation = new Occupation({
      ...standing,
      clock: this,
      slot,
      startedAtMs: this.nowMs - standing.ranMs,
      endsAtMs: this.nowMs + standing.endsInMs,
      expiresAtMs: this.nowMs + standing.expiresInMs,
      switchMs: 0,
    })
    occupation.isYielding = standing.isYielding
    occupation.makesRoom = standing.isYielding
    this.#noteEnd(occupation)
    if (slot === null) return occupation
    const pool = this.#pool(slot.pool)
    pool.removeIdle(slot, standing.model)
    slot.occupation = occupation
    pool.occupy(occupation, 1)
    if (occupation.tier === 'flex') pool.flexRunning += 1
    return occupation
  }

  /** When something happens next; infinite = nothing will any more. */
  get nextAtMs(): number {
    this.settle()
    return this.#events.peek()?.atMs ?? Number.POSITIVE_INFINITY
  }

  /** Does what happens before `untilMs`, and sets the clock to then. */
  runUntil(untilMs: number): void {
    // All that is queued at one time is looked at together.
    if (untilMs <= this.nowMs) return
    while (this.nextAtMs < untilMs) this.step()
    this.nowMs = untilMs
  }

  /** Does all that happens next at one time. Returns false when nothing will any more. */
  step(): boolean {
    this.settle()
    const first = this.#events.peek()
    if (first === undefined) return false
    this.nowMs = first.atMs
    for (let next = this.#events.peek(); next?.atMs === first.atMs; next = this.#events.peek()) {
      this.#events.pop()
      this.#happen(next)
    }
    this.settle()
    return true
  }

  /** Gives the slots that are free to who may go, as one pass of the gate does. */
  settle(): void {
    while (this.pools.some(({ isWoken }) => isWoken)) {
      for (const pool of this.pools) {
        if (!pool.isWoken) continue
        pool.isWoken = false
        while (pool.idle.length > 0 && this.#giveSlot(pool)) pool.isWoken = false
        if (pool.idle.length === 0) this.#askToYield(pool)
      }
    }
  }

  #happen({ atMs, occupation, line, pool }: Event<Video>): void {
    if (occupation !== null && occupation.endsAtMs === atMs && !occupation.isOver) this.#end(occupation)
    if (line !== null && line.lookAtMs === atMs) {
      line.lookAtMs = Number.POSITIVE_INFINITY
      this.#dropExpired(line)
      this.#showFirst(line)
    }
    if (pool !== null && pool.recheckAtMs === atMs) {
      pool.recheckAtMs = Number.POSITIVE_INFINITY
      pool.isWoken = true
    }
  }

  /** Gives an idle slot to the video that the gate would choose. Returns false when nobody may go. */
  #giveSlot(pool: SimulatedPool): boolean {
    const { running, time } = this.#parts
    const choice = pool.queue.next((head) => limitOn(head, pool.shares, running), {
      loaded: pool.loaded(),
      nowMs: this.nowMs,
      waitMsMax: pool.rules.switchWaitMsMax,
    })
    if (choice === null) return false
    const line = this.#lines.get(choice.head.queueKey)
    const video = line?.first ?? null
    if (line === undefined || video === null) return true
    line.heads[pool.number] = null
    line.removeFirst()
    if (video.expiresAtMs <= this.nowMs) {
      this.#parts.watch.expired(video, video.expiresAtMs, null)
      pool.queue.resume(choice.head)
    } else {
      time.advance(choice)
      this.#occupy(pool, choice, { line, video })
    }
    this.#firstChanged(line)
    return true
  }

  #occupy(pool: SimulatedPool, choice: Choice, moved: { line: Line<Video>; video: Video }): void {
    const { head } = choice
    const { video } = moved
    const taken = pool.takeIdle(head.model)
    if (taken === null) return
    const switchMs = taken.isSwitch ? pool.rules.switchMs : 0
    const endsAtMs = this.nowMs + switchMs + video.deviceMsOn(pool.number)
    const occupation = new Occupation({
      clock: this,
      slot: taken.slot,
      owner: head,
      tier: head.tier,
      moved,
      startedAtMs: this.nowMs,
      endsAtMs: Math.min(endsAtMs, video.expiresAtMs),
      expiresAtMs: video.expiresAtMs,
      cameBack: video.cameBack,
      switchMs,
    })
    taken.slot.occupation = occupation
    pool.occupy(head, 1)
    this.#parts.running.add(head, 1)
    if (head.tier === 'flex') pool.flexRunning += 1
    this.#noteEnd(occupation)
    this.#parts.watch.started(video, { pool: pool.number, nowMs: this.nowMs, choice, switchMs })
  }

  #end(occupation: Occupation): void {
    occupation.isOver = true
    const { slot, moved } = occupation
    if (slot !== null) {
      const pool = this.#pool(slot.pool)
      slot.occupation = null
      pool.occupy(occupation, -1)
      if (occupation.tier === 'flex') pool.flexRunning -= 1
      pool.addIdle(slot)
      pool.isWoken = true
    }
    this.#parts.running.add(occupation, -1)
    for (const pool of this.pools) pool.resume(occupation)
    if (moved === null || slot === null) return
    const { line, video } = moved as { line: Line<Video>; video: Video }
    const { startedAtMs, switchMs } = occupation
    const run = { pool: slot.pool, startedAtMs, switchMs, endedAtMs: this.nowMs }
    if (video.expiresAtMs <= this.nowMs) this.#parts.watch.expired(video, this.nowMs, run)
    else if (occupation.makesRoom) this.#putBack(line, video, run)
    else this.#parts.watch.completed(video, run)
  }

  #putBack(line: Line<Video>, video: Video, run: Run): void {
    this.#parts.watch.yielded(video, run)
    line.putBack(video)
    if (line.size === 1) this.#open(line)
    else this.#showFirst(line)
  }

  /** Has a flex video make room where that lets one of a higher tier go, as the gate does it. */
  #askToYield(pool: SimulatedPool): void {
    const { flexRunMsMin, running } = this.#parts
    if (pool.flexRunning === 0 || pool.linesAboveFlex === 0 || flexRunMsMin === Number.POSITIVE_INFINITY)
      return
    const inFlight = pool.slots.flatMap(({ occupation }) => occupation ?? [])
    const victims = preemptable({ inFlight }, pool.rules, flexRunMsMin)
    const victim = victimFor({ running }, pool.shares, pool.queue, victims)
    if (victim?.moved != null) {
      victim.isYielding = true
      const inMs = victim.moved.video.yieldOn(pool.number, victim.ranMs)
      if (inMs === null) return
      victim.makesRoom = true
      victim.endsAtMs = Math.min(victim.endsAtMs, this.nowMs + inMs)
      this.#noteEnd(victim)
    } else if (!inFlight.some(({ isYielding }) => isYielding)) this.#lookAgain(pool)
  }

  #lookAgain(pool: SimulatedPool): void {
    if (pool.recheckAtMs <= this.nowMs + LOOK_EVERY_MS) return
    pool.recheckAtMs = this.nowMs + LOOK_EVERY_MS
    this.#note({ atMs: pool.recheckAtMs, occupation: null, line: null, pool })
  }

  /** A line has its first video. */
  #open(line: Line<Video>): void {
    const { kind } = line
    for (const number of kind.pools) this.#pool(number).countLine(kind, 1)
    if (!kind.isFlex) this.#countAboveFlex(line, 1)
    this.#showFirst(line)
  }

  #firstChanged(line: Line<Video>): void {
    if (line.size > 0) {
      this.#showFirst(line)
      return
    }
    const { kind } = line
    for (const number of kind.pools) this.#pool(number).countLine(kind, -1)
    if (!kind.isFlex || line.isPromoted) this.#countAboveFlex(line, -1)
    line.isPromoted = false
  }

  #countAboveFlex({ kind }: Line<Video>, change: 1 | -1): void {
    for (const number of kind.pools) this.#pool(number).linesAboveFlex += change
  }

  /**
   * Shows the queues of all pools who is the first of a line now. Where they know an older one that has been
   * served, they find out who stands in its place when its turn comes.
   */
  #showFirst(line: Line<Video>): void {
    const { first, kind } = line
    if (first === null) return
    let isPromoted = false
    let lookAtMs = first.expiresAtMs
    for (const number of kind.pools) {
      const known = line.heads[number] ?? null
      if (known !== null && known.videoId <= first.id && !kind.isFlex) continue
      const head = first.headOn(number, this.nowMs)
      if (kind.isFlex) {
        const promotedInMs = promotedIn(head)
        if (promotedInMs <= 0) isPromoted = true
        else lookAtMs = Math.min(lookAtMs, this.nowMs + promotedInMs)
        if (known !== null && known.videoId <= first.id && tierOf(known) === tierOf(head)) continue
      }
      line.heads[number] = head
      const pool = this.#pool(number)
      pool.queue.push(head)
      if (pool.idle.length > 0 || pool.flexRunning > 0) pool.isWoken = true
    }
    if (isPromoted !== line.isPromoted) this.#countAboveFlex(line, isPromoted ? 1 : -1)
    line.isPromoted = isPromoted
    if (lookAtMs < line.lookAtMs) this.#lookAt(line, lookAtMs)
  }

  #lookAt(line: Line<Video>, atMs: number): void {
    line.lookAtMs = atMs
    this.#note({ atMs, occupation: null, line, pool: null })
  }

  #dropExpired(line: Line<Video>): void {
    for (let { first } = line; first !== null && first.expiresAtMs <= this.nowMs; { first } = line) {
      line.removeFirst()
      this.#parts.watch.expired(first, first.expiresAtMs, null)
      if (line.size === 0) this.#firstChanged(line)
    }
  }

  /** What stands in a head's place by now. */
  #currentOf(head: Head, number: number): Head | null {
    const line = this.#lines.get(head.queueKey)
    if (line === undefined || line.heads[number] !== head) return null
    const { first } = line
    if (first?.id === head.videoId) return head
    line.heads[number] = first === null ? null : first.headOn(number, this.nowMs)
    return line.heads[number]
  }

  #noteEnd(occupation: Occupation): void {
    this.#note({ atMs: occupation.endsAtMs, occupation, line: null, pool: null })
  }

  #note(event: Omit<Event<Video>, 'order'>): void {
    this.#eventCount += 1
    this.#events.push({ ...event, order: this.#eventCount })
  }

  #pool(number: number): SimulatedPool {
    const pool = this.pools[number]
    if (pool === undefined) throw new RangeError(`there is no pool ${number}`)
    return pool
  }
}
