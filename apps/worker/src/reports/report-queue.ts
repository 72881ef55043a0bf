import { setImmediate } from 'node:timers/promises'
import {
  NEARLY_FREE_MS,
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
  /** Throws what ReportCarrier throws. */
  send(
    report: ProgressBody | MilestoneBody,
    how: { signal: AbortSignal; isUrgent: boolean },
  ): Promise<ReportAnswer>
  onAnswer(answer: ReportAnswer): void
  /** Null while there is nothing to report. */
  newestProgress(): ProgressBody | null
  log: Logger
}

/**
 * Progress goes out this often, whether there is news or not, so that a cancel is heard within REPORT_MS_MAX.
 * All attempts of a process report at the same moments, the multiples of this on its clock, so that one
 * request carries all of them.
 */
const PROGRESS_EVERY_MS = REPORT_MS_MAX * 0.8
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
  #refusedLoggedAtMs = Number.NEGATIVE_INFINITY
  #progressSentAtMs = Number.NEGATIVE_INFINITY
  #saidNearlyFree = false
  #flushWaiters: (() => void)[] = []

  constructor(deps: ReportQueueDeps) {
    this.#deps = deps
    this.#sendAll().catch((error: unknown) => deps.log.error({ err: error }, 'an attempt reports no more'))
  }

  milestone(report: MilestoneBody): void {
    this.#milestones.push(report)
    this.#wake.wake()
  }

  /** Goes out at the next moment for it; at once when it says that the device is nearly free. */
  progressed(): void {
    if (this.#isFirst || this.#becomesNearlyFree(this.#deps.newestProgress())) this.#wake.wake()
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
      const answer = await this.#send(milestone, true)
      if (answer === 'unanswered') return
      this.#milestones.shift()
      if (this.#milestones.length === 0) this.#releaseFlushWaiters()
      if (answer !== 'refused') this.#deps.onAnswer(answer)
      return
    }
    const progress = this.#dueProgress()
    if (progress === null) return await this.#wake.wait(this.#waitMs())
    const isUrgent = this.#isFirst || this.#becomesNearlyFree(progress)
    this.#progressSentAtMs = performance.now()
    this.#saidNearlyFree ||= isNearlyFree(progress)
    const answer = await this.#send(progress, isUrgent)
    if (answer !== 'unanswered' && answer !== 'refused') this.#deps.onAnswer(answer)
  }

  /** `unanswered`: to be sent again now, the wait is over. `refused`: it will never be accepted. */
  async #send(
    report: ProgressBody | MilestoneBody,
    isUrgent: boolean,
  ): Promise<ReportAnswer | 'unanswered' | 'refused'> {
    const { signal } = this.#closed
    try {
      const answer = await this.#deps.send(report, { signal, isUrgent })
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
    const progress = this.#deps.newestProgress()
    if (this.#becomesNearlyFree(progress)) return progress
    return momentOf(performance.now()) > momentOf(this.#progressSentAtMs) ? progress : null
  }

  #waitMs(): number {
    return Math.ceil((momentOf(performance.now()) + 1) * PROGRESS_EVERY_MS - performance.now())
  }

  get #isFirst(): boolean {
    return this.#progressSentAtMs === Number.NEGATIVE_INFINITY
  }

  /** The gate gives away the slot of a device that is nearly free, once it has heard so. */
  #becomesNearlyFree(progress: ProgressBody | null): boolean {
    return !this.#saidNearlyFree && progress !== null && isNearlyFree(progress)
  }
}

/** The number of the last moment for progress. */
function momentOf(atMs: number): number {
  return Math.floor(atMs / PROGRESS_EVERY_MS)
}

function isNearlyFree({ remaining_ms: remainingMs }: ProgressBody): boolean {
  return remainingMs !== null && remainingMs <= NEARLY_FREE_MS
}
