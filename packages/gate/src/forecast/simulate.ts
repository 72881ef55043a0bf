import type { ServiceTier } from '@sluice/shared/service-tier'
import { accountCap, type Choice, FairQueue, type Head } from '../choose.ts'
import { inOrderOfFilling } from '../delivery.ts'
import { activeAccounts, type Fleet, type InFlight, type Pool } from '../fleet.ts'
import { type HeadRow, headOf, queueKeyOf } from '../head-row.ts'
import { Heap } from '../heap.ts'
import { unoccupiedSlots } from '../loaded-slots.ts'
import { type Paces, type PredictableVideo, predictDeviceMs } from '../pace.ts'
import { fitsPool } from '../pool-fits.ts'
import type { Owner, RunningCounts } from '../running-counts.ts'

/** What is expected of one video. */
export interface Forecast {
  /** 1 = next; null for a video that runs. */
  position: number | null
  /** Seconds until it is finished; null while there is no pool that could run it. */
  etaSeconds: { p50: number; p90: number } | null
}

/** Assumed, not measured: a late video is late by about 30 % of its wait. `/metrics` shows how that does. */
const P90_FACTOR = 1.3

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
  if (start === null) return { position, etaSeconds: null }
  const costMs = predictDeviceMs(paces, start.pool, video, video.num_steps)
  return { position, etaSeconds: etaOf(start.atMs + costMs) }
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
  /** Among slots that are free at the same time the first goes first. */
  number: number
  freeAtMs: number
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
  idle: Slot[]
}

/**
 * A slot and the moment it becomes free. `pool` is null when the slot goes to nobody: its pool is offline, or
 * a successor already occupies it.
 */
