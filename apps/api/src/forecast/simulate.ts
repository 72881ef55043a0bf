import { accountCap, type Choice, FairQueue, type Head } from '../gate/choose.ts'
import { inOrderOfFilling } from '../gate/delivery.ts'
import { activeAccounts, type Fleet, type InFlight, type Pool } from '../gate/fleet.ts'
import { type HeadRow, headOf, queueKeyOf } from '../gate/head-row.ts'
import { Heap } from '../gate/heap.ts'
import { unoccupiedSlots } from '../gate/loaded-slots.ts'
import { fitsPool } from '../gate/pool-fits.ts'
import type { Owner, RunningCounts } from '../gate/running-counts.ts'

/** What is expected of one video. */
export interface Forecast {
  /** 1 = next; null for a video that runs. */
  position: number | null
  /** Seconds until it is finished; null while there is no pool that could run it. */
  etaSeconds: { p50: number; p90: number } | null
}

/** Assumed, not measured: a late video is late by about 30 % of its wait. `/metrics` shows how that does. */
const P90_FACTOR = 1.3

/**
 * Runs the gate ahead in time: gives slot after slot, in the order they become free, to the video the gate
 * would give it to. Returns the forecasts of all videos in flight and queued. Pure.
 */
export function simulate(
  fleet: Fleet,
  queued: readonly HeadRow[],
  accountSharePercent: number,
): ReadonlyMap<string, Forecast> {
  return new Simulation(fleet, queued, accountSharePercent).run()
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
}

interface Slot {
  freeAtMs: number
  /** Whose video occupies it until then. */
  occupant: Owner | null
  /** What it has loaded; null = not known. */
  model: string | null
}

interface SimulatedPool {
  pool: Pool
  queue: FairQueue
  accountCap: number
  /** Slots each account occupies. */
  occupied: Map<string, number>
  /** All of them, where the workers say what they have loaded; else none. */
  slots: Slot[]
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

class Simulation {
  readonly #fleet: Fleet
  readonly #queues: ReadonlyMap<string, KeyQueue>
  readonly #time: Fleet['time']
  readonly #running: RunningCounts
  readonly #pools: readonly SimulatedPool[]
  /** The slots in the order they become free. */
  readonly #freed = new Heap<FreedSlot>((a, b) => a.slot.freeAtMs < b.slot.freeAtMs)
  readonly #forecasts = new Map<string, Forecast>()
  #position = 0

  constructor(fleet: Fleet, queued: readonly HeadRow[], accountSharePercent: number) {
    // A pool that does not take what it is given makes nothing.
    const pools = inOrderOfFilling(fleet.pools).filter(({ untaken }) => untaken === 0)
    this.#fleet = { ...fleet, pools }
    this.#queues = queuesOf(queued)
    this.#time = fleet.time.copy()
    this.#running = fleet.running.copy()
    this.#pools = pools.map((pool) => {
      const heads = this.#headsFor(pool)
      return {
        pool,
        queue: new FairQueue(this.#time, heads),
        accountCap: accountCap(pool, activeAccounts(fleet, pool, heads), accountSharePercent),
        occupied: new Map(),
        slots: [],
        idle: [],
      }
    })
  }

