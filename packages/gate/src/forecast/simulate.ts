import { NEARLY_FREE_MS } from '@sluice/shared/attempt-contract'
import type { ServiceTier } from '@sluice/shared/service-tier'
import { accountCap, type Choice, FairQueue, type Head } from '../choose.ts'
import { inOrderOfFilling } from '../delivery.ts'
import { activeAccounts, type Fleet, type InFlight, type Pool } from '../fleet.ts'
import { type HeadRow, headOf, queueKeyOf } from '../head-row.ts'
import { Heap } from '../heap.ts'
import { unoccupiedSlots } from '../loaded-slots.ts'
import { type Paces, type PredictableVideo, predictDeviceMs, predictUploadMs } from '../pace.ts'
import { fitsPool } from '../pool-fits.ts'
import type { Owner, RunningCounts } from '../running-counts.ts'

/** What is expected of one video. */
export interface Forecast {
  /** 1 = next; null for a video that runs. */
  position: number | null
  /** Null while there is no pool that could run it. */
  end: ExpectedEnd | null
}

/** When and where a video is expected to be made, as if nobody came after it and all went by measure. */
export interface ExpectedEnd {
  pool: string
  /** Milliseconds until its device begins with it; 0 for one that runs. */
  startMs: number
  /** Milliseconds until its device is free. */
  freeMs: number
  /** Milliseconds until it is stored. */
  storedMs: number
}

/** Where the next video of a queue would come. */
export interface Place {
  position: number
  /** The tier it would be served in. */
  tier: ServiceTier
  /** When its slot is ready for it, and where that is; null while there is no pool that could run it. */
  start: { atMs: number; pool: Pool } | null
}

/** The forecasts of all videos in flight and queued, and where the next one of each queue would come. */
export interface Simulated {
  forecasts: ReadonlyMap<string, Forecast>
  /** By queue key; of none where it matters what slots have loaded: then each has to be simulated. */
  places: ReadonlyMap<string, Place>
}

/**
 * Runs the gate ahead in time: gives slot after slot, in the order they become free, to the video the gate
 * would give it to. It may be cut where it yields. Pure.
 */
export function* simulate(
  fleet: Fleet,
  queued: readonly HeadRow[],
  accountSharePercent: number,
): Generator<undefined, Simulated> {
  const queues = queuesOf(queued)
  // One that is passed over too long would keep others from being preferred.
  if (fleet.pools.some((pool) => prefersLoaded(pool, queued)))
    for (const queue of queues.values()) queue.next = null
  const simulation = new Simulation(fleet, queues, accountSharePercent)
  yield* simulation.run(() => false)
  return simulation
}

/** Where this video would come, were it queued behind all others. It may be cut where it yields. Pure. */
export function* simulateNext(
  fleet: Fleet,
  queued: readonly HeadRow[],
  video: HeadRow,
  accountSharePercent: number,
): Generator<undefined, Place | null> {
  const queues = queuesOf(queued)
  for (const queue of queues.values()) queue.next = null
  const queueKey = queueKeyOf(video)
  const { rows = [] } = queues.get(queueKey) ?? {}
  queues.set(queueKey, { rows, served: 0, next: { ...video, id: LAST_ID } })
  const simulation = new Simulation(fleet, queues, accountSharePercent)
  yield* simulation.run(() => simulation.places.has(queueKey))
  return simulation.places.get(queueKey) ?? null
}

/** What a new video may expect in this place. */
export function forecastAt(
  { position, start }: Place,
  video: PredictableVideo & { num_steps: number },
  paces: Paces,
): Forecast {
  if (start === null) return { position, end: null }
  const freeMs = start.atMs + predictDeviceMs(paces, start.pool, video, video.num_steps)
  const { pool } = start.pool
  return {
    position,
    end: { pool, startMs: start.atMs, freeMs, storedMs: freeMs + predictUploadMs(paces, start.pool, video) },
  }
}

