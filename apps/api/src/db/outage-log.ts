import type { Logger } from 'pino'
import type { DatabaseUnavailableError } from '../errors.ts'

/** An outage has ended when nothing failed for so long: a full disk still lets reads through. */
const ENDS_AFTER_MS = 3_000

/** Logs an outage of the database when it begins and when it has ended, however many calls it fails. */
export class OutageLog {
  readonly #log: Logger
  #beganAtMs: number | null = null
  #failedAtMs = 0
  #failures = 0

  constructor(log: Logger) {
    this.#log = log
  }

  /** An outcome of any call: why the database could not be used, or null. */
  note(unavailable: DatabaseUnavailableError | null): void {
    const nowMs = performance.now()
    if (unavailable !== null) {
      this.#failedAtMs = nowMs
      this.#failures += 1
      if (this.#beganAtMs !== null) return
      this.#beganAtMs = nowMs
      const { message, code } = unavailable.cause as Error & { code?: string }
      this.#log.warn({ part: 'database', problem: message, code }, 'the database cannot be used')
    } else if (this.#beganAtMs !== null && nowMs - this.#failedAtMs >= ENDS_AFTER_MS) {
      const seconds = Math.round((this.#failedAtMs - this.#beganAtMs) / 1_000)
      this.#log.info({ part: 'database', seconds, failures: this.#failures }, 'the database works again')
      this.#beganAtMs = null
      this.#failures = 0
    }
  }
}
