import type { Clock } from '@sluice/shared/clock'
import { newId } from '@sluice/shared/ids'
import type { Catalogue } from '@sluice/shared/model-catalogue'
import type { Database } from '../db/database.ts'
import { readHeads } from '../gate/queue-heads.ts'
import { type FleetState, type HeadRow, lineOf, readFleet } from '../gate/snapshot.ts'
import { everyCapability, type Forecast, simulate } from './forecaster.ts'

/** Videos simulated one by one. */
const SIMULATED_MAX = 2_000
const FRESH_MS = 1_000

interface Snapshot {
  fleet: FleetState
  rows: HeadRow[]
  perLine: number
}

/** What would happen to a video submitted now: the gate's own choice, run ahead with it at the end of its line. */
export class Foresight {
  readonly #db: Database
  readonly #clock: Clock
  readonly #catalogue: Catalogue
  readonly #accountSharePercent: number
  #readAt = Number.NEGATIVE_INFINITY
  #snapshot: Promise<Snapshot> | undefined

  constructor(db: Database, clock: Clock, catalogue: Catalogue, accountSharePercent: number) {
    this.#db = db
    this.#clock = clock
    this.#catalogue = catalogue
    this.#accountSharePercent = accountSharePercent
  }

  /** Its place and time; null when its line is longer than what is simulated. Looks at the fleet at most once a second. */
  async of(video: Omit<HeadRow, 'id' | 'checkpoint_step'>): Promise<Forecast | null> {
    const { fleet, rows, perLine } = await this.#current()
    const line = lineOf(video)
    if (rows.filter((row) => lineOf(row) === line).length >= perLine) return null
    const added: HeadRow = { ...video, id: newId('video'), checkpoint_step: null }
    return simulate(fleet, [...rows, added], this.#accountSharePercent).get(added.id) ?? null
  }

  #current(): Promise<Snapshot> {
    const ageMs = this.#clock.now() - this.#readAt
    if (this.#snapshot === undefined || ageMs >= FRESH_MS || ageMs < 0) {
      this.#readAt = this.#clock.now()
      const reading = this.#read()
      this.#snapshot = reading
      reading.catch(() => {
        if (this.#snapshot === reading) this.#snapshot = undefined
      })
    }
    return this.#snapshot
  }

  async #read(): Promise<Snapshot> {
    const fleet = await readFleet(this.#db, this.#catalogue)
    const fronts = await readHeads(this.#db, everyCapability(this.#catalogue, fleet), SIMULATED_MAX)
    return { fleet, ...fronts }
  }
}
