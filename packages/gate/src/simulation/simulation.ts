import { type Choice, type Head, promotedIn, tierOf } from '../choose.ts'
import { preemptable, victimFor } from '../preempt.ts'
import type { RunningCounts } from '../running-counts.ts'
import type { VirtualTime } from '../virtual-time.ts'
import { EventQueue } from './event-queue.ts'
import { Line, type LineKind, type SimulatedVideo } from './line.ts'
import { type Clock, Occupation, type Slot } from './occupation.ts'
import { OtherPools } from './other-pools.ts'
import { Presence } from './presence.ts'
import { Roster } from './roster.ts'
import { type PoolRules, SimulatedPool } from './simulated-pool.ts'
import type { Waiting } from './waiting.ts'

/** A video on a slot, as `Watch` hears of it. */
export type Run<Video extends SimulatedVideo> = Occupation<Line<Video>, Video>

/** Hears of everything that happens to a video. */
export interface Watch<Video extends SimulatedVideo> {
  /** It is dispatched, and starts at `run.startedAtMs`. */
  started(video: Video, run: Run<Video>): void
  completed(video: Video, run: Run<Video>): void
  /** It made room, and is queued again. */
  yielded(video: Video, run: Run<Video>): void
  /** `run` is null for one that was queued. */
  expired(video: Video, atMs: number, run: Run<Video> | null): void
}

export interface SimulationParts<Video extends SimulatedVideo> {
  /** In the order in which the gate fills them. */
  pools: readonly PoolRules[]
  /** Both are the simulation's from now on. */
  time: VirtualTime
  running: RunningCounts
  accountSharePercent: number
  /** How long a flex video that came back runs before it makes room again. */
  flexRunMsMin: number
  /** How long before it is free a slot may be given away. */
  nearlyFreeMs: number
  watch: Watch<Video>
}

/** What occupies a slot as the simulation begins. */
export interface Standing<Video extends SimulatedVideo> {
  accountId: string
  keyId: string
  tier: Head['tier']
  model: string
  leftMs: number
  /** Since its runner began. */
  ranMs: number
  expiresInMs: number
  cameBack: boolean
  /** It was asked to make room. */
  isYielding: boolean
  /** Where it goes back to when it makes room; null = it makes none. */
  queued: { line: Line<Video>; video: Video } | null
}

/** Things that are done in one piece: some tenths of a millisecond where many pools are compared. */
const UNCUT_MAX = 4
/** The leader looks at everything once a second, though nothing has happened. */
const LOOK_EVERY_MS = 1_000

/**
 * The gate run ahead in time: gives slot after slot, as they become free, to the video that the gate would
 * give it to, by the gate's own rules. Videos may be queued at any time. It has no clock but its own, and
 * nothing at random.
 */
export class Simulation<Video extends SimulatedVideo> implements Clock {
  nowMs = 0
  readonly pools: readonly SimulatedPool[]
  readonly lines = new Map<string, Line<Video>>()
  /** What is on the slots of each pool, by its number. */
  readonly runs: readonly Roster<Run<Video>>[]
  readonly #parts: SimulationParts<Video>
  readonly #presences = new Map<string, Presence>()
  /** A run when its slot may be given away and when it is free, a line at a deadline, a pool to look at. */
  readonly #events = new EventQueue<Run<Video> | Line<Video> | SimulatedPool>()
  readonly #others: OtherPools<Video>
  /** What was done since it yielded the last time. */
  #uncut = 0
  /** Of the pass that is under way: whose turn it is, each pool having two; null = there is none. */
  #turn: number | null = null
  /** That pool is being filled. */
  #isFilling = false
  /** And those that waited there were shown to its queue again. */
  #isSecondTry = false

  constructor(parts: SimulationParts<Video>) {
    this.#parts = parts
    this.pools = parts.pools.map(
      (rules, number) =>
        new SimulatedPool(number, {
          rules,
          time: parts.time,
          running: parts.running,
          accountSharePercent: parts.accountSharePercent,
          current: (head) => this.#currentOf(head, number),
        }),
    )
    this.runs = parts.pools.map(() => new Roster())
    this.#others = new OtherPools(this, parts.running)
  }

  /** When something happens next; infinite = nothing will any more. */
  get nextAtMs(): number {
    this.settle()
    return this.#events.nextAtMs
  }

