import type { ExpectedEnd } from '@sluice/gate/forecast/expected-end'
import { pause } from '@sluice/shared/pause'
import type { Database } from '../db/database.ts'

/** Forecasts that are kept each time, at most. */
const KEPT_MAX = 20
/** How often that is. */
const KEEP_EVERY_MS = 250

/** What a customer was told of a video, and what that was made of. */
export interface GivenEta {
  videoId: string
  end: ExpectedEnd
  /** The pace was measured that its time on the device is made of. */
  isMeasured: boolean
  p50Ms: number
  p90Ms: number
}

/**
 * Keeps what customers were told with the first answers of some videos, to compare it with what comes: a
 * sample of at most twenty each quarter of a second, drawn evenly from all of that time.
 */
export class EtaSample {
  readonly #db: Database
  readonly #onError: (error: Error) => void
  readonly #random: () => number
  #sample: (GivenEta & { atMs: number })[] = []
  /** How many were given since the last time. */
  #given = 0
  #keeping: Promise<void> | undefined

  /** `random` returns a number from 0 to just below 1. */
  constructor(db: Database, onError: (error: Error) => void, random: () => number = Math.random) {
    this.#db = db
    this.#onError = onError
    this.#random = random
  }

  /** Notes what was just told. */
  note(given: GivenEta): void {
    this.#given += 1
    const noted = { ...given, atMs: performance.now() }
    if (this.#sample.length < KEPT_MAX) this.#sample.push(noted)
    else {
      const place = Math.floor(this.#random() * this.#given)
      if (place < KEPT_MAX) this.#sample[place] = noted
    }
    this.#keeping ??= this.#keepSoon()
  }

  /** Resolves when what was noted until now is kept. */
  async kept(): Promise<void> {
    await this.#keeping
  }

  async #keepSoon(): Promise<void> {
    await pause(KEEP_EVERY_MS)
    const sample = this.#sample
    this.#sample = []
    this.#given = 0
    this.#keeping = undefined
    await this.#keep(sample).catch(this.#onError)
  }

  async #keep(sample: readonly (GivenEta & { atMs: number })[]): Promise<void> {
    const nowMs = performance.now()
    const column = (value: (given: GivenEta & { atMs: number }) => number | string | boolean) =>
      sample.map(value)
    await this.#db.query({
      name: 'eta-sample',
      text: `insert into eta_given (video_id, given_at, p50_ms, p90_ms, pool, start_ms, free_ms, stored_ms,
          late_ms, measured)
        select f.id, now() - ago_ms * interval '1 millisecond', f.p50, f.p90,
          f.pool, f.start, f.free, f.stored, f.late, f.measured
        from unnest($1::text[], $2::float8[], $3::float8[], $4::float8[],
          $5::text[], $6::float8[], $7::float8[], $8::float8[], $9::float8[],
          $10::boolean[])
          f (id, ago_ms, p50, p90, pool, start, free, stored, late, measured)
        on conflict do nothing`,
      values: [
        column(({ videoId }) => videoId),
        column(({ atMs }) => nowMs - atMs),
        column(({ p50Ms }) => p50Ms),
        column(({ p90Ms }) => p90Ms),
        column(({ end }) => end.pool),
        column(({ end }) => end.startMs),
        column(({ end }) => end.freeMs),
        column(({ end }) => end.storedMs),
        column(({ end }) => end.lateMs),
        column(({ isMeasured }) => isMeasured),
      ],
    })
  }
}