/**
 * The queued videos of one key, shape and tier. All of them ask for the same, so a pool fits all of them or
 * none.
 */
interface KeyQueue {
  /** Oldest first. */
  rows: HeadRow[]
  /** How many of its rows have been given a slot. */
  served: number
  /**
   * A video that comes after all others: it is chosen as they are, and takes no slot and no time of anybody
   * else. Null once its place is known, or nobody asks for it.
   */
  next: HeadRow | null
}

interface Slot {
  /** Slots of the pool that is filled first come first. */
  number: number
  /** When its device can begin with its next video. */
  freeAtMs: number
  /** When that is chosen: once the device is nearly free, as the gate does. */
  givenAtMs: number
  /** Whose video occupies it until then. */
  occupant: Owner | null
  /** What it has loaded; null = not known. */
  model: string | null
}

/** Free slots of a pool by the model that each has loaded. */
class FreeSlots {
  readonly #byModel = new Map<string, Set<Slot>>()
  /** The models that there are. */
  readonly loaded = new Set<string>()

  add(slot: Slot): void {
    if (slot.model === null) return
    const slots = this.#byModel.get(slot.model) ?? new Set()
    this.#byModel.set(slot.model, slots.add(slot))
    this.loaded.add(slot.model)
  }

  delete(slot: Slot): void {
    if (slot.model === null) return
    const slots = this.#byModel.get(slot.model)
    if (slots?.delete(slot) === true && slots.size === 0) this.loaded.delete(slot.model)
  }

  /** Gives `slot`, which is free, the model: slots are alike but for what they have loaded. */
  swapModel(slot: Slot, model: string): void {
    const [other] = this.#byModel.get(model) ?? []
    if (other === undefined || slot.model === model) return
    for (const changed of [slot, other]) this.delete(changed)
    other.model = slot.model
    slot.model = model
    for (const changed of [slot, other]) this.add(changed)
  }
}

const NOTHING_LOADED: ReadonlySet<string> = new Set()

interface SimulatedPool {
  pool: Pool
  /** In the order of filling. */
  number: number
  queue: FairQueue
  accountCap: number
  /** Slots each account occupies. */
  occupied: Map<string, number>
  /** The free ones by what they have loaded, where the workers say that of all; else null. */
  free: FreeSlots | null
  /**
   * Free slots for which nobody was found; one is tried again when a video ends and its account and key may
   * go on.
   */
  idle: Heap<Slot>
}

/**
 * Something that happens: a device is free, and its video counts no more; somebody may go on a slot of a pool
 * that is idle; or a slot is to be given away.
 */
type Event = { atMs: number } & (
  | { freed: Owner; pool: null; slot: null }
  | { freed: null; pool: SimulatedPool; slot: Slot | null }
)

/** Of slots that are given away at the same time the one comes first whose device can begin first. */
function isBefore(a: Event, b: Event): boolean {
  if (a.atMs !== b.atMs) return a.atMs < b.atMs
  if (a.freed !== null || b.freed !== null) return a.freed !== null && b.freed === null
  if (a.slot === null && b.slot === null) return a.pool.number < b.pool.number
  if (a.slot === null || b.slot === null) return a.slot === null
  const [startA, startB] = [startOn(a.slot), startOn(b.slot)]
  return startA === startB ? a.slot.number < b.slot.number : startA < startB
}

function isFreeBefore(a: Slot, b: Slot): boolean {
  return a.freeAtMs === b.freeAtMs ? a.number < b.number : a.freeAtMs < b.freeAtMs
}

class Simulation implements Simulated {
  readonly forecasts = new Map<string, Forecast>()
  readonly places = new Map<string, Place>()
  readonly #fleet: Fleet
  readonly #queues: ReadonlyMap<string, KeyQueue>
  readonly #accountSharePercent: number
  readonly #time: Fleet['time']
  readonly #running: RunningCounts
  readonly #pools: SimulatedPool[] = []
  readonly #events = new Heap<Event>(isBefore)
  #slotCount = 0
  #position = 0