  /** Where an account has something. */
  presenceOf(accountId: string): Presence {
    const known = this.#presences.get(accountId)
    if (known !== undefined) return known
    const presence = new Presence(accountId, this.pools.length)
    this.#presences.set(accountId, presence)
    return presence
  }

  addLine(kind: LineKind): Line<Video> {
    const line = new Line<Video>(kind)
    this.lines.set(kind.queueKey, line)
    this.#others.add(line)
    return line
  }

  /** Queues a video now, behind all others of its line. */
  queue(line: Line<Video>, video: Video): void {
    line.append(video)
    this.#others.count(line, 1)
    if (line.size === 1) this.#open(line)
    else if (this.#forgetServed(line)) this.#showFirst(line)
  }

  /**
   * What the queues of pools know of a line when all before its last video wait for other pools: nothing, or
   * one that was served elsewhere. Returns whether there is any such pool.
   */
  #forgetServed({ kind, putOff, heads, size }: Line<Video>): boolean {
    let isAny = false
    for (const number of kind.pools) {
      if (putOff[number] !== size - 1) continue
      heads[number] = null
      isAny = true
    }
    return isAny
  }

  /** Queues a video that waited elsewhere, where its age puts it in its line. */
  queueByAge(line: Line<Video>, video: Video): void {
    this.#showWaiting(line)
    // Of one that ran there is less left than they know who still have it as it was.
    for (const number of line.kind.pools)
      if (line.heads[number]?.videoId === video.id) line.heads[number] = null
    line.putBack(video)
    this.#others.count(line, 1)
    if (line.size === 1) this.#open(line)
    else this.#showFirst(line)
    this.#wakePools(line)
  }

  /** Takes a queued video out of its line. */
  withdraw(line: Line<Video>, video: Video): void {
    this.#showWaiting(line)
    line.remove(video)
    this.#others.count(line, -1)
    this.#firstChanged(line)
    // They may know it as the first, and find out who stands in its place.
    this.#wakePools(line)
  }

