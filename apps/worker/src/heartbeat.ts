import {
  HEARTBEAT_MS,
  type Heartbeat,
  type HeartbeatAnswer,
  type OwnedAttempt,
} from '@sluice/shared/attempt-contract'
import type { Logger } from 'pino'
import type { ReportClient } from './report-client.ts'

/** Names everything this worker holds, every HEARTBEAT_MS and whenever it is asked to; one request at a time. */
export class Heartbeats {
  readonly #client: ReportClient
  readonly #compose: () => Heartbeat | null
  readonly #onAnswer: (attempts: HeartbeatAnswer['attempts']) => void
  readonly #log: Logger
  readonly #stopped = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #sending: Promise<void> | undefined
  #again = false
  /** Whether any beat was answered yet: from then on the API knows that this process, not an earlier one, is the worker. */
  answered = false

  /** `compose` answers null while there is nothing to say yet: the pool is not known. */
  constructor(
    client: ReportClient,
    compose: () => Heartbeat | null,
    onAnswer: (
      attempts: (OwnedAttempt & { verdict: HeartbeatAnswer['attempts'][number]['verdict'] })[],
    ) => void,
    log: Logger,
  ) {
    this.#client = client
    this.#compose = compose
    this.#onAnswer = onAnswer
    this.#log = log
  }

  start(): void {
    this.#timer = setInterval(() => void this.beat(), HEARTBEAT_MS)
    void this.beat()
  }

  /** Beats now; while a beat is under way, once more after it. */
  async beat(): Promise<void> {
    if (this.#sending !== undefined) {
      this.#again = true
      return await this.#sending
    }
    // Cleared here: with nothing to say it ends before this line has kept it.
    this.#sending = this.#sendAll().finally(() => {
      this.#sending = undefined
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
      const heartbeat = this.#compose()
      if (heartbeat === null || this.#stopped.signal.aborted) break
      try {
        const answer = await this.#client.heartbeat(heartbeat, this.#stopped.signal)
        this.answered = true
        this.#onAnswer(answer.attempts)
      } catch (error) {
        if (!this.#stopped.signal.aborted) this.#log.warn({ err: error }, 'a heartbeat was not answered')
      }
    } while (this.#again)
  }
}