  run(): ReadonlyMap<string, Forecast> {
    for (const pool of this.#pools) this.#occupySlots(pool)
    this.#occupyOfflinePools()
    for (let freed = this.#freed.pop(); freed !== undefined; freed = this.#freed.pop()) {
      this.#endOccupation(freed)
      if (freed.pool !== null) this.#giveSlot(freed.slot, freed.pool)
    }
    this.#forecastUnserved()
    return this.#forecasts
  }

  #headsFor(pool: Pool): Head[] {
    return [...this.#queues.values()].flatMap(({ rows: [head] }) =>
      head !== undefined && fitsPool(pool, head) ? [headOf(head, pool, this.#fleet.paces)] : [],
    )
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
      (_, index): Slot => ({ freeAtMs: 0, occupant: null, model: models[index] ?? null }),
    )
    for (const slot of slots) earliest.push(slot)
    if (pool.pool.loaded.length > 0 && pool.pool.loaded.every(({ model }) => model !== null))
      pool.slots = slots
    for (const attempt of attempts.sort((a, b) => Number(b.isRunning) - Number(a.isRunning))) {
      const slot = earliest.pop()
      if (slot === undefined) break
      if (slot.occupant !== null) this.#freed.push({ slot: { ...slot }, pool: null })
      slot.freeAtMs += msLeft(attempt)
      slot.occupant = attempt
      slot.model = attempt.model
      this.#forecasts.set(attempt.videoId, {
        position: null,
        etaSeconds: attempt.freeInMs === null ? null : etaOf(slot.freeAtMs),
      })
      earliest.push(slot)
    }
    for (let slot = earliest.pop(); slot !== undefined; slot = earliest.pop()) {
      if (slot.occupant !== null) countSlot(pool, slot.occupant, 1)
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
      this.#freed.push({ slot: { freeAtMs: msLeft(attempt), occupant: attempt, model: null }, pool: null })
    }
  }

  /**
   * Ends what occupied the slot, and has another video of its account and key tried on a slot that is idle.
   */
  #endOccupation({ slot, pool }: FreedSlot): void {
    const { occupant } = slot
    if (occupant === null) return
    slot.occupant = null
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
    const limitOf = (head: Head) =>
      (pool.occupied.get(head.accountId) ?? 0) >= pool.accountCap
        ? head.accountId
        : this.#running.limitOf(head)
    const free = pool.slots.filter((other) => other.occupant === null && other.freeAtMs <= slot.freeAtMs)
    const choice = pool.queue.next(limitOf, {
      loaded: new Set(free.flatMap(({ model }) => model ?? [])),
      nowMs: slot.freeAtMs,
      waitMsMax: pool.pool.switchWaitMsMax,
    })
    if (choice === null) {
      pool.idle.push(slot)
      return
    }
    const queue = this.#queues.get(choice.head.queueKey)
    const isStillQueued = queue?.rows[queue.served]?.id === choice.head.videoId
    if (queue !== undefined && isStillQueued) {
      queue.served += 1
      // Slots are alike but for what they have loaded.
      const loaded = free.find(({ model }) => model === choice.head.model)
      if (loaded !== undefined) [loaded.model, slot.model] = [slot.model, loaded.model]
      this.#occupy(slot, pool, choice)
    }
    const head = queue?.rows[queue.served]
    if (head !== undefined) pool.queue.push(headOf(head, pool.pool, this.#fleet.paces))
    // The head was already taken by another pool, so its account and key still have a free slot.
    if (!isStillQueued) pool.queue.resume(choice.head)
    this.#freed.push({ slot, pool })
  }

  #occupy(slot: Slot, pool: SimulatedPool, choice: Choice): void {
    this.#time.advance(choice)
    const { costMs, model } = choice.head
    const isSwitch = slot.model !== null && slot.model !== model && pool.slots.length > 0
    slot.freeAtMs += costMs + (isSwitch ? pool.pool.switchMs : 0)
    slot.model = model
    slot.occupant = choice.head
    countSlot(pool, choice.head, 1)
    this.#running.add(choice.head, 1)
    this.#position += 1
    this.#forecasts.set(choice.head.videoId, { position: this.#position, etaSeconds: etaOf(slot.freeAtMs) })
  }

  /** Videos that no slot was found for have a position behind all others, and no time. */
  #forecastUnserved(): void {
    for (const queue of this.#queues.values()) {
      for (const row of queue.rows.slice(queue.served)) {
        this.#position += 1
        this.#forecasts.set(row.id, { position: this.#position, etaSeconds: null })
      }
    }
  }
}

function queuesOf(queued: readonly HeadRow[]): Map<string, KeyQueue> {
  const queues = new Map<string, KeyQueue>()
  for (const row of queued.toSorted((a, b) => (a.id < b.id ? -1 : 1))) {
    const key = queueKeyOf(row)
    const queue = queues.get(key)
    if (queue === undefined) queues.set(key, { rows: [row], served: 0 })
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
