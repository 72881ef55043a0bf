import { setImmediate } from 'node:timers/promises'
import {
  REPORT_MS_MAX,
  type Report,
  type ReportAnswer,
  type ReportBody,
} from '@sluice/shared/attempt-contract'
import { WakeSignal } from '@sluice/shared/wake-signal'
import type { Logger } from 'pino'
import { Backoff } from '../retrying.ts'
import { ApiUnavailableError } from './report-client.ts'

export type ProgressBody = ReportBody<Extract<Report, { type: 'progress' }>>
export type MilestoneBody = ReportBody<Extract<Report, { type: 'started' | 'checkpoint' | 'released' }>>

export interface ReportQueueDeps {
  /** Throws what ReportClient throws. */
  send(report: ProgressBody | MilestoneBody, signal: AbortSignal): Promise<ReportAnswer>
  onAnswer(answer: ReportAnswer): void
  /** Null while there is nothing to report. */
  newestProgress(): ProgressBody | null
  log: Logger
}

/** Progress goes out at most this often. */
const PROGRESS_EVERY_MS = 200
/** Without news it is repeated before REPORT_MS_MAX is over, so that a cancel is heard within that. */
const REPEAT_AFTER_MS = REPORT_MS_MAX * 0.8
const REFUSED_LOG_EVERY_MS = 30_000

/**
 * What a running attempt reports: one request in flight, milestones in order and until answered, of progress
 * only the newest.
 */
export class ReportQueue {
  readonly #deps: ReportQueueDeps
  readonly #milestones: MilestoneBody[] = []
  readonly #closed = new AbortController()
  readonly #wake = new WakeSignal()
  readonly #backoff = new Backoff(200, 2_000)
  #progressIsNew = false
  #refusedLoggedAtMs = Number.NEGATIVE_INFINITY
  #progressSentAtMs = Number.NEGATIVE_INFINITY
  #flushWaiters: (() => void)[] = []

  constructor(deps: ReportQueueDeps) {
    this.#deps = deps
    this.#sendAll().catch((error: unknown) => deps.log.error({ err: error }, 'an attempt reports no more'))
  }

  milestone(report: MilestoneBody): void {
    this.#milestones.push(report)
    this.#wake.wake()
  }

  progressed(): void {
    this.#progressIsNew = true
    this.#wake.wake()
  }

  /** Resolves when every milestone was answered, or the queue was closed. */
  async flushed(): Promise<void> {
    if (this.#milestones.length === 0 || this.#closed.signal.aborted) return
    await new Promise<void>((resolve) => this.#flushWaiters.push(resolve))
  }

  /** Gives up what is unsent. */
  close(): void {
    this.#closed.abort()
    this.#milestones.length = 0
    this.#releaseFlushWaiters()
    this.#wake.wake()
  }

  async #sendAll(): Promise<void> {
    // The generate request goes out first: reporting must not widen the gap between two videos.
    await setImmediate()
    while (!this.#closed.signal.aborted) {
      try {
        await this.#sendNext()
      } catch (error) {
        this.#deps.log.error({ err: error }, 'reporting on an attempt broke; it goes on')
        await this.#backoff.wait(this.#closed.signal)
      }
    }
  }

  async #sendNext(): Promise<void> {
    const milestone = this.#milestones[0]
    if (milestone !== undefined) {
      const answer = await this.#send(milestone)
      if (answer === 'unanswered') return
      this.#milestones.shift()
      if (this.#milestones.length === 0) this.#releaseFlushWaiters()
      if (answer !== 'refused') this.#deps.onAnswer(answer)
      return
    }
    const progress = this.#dueProgress()
    if (progress === null) return await this.#wake.wait(this.#waitMs())
    this.#progressSentAtMs = performance.now()
    this.#progressIsNew = false
    const answer = await this.#send(progress)
    if (answer !== 'unanswered' && answer !== 'refused') this.#deps.onAnswer(answer)
  }

  /** `unanswered`: to be sent again now, the wait is over. `refused`: it will never be accepted. */
  async #send(report: ProgressBody | MilestoneBody): Promise<ReportAnswer | 'unanswered' | 'refused'> {
    const { signal } = this.#closed
    try {
      const answer = await this.#deps.send(report, signal)
      this.#backoff.reset()
      return answer
    } catch (error) {
      if (signal.aborted) return 'unanswered'
      if (error instanceof ApiUnavailableError) {
        await this.#backoff.wait(signal)
        return 'unanswered'
      }
      this.#logRefused(error, report.type)
      return 'refused'
    }
  }

  /** Progress comes several times a second. */
  #logRefused(error: unknown, type: Report['type']): void {
    if (performance.now() - this.#refusedLoggedAtMs < REFUSED_LOG_EVERY_MS) return
    this.#refusedLoggedAtMs = performance.now()
    this.#deps.log.error({ err: error, report: type }, 'a report was refused; it is dropped')
  }

  #releaseFlushWaiters(): void {
    for (const resolve of this.#flushWaiters.splice(0)) resolve()
  }

  #dueProgress(): ProgressBody | null {
    return performance.now() - this.#progressSentAtMs < this.#progressEveryMs()
      ? null
      : this.#deps.newestProgress()
  }

  #waitMs(): number {
    const dueInMs = this.#progressSentAtMs + this.#progressEveryMs() - performance.now()
    return Number.isFinite(dueInMs) && dueInMs > 0 ? Math.ceil(dueInMs) : REPEAT_AFTER_MS
  }

  #progressEveryMs(): number {
    return this.#progressIsNew ? PROGRESS_EVERY_MS : REPEAT_AFTER_MS
  }
}
