import type { Database } from '../db/database.ts'
import type { Forecast } from './forecaster.ts'

/** Videos of one round whose foreseen end is kept, to be held against what came. A round is made at most four times a second. */
const KEPT_PER_ROUND_MAX = 20

/**
 * Keeps what was foreseen for some of the videos that were queued since the round before: the first that anybody can have
 * been told of them. Ids rise with time, so the newest id of a round divides old from new.
 */
export class EtaSample {
  readonly #db: Database
  readonly #draw: () => number
  #newestId = ''

  constructor(db: Database, draw: () => number = Math.random) {
    this.#db = db
    this.#draw = draw
  }

  /** Takes one round of forecasts in. One write a round, of at most twenty rows, and none when nothing was queued. */
  async take(forecasts: ReadonlyMap<string, Forecast>): Promise<void> {
    const known = this.#newestId
    const foreseen: { id: string; p50: number; p90: number }[] = []
    for (const [id, { position, etaSeconds }] of forecasts) {
      if (id <= known) continue
      if (id > this.#newestId) this.#newestId = id
      if (position !== null && etaSeconds !== null) foreseen.push({ id, ...etaSeconds })
    }
    while (foreseen.length > KEPT_PER_ROUND_MAX)
      foreseen.splice(Math.floor(this.#draw() * foreseen.length), 1)
    if (foreseen.length === 0) return
    await this.#db.query({
      name: 'eta-sample',
      text: `insert into eta_given (video_id, p50_ms, p90_ms)
      select id, p50 * 1000, p90 * 1000 from unnest($1::text[], $2::float8[], $3::float8[]) f(id, p50, p90) on conflict do nothing`,
      values: [foreseen.map(({ id }) => id), foreseen.map(({ p50 }) => p50), foreseen.map(({ p90 }) => p90)],
    })
  }
}