  constructor(fleet: Fleet, queues: ReadonlyMap<string, KeyQueue>, accountSharePercent: number) {
    // A pool that does not take what it is given makes nothing.
    this.#fleet = { ...fleet, pools: inOrderOfFilling(fleet.pools).filter(({ untaken }) => untaken === 0) }
    this.#queues = queues
    this.#accountSharePercent = accountSharePercent
    this.#time = fleet.time.copy()
    this.#running = fleet.running.copy()
  }

  /** Yields now and then, until all is known or `isEnough`. */
  *run(isEnough: () => boolean): Generator<undefined, void> {
    for (const pool of this.#fleet.pools) {
      this.#openPool(pool)
      yield
    }
    for (const pool of this.#pools) this.#occupySlots(pool)
    this.#occupyOfflinePools()
    for (let event = this.#events.pop(); event !== undefined; event = this.#events.pop()) {
      yield
      if (event.freed !== null) this.#countFreed(event.freed, event.atMs)
      else if (event.slot !== null) this.#giveSlot(event.slot, event.pool)
      else this.#giveIdle(event.pool, event.atMs)
      if (isEnough()) return
    }
    this.#forecastUnserved()
  }

  #openPool(pool: Pool): void {
    const heads = this.#headsFor(pool)
    this.#pools.push({
      pool,
      number: this.#pools.length,
      queue: new FairQueue(this.#time, heads),
      accountCap: accountCap(pool, activeAccounts(this.#fleet, pool, heads), this.#accountSharePercent),
      occupied: new Map(),
      free: null,
      idle: new Heap(isFreeBefore),
    })
  }

  #headsFor(pool: Pool): Head[] {
    return [...this.#queues.values()].flatMap((queue) => {
      const head = queue.rows[0] ?? queue.next
      return head !== null && fitsPool(pool, head) ? [headOf(head, pool, this.#fleet.paces)] : []
    })
  }

  /**
   * Puts what is in flight on the pool's slots: a video that waits behind a nearly finished one follows it on
   * the slot that is free first.
   */
  #occupySlots(pool: SimulatedPool): void {
    // What runs is not on a slot that is known to be free.
    const isEarlier = (a: Slot, b: Slot) =>
      a.freeAtMs < b.freeAtMs || (a.freeAtMs === b.freeAtMs && a.model === null && b.model !== null)
    const earliest = new Heap<Slot>(isEarlier)
    const attempts = this.#fleet.inFlight.filter((attempt) => attempt.queue === pool.pool.queue)
    const models = unoccupiedSlots(pool.pool, attempts)
      .list()
      .map(({ model }) => model)
    const slots = Array.from(
      { length: pool.pool.slots },
      (_, index): Slot => ({
        number: this.#slotCount + index,
        freeAtMs: 0,
        givenAtMs: 0,
        occupant: null,
        model: models[index] ?? null,
      }),
    )
    this.#slotCount += slots.length
    for (const slot of slots) earliest.push(slot)
    for (const attempt of attempts.sort((a, b) => Number(b.isRunning) - Number(a.isRunning))) {
      const slot = earliest.pop()
      if (slot === undefined) break
      const startMs = slot.freeAtMs
      const freeMs = startMs + msLeft(attempt)
      slot.model = attempt.model
      this.#putOn(slot, attempt, { startMs, freeMs })
      const end = { pool: pool.pool.pool, startMs, freeMs, storedMs: freeMs + attempt.uploadMs }
      this.forecasts.set(attempt.videoId, { position: null, end })
      earliest.push(slot)
    }
    if (pool.pool.loaded.length > 0 && pool.pool.loaded.every(({ model }) => model !== null))
      pool.free = new FreeSlots()
    for (let slot = earliest.pop(); slot !== undefined; slot = earliest.pop()) {
      if (slot.occupant !== null) countSlot(pool, slot.occupant, 1)
      else pool.free?.add(slot)
      this.#giveLater(slot, pool)
    }
  }

