import type { Logger } from 'pino'
import { reasonOf } from './error-message.ts'

/** Something outside this worker that it needs: what is said when it is away, and when it is back. */
export interface OutageWords {
  away: string
  back: string
  /** What else the lines hold, such as the setting that may be wrong. */
  about?: Readonly<Record<string, unknown>>
}

/** Says once that something is away, however often it is found so, and once that it is back. */
export class Outage {
  readonly #log: Logger
  readonly #words: OutageWords
  #isAway = false

  constructor(log: Logger, words: OutageWords) {
    this.#log = log
    this.#words = words
  }

  get isAway(): boolean {
    return this.#isAway
  }

  begin(error: unknown): void {
    if (this.#isAway) return
    this.#isAway = true
    this.#log.error({ ...this.#words.about, reason: reasonOf(error) }, this.#words.away)
  }

  end(): void {
    if (!this.#isAway) return
    this.#isAway = false
    this.#log.info(this.#words.about ?? {}, this.#words.back)
  }
}
