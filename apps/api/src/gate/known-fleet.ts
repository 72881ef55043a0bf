import type { Fleet, InFlight } from '@sluice/gate/fleet'
import { modelOfCapability } from '@sluice/shared/models/capability'
import type { FreedSlot } from '../context.ts'
import type { Database } from '../db/database.ts'
import { type FleetSettings, type ReadFleet, readFleet } from './fleet.ts'

/** However little happened, the fleet is read anew after this long. */
const KEPT_MS_MAX = 500
/** A reading that takes no longer than this is made whenever something may have changed. */
const CHEAP_MS = 5
/** A longer one takes at most a fifth of the time. */
const REST_FACTOR = 4

/**
 * The fleet as the leader knows it: read in one statement, then kept up to date by what the leader dispatches
 * and is told of. It is read anew when anything else may have changed, at the latest after half a second;
 * where that takes long, since thousands of slots are busy, with pauses in between. What is known too late is
 * known on the safe side: only the leader dispatches, so no more is in flight than it knows of, and each
 * dispatch asks for itself whether a worker of the queue lives and whether the video is queued.
 */
export class KnownFleet {
  readonly #db: Database
  readonly #settings: FleetSettings
  readonly #now: () => number
  #known: ReadFleet | undefined
  #isDoubted = true
  #readAtMs = 0
  #tookMs = 0
  /** The moment that the times in `#known` are of. */
  #ofMs = 0

  constructor(db: Database, settings: FleetSettings, now: () => number = () => performance.now()) {
    this.#db = db
    this.#settings = settings
    this.#now = now
  }

  /** Anything may have changed. */
  doubt(): void {
    this.#isDoubted = true
  }

  /** Milliseconds until what may have changed can be read; null when nothing has. */
  get dueInMs(): number | null {
    return this.#isDoubted ? this.#restMs() : null
  }

  /** The fleet as it is now, as far as is known; the caller keeps it up to date. */
  async get(): Promise<ReadFleet> {
    if (this.#known === undefined || (this.#isOutdated(this.#known) && this.#restMs() === 0))
      return this.#read()
    const nowMs = this.#now()
    for (const attempt of this.#known.inFlight) age(attempt, nowMs - this.#ofMs)
    this.#known.flex.atMs += nowMs - this.#ofMs
    this.#ofMs = nowMs
    return this.#known
  }

  /** Notes whose device is free, or will be. */
  free(slots: readonly FreedSlot[]): void {
    if (slots.length === 0 || this.#known === undefined) return
    const passedMs = this.#now() - this.#ofMs
    const told = new Map(slots.map((slot) => [slot.videoId, slot]))
    const { inFlight, running } = this.#known
    this.#known.inFlight = inFlight.filter((attempt) => {
      const slot = told.get(attempt.videoId)
      if (slot === undefined || slot.fence !== attempt.fence) return true
      if (slot.inMs > 0) {
        attempt.freeInMs = slot.inMs + passedMs
        return true
      }
      running.add(attempt, -1)
      return false
    })
  }

  #isOutdated(fleet: Fleet): boolean {
    return this.#isDoubted || this.#now() - this.#readAtMs >= KEPT_MS_MAX || switchesModels(fleet)
  }

  #restMs(): number {
    if (this.#tookMs <= CHEAP_MS) return 0
    return Math.max(0, this.#tookMs * REST_FACTOR - (this.#now() - this.#readAtMs))
  }

  async #read(): Promise<ReadFleet> {
    const startedAtMs = this.#now()
    this.#isDoubted = false
    this.#known = await readFleet(this.#db, this.#settings)
    this.#readAtMs = this.#now()
    this.#ofMs = this.#readAtMs
    this.#tookMs = this.#readAtMs - startedAtMs
    return this.#known
  }
}

function age(attempt: InFlight, ms: number): void {
  attempt.dispatchedMs += ms
  attempt.expiresInMs -= ms
  if (attempt.isRunning) attempt.ranMs += ms
  if (attempt.freeInMs !== null) attempt.freeInMs -= ms
}

/** What slots have loaded changes with each video where they switch models, and no news say it. */
function switchesModels({ pools }: Fleet): boolean {
  return pools.some(
    ({ capabilities, loaded }) =>
      new Set(capabilities.map(modelOfCapability)).size > 1 && loaded.some(({ model }) => model !== null),
  )
}