  /**
   * What runs on pools that take nothing new counts against the limits of its account and key until it ends.
   */
  #occupyOfflinePools(): void {
    const online = new Set(this.#fleet.pools.map((pool) => pool.queue))
    for (const attempt of this.#fleet.inFlight) {
      if (online.has(attempt.queue)) continue
      this.#freeLater(attempt, msLeft(attempt))
    }
  }

  /**
   * Has the slot occupied for that time. It is given on when its device is nearly free, and no sooner than
   * the video begins: a slot has one successor at most.
   */
  #putOn(slot: Slot, occupant: Owner, { startMs, freeMs }: { startMs: number; freeMs: number }): void {
    slot.occupant = occupant
    slot.freeAtMs = freeMs
    slot.givenAtMs = Math.max(startMs, freeMs - NEARLY_FREE_MS)
    this.#freeLater(occupant, freeMs)
  }

  #freeLater(freed: Owner, atMs: number): void {
    this.#events.push({ atMs, slot: null, pool: null, freed })
  }

  #giveLater(slot: Slot, pool: SimulatedPool): void {
    this.#events.push({ atMs: slot.givenAtMs, slot, pool, freed: null })
  }

  /** One less runs of this account and key: over all pools they may go on. */
  #countFreed(owner: Owner, nowMs: number): void {
    this.#running.add(owner, -1)
    for (const pool of this.#pools) this.#resume(owner, pool, nowMs)
  }

  /** Has another video of the account and key tried on a slot of the pool that is idle. */
  #resume(owner: Owner, pool: SimulatedPool, nowMs: number): void {
    if (pool.queue.resume(owner)) this.#events.push({ atMs: nowMs, slot: null, pool, freed: null })
  }

  /** Gives slots that are idle, as long as there is anybody for them. */
  #giveIdle(pool: SimulatedPool, nowMs: number): void {
    for (let isGiven = true; isGiven; ) {
      const slot = pool.idle.pop()
      if (slot === undefined) return
      slot.givenAtMs = nowMs
      isGiven = this.#giveSlot(slot, pool)
    }
  }

  /**
   * Gives the slot to the video the gate would choose, or leaves it idle and returns false. What occupies it
   * is nearly free, and counts no more against its account's share of the pool.
   */
  #giveSlot(slot: Slot, pool: SimulatedPool): boolean {
    const { occupant } = slot
    if (occupant !== null) {
      slot.occupant = null
      pool.free?.add(slot)
      countSlot(pool, occupant, -1)
      this.#resume(occupant, pool, slot.givenAtMs)
    }
    for (let choice = this.#choose(slot, pool); choice !== null; choice = this.#choose(slot, pool)) {
      const { head } = choice
      const queue = this.#queues.get(head.queueKey)
      if (queue === undefined) continue
      const row = queue.rows[queue.served]
      const isQueued = row?.id === head.videoId
      if (isQueued) {
        queue.served += 1
        this.#occupy(slot, pool, { choice, row })
      } else if (queue.next?.id === head.videoId) this.#notePlace(queue, choice, { slot, pool })
      const successor = queue.rows[queue.served] ?? queue.next
      if (successor !== null) pool.queue.push(headOf(successor, pool.pool, this.#fleet.paces))
      if (isQueued) {
        this.#giveLater(slot, pool)
        return true
      }
      // It takes no slot, or another pool took it already: its account and key still have a free one.
      pool.queue.resume(head)
    }
    pool.idle.push(slot)
    return false
  }

  #choose(slot: Slot, pool: SimulatedPool): Choice | null {
    const limitOf = (head: Head) =>
      (pool.occupied.get(head.accountId) ?? 0) >= pool.accountCap
        ? head.accountId
        : this.#running.limitOf(head)
    return pool.queue.next(limitOf, {
      loaded: pool.free?.loaded ?? NOTHING_LOADED,
      nowMs: slot.givenAtMs,
      waitMsMax: pool.pool.switchWaitMsMax,
    })
  }

  /** Notes where the next video of a queue would come, which changes nothing for the others. */
  #notePlace(
    queue: KeyQueue,
    { head, tier }: Choice,
    { slot, pool }: { slot: Slot; pool: SimulatedPool },
  ): void {
    queue.next = null
    const isLoaded = pool.free?.loaded.has(head.model) ?? true
    const atMs = startOn(slot) + (isLoaded ? 0 : pool.pool.switchMs)
    const start = { atMs, pool: pool.pool }
    this.places.set(head.queueKey, { position: this.#position + 1, tier, start })
  }

  #occupy(slot: Slot, pool: SimulatedPool, { choice, row }: { choice: Choice; row: HeadRow }): void {
    this.#time.advance(choice)
    const { costMs, model } = choice.head
    pool.free?.swapModel(slot, model)
    pool.free?.delete(slot)
    const isSwitch = pool.free !== null && slot.model !== null && slot.model !== model
    const startMs = startOn(slot) + (isSwitch ? pool.pool.switchMs : 0)
    const freeMs = startMs + costMs
    slot.model = model
    this.#putOn(slot, choice.head, { startMs, freeMs })
    countSlot(pool, choice.head, 1)
    this.#running.add(choice.head, 1)
    this.#position += 1
    const storedMs = freeMs + predictUploadMs(this.#fleet.paces, pool.pool, row)
    const end = { pool: pool.pool.pool, startMs, freeMs, storedMs }
    this.forecasts.set(choice.head.videoId, { position: this.#position, end })
  }

  /** Videos that no slot was found for have a position behind all others, and no time. */
  #forecastUnserved(): void {
    for (const [queueKey, queue] of this.#queues) {
      for (const row of queue.rows.slice(queue.served)) {
        this.#position += 1
        this.forecasts.set(row.id, { position: this.#position, end: null })
      }
      if (queue.next !== null) {
        const tier = queue.next.service_tier
        this.places.set(queueKey, { position: this.#position + 1, tier, start: null })
      }
    }
  }
}

/** Comes after every id of a video. */
const LAST_ID = '~'

/** The next video of the queue that this one waits in; a flex video's deadline is not near when it is new. */
function nextAfter(row: HeadRow): HeadRow {
  return {
    ...row,
    id: LAST_ID,
    checkpoint_step: null,
    passed_over_ms: null,
    expires_in_ms: Number.POSITIVE_INFINITY,
  }
}

/** Whether the pool may choose a less fair video because its model is loaded. */
function prefersLoaded({ loaded, switchWaitMsMax }: Pool, queued: readonly HeadRow[]): boolean {
  if (switchWaitMsMax === 0 || loaded.length === 0) return false
  const models = new Set(loaded.map(({ model }) => model))
  if (models.has(null)) return false
  return models.size > 1 || queued.some(({ model }) => !models.has(model))
}

function queuesOf(queued: readonly HeadRow[]): Map<string, KeyQueue> {
  const queues = new Map<string, KeyQueue>()
  for (const row of queued.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    const key = queueKeyOf(row)
    const queue = queues.get(key)
    if (queue === undefined) queues.set(key, { rows: [row], served: 0, next: nextAfter(row) })
    else queue.rows.push(row)
  }
  return queues
}

/** When a video begins that is given the slot now. */
function startOn({ freeAtMs, givenAtMs }: Slot): number {
  return Math.max(freeAtMs, givenAtMs)
}

function msLeft(attempt: InFlight): number {
  return Math.max(0, attempt.freeInMs ?? attempt.leftMs)
}

function countSlot(pool: SimulatedPool, { accountId }: Owner, change: 1 | -1): void {
  pool.occupied.set(accountId, (pool.occupied.get(accountId) ?? 0) + change)
}