  #wakePools({ kind }: Line<Video>): void {
    for (const number of kind.pools) this.#pool(number).isWoken = true
  }

  /**
   * Has a slot of the pool occupied as the simulation begins; where none is left, after what is over first.
   * Without a pool it counts against limits alone. It is among what is running already.
   */
  stand(number: number | null, standing: Standing<Video>): Run<Video> {
    const pool = number === null ? null : this.#pool(number)
    const slot = pool === null ? null : this.#slotAfterOthers(pool, standing.model)
    if (pool !== null && slot !== null) {
      if (pool.rules.loadedFirst !== null) slot.model = standing.model
      if (slot.freeAtMs <= this.nowMs) pool.busy += 1
    }
    const startedAtMs = Math.max(this.nowMs, slot?.freeAtMs ?? 0)
    const run: Run<Video> = new Occupation<Line<Video>, Video>({
      clock: this,
      slot,
      keyId: standing.keyId,
      presence: this.presenceOf(standing.accountId),
      tier: standing.tier,
      line: standing.queued?.line ?? null,
      video: standing.queued?.video ?? null,
      startedAtMs,
      switchMs: 0,
      ranBeforeMs: standing.ranMs,
      endsAtMs: startedAtMs + standing.leftMs,
      expiresAtMs: standing.expiresInMs,
      cameBack: standing.cameBack,
    })
    if (pool !== null && slot !== null) {
      this.runs[pool.number]?.add(run)
      pool.occupy(run.presence, 1)
      pool.countActive(run.presence, 1)
      if (run.tier === 'flex') pool.flexOccupying += 1
      if (standing.isYielding && run.video !== null) this.#makeRoom(run, pool)
    }
    this.#noteEnd(run)
    return run
  }

  /** A device is at work, or will be. */
  get isAtWork(): boolean {
    return this.runs.some((runs) => runs.size > 0)
  }

  #slotAfterOthers(pool: SimulatedPool, model: string): Slot | null {
    const idle = pool.takeIdle(model)
    if (idle !== null) return idle
    const occupying = this.#runsOf(pool).all.filter(({ state }) => state === 'occupying')
    const [first] = occupying.sort((a, b) => a.endsAtMs - b.endsAtMs)
    if (first === undefined) return null
    this.#makeAvailable(first)
    return pool.takeIdle(model)
  }

  /** Does what happens before `untilMs`, and sets the clock to then. */
  runUntil(untilMs: number): void {
    // All that is queued at one time is looked at together.
    if (untilMs <= this.nowMs) return
    for (let { nextAtMs } = this; nextAtMs < untilMs; { nextAtMs } = this) this.nowMs = nextAtMs
    this.nowMs = untilMs
  }

  /**
   * Does all that happens next at one time. Returns false when nothing will any more. It may be cut where it
   * yields; until it is done nothing else may be asked.
   */
  *stepInParts(): Generator<undefined, boolean> {
    yield* this.settleInParts()
    const atMs = this.#events.nextAtMs
    if (atMs === Number.POSITIVE_INFINITY) return false
    this.nowMs = atMs
    yield* this.settleInParts()
    return true
  }

  /** Gives the slots that may be given away to who may go, as passes of the gate do. */
  settle(): void {
    while (!this.#settleOn());
  }

  /** The same, which may be cut where it yields; until it is done nothing else may be asked. */
  *settleInParts(): Generator<undefined, void> {
    while (!this.#settleOn()) yield
  }

  /** Does a part of it. Returns whether it is done. */
  #settleOn(): boolean {
    for (;;) {
      if (this.#turn === null) {
        // Who is queued at the moment at which a slot becomes free may have it.
        while (this.#events.nextAtMs <= this.nowMs) {
          this.#happen(this.#events.pop())
          if (this.#isToBeCut()) return false
        }
        if (!this.#isAnyWoken()) return true
        this.#beginPass()
      }
      if (!this.#passOn()) return false
      // What was given a slot may be nearly over at once; but first everybody goes who may.
      if (this.#isAnyWoken()) this.#beginPass()
      else this.#turn = null
    }
  }

  #beginPass(): void {
    this.#others.beginPass()
    this.#turn = 0
  }

  /** Goes on with the pass. Returns whether it is done. */
  #passOn(): boolean {
    const { pools } = this
    // The second time: who waited for a pool that had room and took none of them need not any more.
    for (let turn = this.#turn ?? 0; turn < 2 * pools.length; turn += 1) {
      this.#turn = turn
      const pool = this.#pool(turn % pools.length)
      if (!this.#fillInTurn(pool)) return false
      if (turn < pools.length) this.#others.noteFilled(pool)
    }
    // Only now: who can go to a free slot of one pool needs no room on another.
    for (const pool of pools) if (pool.isFull) this.#askForRoom(pool)
    return true
  }

  #fillInTurn(pool: SimulatedPool): boolean {
    if (!this.#isFilling && !this.#isToBeFilled(pool)) return true
    this.#isFilling = this.#isFilling ? !this.#fillOn(pool) : !this.#fill(pool)
    return !this.#isFilling
  }

  /** Said of each thing that happens and each slot that is given. */
  #isToBeCut(): boolean {
    this.#uncut += 1
    if (this.#uncut < UNCUT_MAX) return false
    this.#uncut = 0
    return true
  }

  /** Who waits for another pool is looked at when something there has become worse, not each time. */
  #isToBeFilled(pool: SimulatedPool): boolean {
    return pool.isWoken || (pool.hasIdle && this.#others.waitingAt(pool)?.isDue === true)
  }

  #isAnyWoken(): boolean {
    for (const pool of this.pools) if (pool.isWoken) return true
    return false
  }

  /** Begins to give its slots away. Returns whether that is done; else `#fillOn` goes on. */
  #fill(pool: SimulatedPool): boolean {
    pool.isWoken = false
    if (!pool.hasIdle) {
      pool.isFull = true
      return true
    }
    const waiting = this.#others.waitingAt(pool)
    if (waiting?.beginLook() === false) this.#showAgain(pool, waiting)
    this.#isSecondTry = false
    return this.#fillOn(pool)
  }

  #fillOn(pool: SimulatedPool): boolean {
    const waiting = this.#others.waitingAt(pool)
    for (;;) {
      while (pool.hasIdle) {
        if (this.#isToBeCut()) return false
        if (!this.#giveSlot(pool, waiting)) break
        pool.isWoken = false
      }
      if (this.#isSecondTry || !pool.hasIdle || waiting === null || waiting.doAllWait()) break
      this.#showAgain(pool, waiting)
      this.#isSecondTry = true
    }
    pool.isFull = !pool.hasIdle
    if (waiting === null) return true
    waiting.endLook()
    if (pool.hasIdle && !waiting.isEmpty) this.#lookAgain(pool, waiting.lookAtMs - this.nowMs)
    return true
  }

  /** Shows the queue again who waits for another pool. */
  #showAgain(pool: SimulatedPool, waiting: Waiting<Video>): void {
    const { isWoken } = pool
    for (const line of waiting.restore()) this.#showFirst(line)
    // Which changes nothing.
    pool.isWoken = isWoken
  }

  /** Shows the queues again who waits for another pool, before one of its line comes or goes among them. */
  #showWaiting(line: Line<Video>): void {
    for (const number of line.kind.pools) {
      const pool = this.#pool(number)
      const waiting = this.#others.waitingAt(pool)
      if (waiting?.has(line) !== true) continue
      this.#showAgain(pool, waiting)
      pool.isWoken = true
    }
  }

  #happen(item: Run<Video> | Line<Video> | SimulatedPool | undefined): void {
    const atMs = this.nowMs
    if (item instanceof Occupation) {
      // A time that changed after it was noted is noted again.
      if (item.state === 'occupying' && item.availableAtMs === atMs) this.#makeAvailable(item)
      if (item.state !== 'over' && item.endsAtMs === atMs) this.#end(item)
    } else if (item instanceof Line) {
      if (item.lookAtMs !== atMs) return
      item.lookAtMs = Number.POSITIVE_INFINITY
      this.#showWaiting(item)
      this.#dropExpired(item)
      this.#showFirst(item)
    } else if (item?.recheckAtMs === atMs) {
      item.recheckAtMs = Number.POSITIVE_INFINITY
      item.isWoken = true
    }
  }

  /** Gives a slot to the video that the gate would choose. Returns false when nobody may go. */
  #giveSlot(pool: SimulatedPool, waiting: Waiting<Video> | null): boolean {
    const choice = pool.queue.next(pool.limitOf, pool.switchingAt(this.nowMs), waiting)
    if (choice === null) return false
    const line = this.lines.get(choice.head.queueKey)
    const place = line?.putOff[pool.number] ?? 0
    const video = line?.at(place) ?? null
    if (line === undefined || video === null) return true
    line.heads[pool.number] = null
    if (video.expiresAtMs <= this.nowMs) {
      this.#showWaiting(line)
      line.remove(video)
      this.#parts.watch.expired(video, video.expiresAtMs, null)
      pool.queue.resume(choice.head)
    } else {
      line.remove(video)
      this.#parts.time.advance(choice)
      const idleBefore = pool.idleCount
      const endsAtMs = this.#occupy(pool, choice, { line, video })
      if (this.#others.isAnyAwaited)
        this.#others.noteGiven({ line, video, place, endsAtMs }, { pool, idleBefore })
    }
    this.#others.count(line, -1)
    this.#firstChanged(line)
    return true
  }

  /** Returns when it ends there. */
  #occupy(pool: SimulatedPool, { head }: Choice, moved: { line: Line<Video>; video: Video }): number {
    const { video, line } = moved
    const slot = pool.takeIdle(head.model)
    if (slot === null) throw new RangeError('no slot is idle')
    const isSwitch = pool.rules.loadedFirst !== null && slot.model !== null && slot.model !== head.model
    const switchMs = isSwitch ? pool.rules.switchMs : 0
    if (pool.rules.loadedFirst !== null) slot.model = head.model
    const startedAtMs = Math.max(this.nowMs, slot.freeAtMs)
    const deviceMs = video.deviceMsOn(pool.number)
    if (slot.freeAtMs <= this.nowMs) pool.busy += 1
    const run: Run<Video> = new Occupation({
      clock: this,
      slot,
      keyId: head.keyId,
      presence: line.kind.presence,
      tier: head.tier,
      line,
      video,
      startedAtMs,
      switchMs,
      // One that expires before its slot is free takes none of its time.
      endsAtMs: Math.max(startedAtMs, Math.min(startedAtMs + switchMs + deviceMs, video.expiresAtMs)),
      expiresAtMs: video.expiresAtMs,
      cameBack: video.cameBack,
    })
    this.runs[pool.number]?.add(run)
    pool.occupy(run.presence, 1)
    pool.countActive(run.presence, 1)
    if (run.tier === 'flex') pool.flexOccupying += 1
    this.#parts.running.add(head, 1)
    this.#noteEnd(run)
    this.#parts.watch.started(video, run)
    return run.endsAtMs
  }

  /** Its slot may be given away: it is free, or will be in a moment. */
  #makeAvailable(run: Run<Video>): void {
    run.state = 'nearly over'
    if (run.slot === null) return
    const pool = this.#pool(run.slot.pool)
    pool.occupy(run.presence, -1)
    if (run.tier === 'flex') pool.flexOccupying -= 1
    pool.nearlyOver += 1
    pool.addIdle(run.slot)
    pool.isWoken = true
    // The account's share has room; its limits have not yet.
    pool.resume(run)
  }

  #end(run: Run<Video>): void {
    if (run.state === 'occupying') this.#makeAvailable(run)
    run.state = 'over'
    const { slot, line, video } = run
    if (slot !== null) {
      const pool = this.#pool(slot.pool)
      this.runs[slot.pool]?.remove(run)
      pool.nearlyOver -= 1
      if (run.isYielding) pool.yielding -= 1
      if (slot.freeAtMs <= this.nowMs) pool.busy -= 1
      pool.countActive(run.presence, -1)
      // One that is nearly over keeps others from being asked to make room.
      if (pool.wantsRoom || this.#others.isAnyDue) pool.isWoken = true
    }
    this.#parts.running.add(run, -1)
    for (const pool of this.pools) pool.resume(run)
    if (video === null || line === null) return
    if (video.expiresAtMs <= this.nowMs) this.#parts.watch.expired(video, this.nowMs, run)
    else if (run.makesRoom) this.#putBack(line, video, run)
    else this.#parts.watch.completed(video, run)
  }

  #putBack(line: Line<Video>, video: Video, run: Run<Video>): void {
    this.#parts.watch.yielded(video, run)
    this.queueByAge(line, video)
  }

  /** Has a flex video make room where that lets one of a higher tier go, as the gate does it. */
  #askForRoom(pool: SimulatedPool): void {
    pool.isFull = false
    if (!pool.wantsRoom) return
    const victims = preemptable({ inFlight: this.#runsOf(pool).all }, pool.rules, this.#parts.flexRunMsMin)
    if (victims.length === 0) {
      // Who may be asked changes with time.
      this.#lookAgain(pool, this.#mayBeAskedInMs(pool))
      return
    }
    const waiting = this.#others.waitingAt(pool)
    const victim = this.#victimOf(pool, victims, waiting)
    if (victim === null) {
      // And so does who would go then: one that is put off is so no longer.
      if (waiting?.isEmpty === false) this.#lookAgain(pool, waiting.lookAtMs - this.nowMs)
    } else if (this.#makeRoom(victim, pool)) this.#noteEnd(victim)
  }

  #victimOf(
    pool: SimulatedPool,
    victims: readonly Run<Video>[],
    waiting: Waiting<Video> | null,
  ): Run<Video> | null {
    const { running } = this.#parts
    if (waiting?.beginLook('first') === false) this.#showAgain(pool, waiting)
    const find = () =>
      victimFor({ running, others: waiting, nowMs: this.nowMs }, pool.shares, pool.queue, victims)
    let victim = find()
    if (waiting === null) return victim
    if (victim === null && !waiting.doAllWait()) {
      this.#showAgain(pool, waiting)
      victim = find()
    }
    const { isWoken } = pool
    for (const line of waiting.endLook()) this.#showFirst(line)
    pool.isWoken = isWoken
    return victim
  }

  /** Asks it to make room. Returns whether it ends sooner for that. */
  #makeRoom(run: Run<Video>, pool: SimulatedPool): boolean {
    run.isYielding = true
    pool.yielding += 1
    const inMs = run.video?.yieldOn(pool.number, run.ranMs - run.ranBeforeMs) ?? null
    if (inMs === null || run.slot === null) return false
    run.makesRoom = true
    run.endsAtMs = Math.min(run.endsAtMs, this.nowMs + inMs)
    return true
  }

  /** When the first of those may be asked to make room that may not be now; infinite = none will. */
  #mayBeAskedInMs(pool: SimulatedPool): number {
    const { flexRunMsMin } = this.#parts
    let inMs = Number.POSITIVE_INFINITY
    for (const { tier, cameBack, ranMs } of this.#runsOf(pool).all) {
      const leftMs = (cameBack ? flexRunMsMin : 0) - ranMs
      if (tier === 'flex' && leftMs > 0) inMs = Math.min(inMs, leftMs)
    }
    return Math.max(LOOK_EVERY_MS, inMs)
  }

  #lookAgain(pool: SimulatedPool, inMs: number): void {
    const atMs = this.nowMs + inMs
    if (pool.recheckAtMs <= atMs) return
    pool.recheckAtMs = atMs
    this.#events.push(atMs, pool)
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
   * Shows the queues of all pools who is the first of a line now, or the first that does not wait for another
   * pool. Where they know an older one that has been served, they find out who stands in its place when its
   * turn comes.
   */
  #showFirst(line: Line<Video>): void {
    const { first, kind } = line
    if (first === null) return
    let isPromoted = false
    let lookAtMs = first.expiresAtMs
    for (const number of kind.pools) {
      const known = line.heads[number] ?? null
      const video = line.at(line.putOff[number] ?? 0)
      if (!kind.isFlex && (video === null || (known !== null && known.videoId <= video.id))) continue
      const head = (video ?? first).headOn(number, this.nowMs)
      if (kind.isFlex) {
        const promotedInMs = promotedIn(head)
        if (promotedInMs <= 0) isPromoted = true
        // A millisecond at least: less may be nothing beside the time of day.
        else lookAtMs = Math.min(lookAtMs, this.nowMs + Math.max(1, promotedInMs))
        if (video === null) continue
        if (known !== null && known.videoId <= video.id && tierOf(known) === tierOf(head)) continue
      }
      line.heads[number] = head
      const pool = this.#pool(number)
      pool.queue.push(head)
      if (pool.hasIdle || pool.mayAskForRoom || this.#others.isAnyDue) pool.isWoken = true
    }
    if (isPromoted !== line.isPromoted) {
      this.#countAboveFlex(line, isPromoted ? 1 : -1)
      line.isPromoted = isPromoted
      // Those that wait for what is cheaper do so no longer, unless only one behind the first is meant.
      if (!isPromoted || this.#isNearItsDeadline(first, kind)) this.#showWaiting(line)
    }
    if (lookAtMs >= line.lookAtMs) return
    line.lookAtMs = lookAtMs
    this.#events.push(lookAtMs, line)
  }

  #isNearItsDeadline(video: Video, { pools }: LineKind): boolean {
    return pools.some((number) => promotedIn(video.headOn(number, this.nowMs)) <= 0)
  }

  #dropExpired(line: Line<Video>): void {
    for (let { first } = line; first !== null && first.expiresAtMs <= this.nowMs; { first } = line) {
      line.remove(first)
      this.#others.count(line, -1)
      this.#parts.watch.expired(first, first.expiresAtMs, null)
      if (line.size === 0) this.#firstChanged(line)
    }
  }

  /** What stands in a head's place by now. */
  #currentOf(head: Head, number: number): Head | null {
    const line = this.lines.get(head.queueKey)
    if (line === undefined || line.heads[number] !== head) return null
    const video = line.at(line.putOff[number] ?? 0)
    if (video?.id === head.videoId) return head
    line.heads[number] = video === null ? null : video.headOn(number, this.nowMs)
    return line.heads[number]
  }

  #noteEnd(run: Run<Video>): void {
    const { endsAtMs, startedAtMs, slot } = run
    run.availableAtMs = Math.max(this.nowMs, startedAtMs, endsAtMs - this.#parts.nearlyFreeMs)
    if (slot !== null) this.#pool(slot.pool).take(slot, endsAtMs)
    if (run.availableAtMs < endsAtMs) this.#events.push(run.availableAtMs, run)
    this.#events.push(endsAtMs, run)
  }

  #runsOf({ number }: SimulatedPool): Roster<Run<Video>> {
    const runs = this.runs[number]
    if (runs === undefined) throw new RangeError(`there is no pool ${number}`)
    return runs
  }

  #pool(number: number): SimulatedPool {
    const pool = this.pools[number]
    if (pool === undefined) throw new RangeError(`there is no pool ${number}`)
    return pool
  }
}
