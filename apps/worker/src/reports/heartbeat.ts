import { HEARTBEAT_MS, type Heartbeat, type HeartbeatAnswer } from '@sluice/shared/attempt-contract'
import type { Logger } from 'pino'
import {
  ApiUnavailableError,
  type ReportClient,
  ReportRefusedError,
  WorkerIdInUseError,
} from './report-client.ts'

export interface HeartbeatsDeps {
  client: ReportClient
  /** Null while there is nothing to say yet: the pool is not known. */
  compose(): Heartbeat | null
  onAnswer(attempts: HeartbeatAnswer['attempts']): void
  /** Another live process has this worker's id, as the API says; from then on `compose` names another. */
  onIdInUse(why: string): Promise<void>
  log: Logger
}

/** Names all that this worker owns, every HEARTBEAT_MS and when asked to; one request at a time. */
export class Heartbeats {
  readonly #deps: HeartbeatsDeps
  readonly #stopped = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #sending: Promise<void> | undefined
  #again = false
  #isAnswered = false
  #installation: string | undefined

  constructor(deps: HeartbeatsDeps) {
    this.#deps = deps
  }

  /**
   * True once a heartbeat was answered: from then on the API knows that this process, and no other one, is
   * the worker.
   */
  get isAnswered(): boolean {
    return this.#isAnswered
  }

  /** The API's installation as it last said it. */
  get installation(): string | undefined {
    return this.#installation
  }

  start(): void {
    const beat = (): void => {
      // oxlint-disable-next-line typescript/no-floating-promises -- `beat` never rejects
      void this.beat()
    }
    this.#timer = setInterval(beat, HEARTBEAT_MS)
    beat()
  }

  /** Beats now; while a beat is under way, once more after it. Never rejects: a beat that fails is logged. */
  async beat(): Promise<void> {
    if (this.#sending !== undefined) {
      this.#again = true
      return await this.#sending
    }
    // Clear in `finally`: `sendAll` may settle before the assignment completes.
    this.#sending = this.#sendAll().finally(() => {
      this.#sending = undefined
      // oxlint-disable-next-line typescript/no-floating-promises -- `beat` never rejects
      if (this.#again) void this.beat()
    })
    await this.#sending
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#stopped.abort()
  }

  async #sendAll(): Promise<void> {
    do {
      this.#again = false
      try {
        const heartbeat = this.#deps.compose()
        if (heartbeat === null || this.#stopped.signal.aborted) break
        const answer = await this.#deps.client.heartbeat(heartbeat, this.#stopped.signal)
        this.#isAnswered = true
        // During an upgrade an older API may answer, which does not say it.
        this.#installation = answer.installation ?? this.#installation
        this.#deps.onAnswer(answer.attempts)
      } catch (error) {
        if (error instanceof WorkerIdInUseError) {
          // Once: an API that refuses every id is asked no more often than any other.
          this.#again ||= this.#isAnswered
          this.#isAnswered = false
          await this.#deps.onIdInUse(error.message)
        } else if (!this.#stopped.signal.aborted) {
          // That the API is away, or refuses what this worker says, was said already.
          const isSaid = error instanceof ApiUnavailableError || error instanceof ReportRefusedError
          this.#deps.log[isSaid ? 'debug' : 'warn']({ err: error }, 'a heartbeat failed')
        }
      }
    } while (this.#again)
  }
}