interface FreedSlot {
  slot: Slot
  pool: SimulatedPool | null
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
  /** The slots in the order they become free. */
  readonly #freed = new Heap<FreedSlot>(({ slot: a }, { slot: b }) =>
    a.freeAtMs === b.freeAtMs ? a.number < b.number : a.freeAtMs < b.freeAtMs,
  )
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
    for (let freed = this.#freed.pop(); freed !== undefined; freed = this.#freed.pop()) {
      yield
      this.#endOccupation(freed)
      if (freed.pool !== null) this.#giveSlot(freed.slot, freed.pool)
      if (isEnough()) return
    }
    this.#forecastUnserved()
  }

  #openPool(pool: Pool): void {
    const heads = this.#headsFor(pool)
    this.#pools.push({
      pool,
      queue: new FairQueue(this.#time, heads),
      accountCap: accountCap(pool, activeAccounts(this.#fleet, pool, heads), this.#accountSharePercent),
      occupied: new Map(),
      free: null,
      idle: [],
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
        occupant: null,
        model: models[index] ?? null,
      }),
    )
    this.#slotCount += slots.length
    for (const slot of slots) earliest.push(slot)
    for (const attempt of attempts.sort((a, b) => Number(b.isRunning) - Number(a.isRunning))) {
      const slot = earliest.pop()
      if (slot === undefined) break
      if (slot.occupant !== null) this.#freed.push({ slot: { ...slot }, pool: null })
      slot.freeAtMs += msLeft(attempt)
      slot.occupant = attempt
      slot.model = attempt.model
      this.forecasts.set(attempt.videoId, {
        position: null,
        etaSeconds: attempt.freeInMs === null ? null : etaOf(slot.freeAtMs),
      })
      earliest.push(slot)
    }
    if (pool.pool.loaded.length > 0 && pool.pool.loaded.every(({ model }) => model !== null))
      pool.free = new FreeSlots()
    for (let slot = earliest.pop(); slot !== undefined; slot = earliest.pop()) {
      if (slot.occupant !== null) countSlot(pool, slot.occupant, 1)
      else pool.free?.add(slot)
      this.#freed.push({ slot, pool })
    }
  }

  /**
   * What runs on pools that take nothing new counts against the limits of its account and key until it ends.
   */
  #occupyOfflinePools(): void {
    const online = new Set(this.#fleet.pools.map((pool) => pool.queue))
    for (const attempt of this.#fleet.inFlight) {
      if (online.has(attempt.queue)) continue
      const number = this.#slotCount++
      const slot = { number, freeAtMs: msLeft(attempt), occupant: attempt, model: null }
      this.#freed.push({ slot, pool: null })
    }
  }

  /**
   * Ends what occupied the slot, and has another video of its account and key tried on a slot that is idle.
   */
  #endOccupation({ slot, pool }: FreedSlot): void {
    const { occupant } = slot
    if (occupant === null) return
    slot.occupant = null
    pool?.free?.add(slot)
    if (pool !== null) countSlot(pool, occupant, -1)
    this.#running.add(occupant, -1)
    for (const other of this.#pools) {
      // One more may run, so one slot of each pool is enough.
      const idle = other.queue.resume(occupant) ? other.idle.pop() : undefined
      if (idle === undefined) continue
      idle.freeAtMs = slot.freeAtMs
      this.#freed.push({ slot: idle, pool: other })
    }
  }

  /** Gives the slot to the video the gate would choose, or leaves it idle. */
  #giveSlot(slot: Slot, pool: SimulatedPool): void {
    for (let choice = this.#choose(slot, pool); choice !== null; choice = this.#choose(slot, pool)) {
      const { head } = choice
      const queue = this.#queues.get(head.queueKey)
      if (queue === undefined) continue
      const isQueued = queue.rows[queue.served]?.id === head.videoId
      if (isQueued) {
        queue.served += 1
        this.#occupy(slot, pool, choice)
      } else if (queue.next?.id === head.videoId) this.#notePlace(queue, choice, { slot, pool })
      const successor = queue.rows[queue.served] ?? queue.next
      if (successor !== null) pool.queue.push(headOf(successor, pool.pool, this.#fleet.paces))
      if (isQueued) {
        this.#freed.push({ slot, pool })
        return
      }
      // It takes no slot, or another pool took it already: its account and key still have a free one.
      pool.queue.resume(head)
    }
    pool.idle.push(slot)
  }

  #choose(slot: Slot, pool: SimulatedPool): Choice | null {
    const limitOf = (head: Head) =>
      (pool.occupied.get(head.accountId) ?? 0) >= pool.accountCap
        ? head.accountId
        : this.#running.limitOf(head)
    return pool.queue.next(limitOf, {
      loaded: pool.free?.loaded ?? NOTHING_LOADED,
      nowMs: slot.freeAtMs,
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
    const atMs = slot.freeAtMs + (isLoaded ? 0 : pool.pool.switchMs)
    const start = { atMs, pool: pool.pool }
    this.places.set(head.queueKey, { position: this.#position + 1, tier, start })
  }

  #occupy(slot: Slot, pool: SimulatedPool, choice: Choice): void {
    this.#time.advance(choice)
    const { costMs, model } = choice.head
    pool.free?.swapModel(slot, model)
    pool.free?.delete(slot)
    const isSwitch = pool.free !== null && slot.model !== null && slot.model !== model
    slot.freeAtMs += costMs + (isSwitch ? pool.pool.switchMs : 0)
    slot.model = model
    slot.occupant = choice.head
    countSlot(pool, choice.head, 1)
    this.#running.add(choice.head, 1)
    this.#position += 1
    this.forecasts.set(choice.head.videoId, { position: this.#position, etaSeconds: etaOf(slot.freeAtMs) })
  }

  /** Videos that no slot was found for have a position behind all others, and no time. */
  #forecastUnserved(): void {
    for (const [queueKey, queue] of this.#queues) {
      for (const row of queue.rows.slice(queue.served)) {
        this.#position += 1
        this.forecasts.set(row.id, { position: this.#position, etaSeconds: null })
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

function msLeft(attempt: InFlight): number {
  return Math.max(0, attempt.freeInMs ?? attempt.leftMs)
}

function countSlot(pool: SimulatedPool, { accountId }: Owner, change: 1 | -1): void {
  pool.occupied.set(accountId, (pool.occupied.get(accountId) ?? 0) + change)
}

function etaOf(freeAtMs: number): { p50: number; p90: number } {
  const seconds = freeAtMs / 1_000
  const round = (value: number) => Math.round(value * 10) / 10
  return { p50: round(seconds), p90: round(seconds * P90_FACTOR) }
}
