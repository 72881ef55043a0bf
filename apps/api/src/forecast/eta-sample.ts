import type { Forecast } from '@sluice/gate/forecast/simulate'
import type { Database } from '../db/database.ts'

/** Videos whose forecast is kept each time forecasts are made, which is at most four times a second. */
const KEPT_MAX = 20

/**
 * Keeps the forecasts of some of the videos that were queued since the time before, to compare them with what
 * came: the first forecast of a video that anybody can have seen. Ids rise with time, so the newest id
 * divides old from new.
 */
export class EtaSample {
  readonly #db: Database
  readonly #random: () => number
  #newestId = ''

  /** `random` returns a number from 0 to just below 1. */
  constructor(db: Database, random: () => number = Math.random) {
    this.#db = db
    this.#random = random
  }

  /**
   * Takes all forecasts made at one time. One write of at most twenty rows, and none when nothing new was
   * queued.
   */
  async take(forecasts: ReadonlyMap<string, Forecast>): Promise<void> {
    const newestBefore = this.#newestId
    const sample: { id: string; p50: number; p90: number }[] = []
    for (const [id, { position, etaSeconds }] of forecasts) {
      if (id <= newestBefore) continue
      if (id > this.#newestId) this.#newestId = id
      if (position !== null && etaSeconds !== null) sample.push({ id, ...etaSeconds })
    }
    while (sample.length > KEPT_MAX) sample.splice(Math.floor(this.#random() * sample.length), 1)
    if (sample.length === 0) return
    await this.#db.query({
      name: 'eta-sample',
      text: `insert into eta_given (video_id, p50_ms, p90_ms)
        select id, p50 * 1000, p90 * 1000
        from unnest($1::text[], $2::float8[], $3::float8[]) f(id, p50, p90)
        on conflict do nothing`,
      values: [sample.map(({ id }) => id), sample.map(({ p50 }) => p50), sample.map(({ p90 }) => p90)],
    })
  }
}
