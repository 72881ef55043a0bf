import type { Report, ReportAnswer } from '@sluice/shared/attempt-contract'
import { REPORT_MS_MAX } from '@sluice/shared/attempt-contract'
import type { Logger } from 'pino'
import { Backoff } from './backoff.ts'
import { ApiUnavailableError } from './report-client.ts'

type Progress = Extract<Report, { type: 'progress' }>
type Milestone = Extract<Report, { type: 'started' | 'checkpoint' | 'released' }>

/** Progress goes out at most this often, and again after a little less than REPORT_MS_MAX so that a cancel is heard within it. */
const PROGRESS_EVERY_MS = 200
const REPEAT_AFTER_MS = REPORT_MS_MAX * 0.8

/** What a running attempt says on its way: one request in flight, milestones in order and until answered, of progress only the newest. */
export class ReportLine {
  readonly #send: (report: Report, signal: AbortSignal) => Promise<ReportAnswer>
  readonly #onAnswer: (answer: ReportAnswer) => void
  readonly #newestProgress: () => Progress | null
  readonly #log: Logger
  readonly #milestones: Milestone[] = []
  readonly #stopped = new AbortController()
  #progressIsNew = false
  #progressSentAt = Number.NEGATIVE_INFINITY
  #wake: () => void = () => {}
  #timer: NodeJS.Timeout | undefined
  readonly #pumping: Promise<void>
  #emptied: (() => void)[] = []

  /** `newestProgress` answers null while there is nothing to report. */
  constructor(
    send: (report: Report, signal: AbortSignal) => Promise<ReportAnswer>,
    onAnswer: (answer: ReportAnswer) => void,
    newestProgress: () => Progress | null,
    log: Logger,
  ) {
    this.#send = send
    this.#onAnswer = onAnswer
    this.#newestProgress = newestProgress
    this.#log = log
    this.#pumping = this.#pump()
  }

  milestone(report: Milestone): void {
    this.#milestones.push(report)
    this.#wake()
  }

  progressed(): void {
    this.#progressIsNew = true
    this.#wake()
  }

  /** Resolves when every milestone was answered, or the line was closed. */
  async flushed(): Promise<void> {
    if (this.#milestones.length === 0 || this.#stopped.signal.aborted) return
    await new Promise<void>((resolve) => this.#emptied.push(resolve))
  }

  /** Gives up what is unsent. */
  async close(): Promise<void> {
    this.#stopped.abort()
    clearTimeout(this.#timer)
    this.#wake()
    await this.#pumping
  }

  async #pump(): Promise<void> {
    const backoff = new Backoff(200, 2_000)
    // The generate request goes out first: reporting must not widen the gap between two videos.
    await new Promise<void>((resolve) => setImmediate(resolve))
    while (!this.#stopped.signal.aborted) {
      const milestone = this.#milestones[0]
      const report = milestone ?? this.#dueProgress()
      if (report === null) {
        await this.#sleepUntilProgressIsDue()
        continue
      }
      try {
        if (milestone === undefined) {
          this.#progressSentAt = performance.now()
          this.#progressIsNew = false
        }
        const answer = await this.#send(report, this.#stopped.signal)
        this.#leave(milestone)
        backoff.reset()
        this.#onAnswer(answer)
      } catch (error) {
        if (this.#stopped.signal.aborted) break
        if (error instanceof ApiUnavailableError) {
          await backoff.wait(this.#stopped.signal)
        } else {
          this.#log.error({ err: error, report: report.type }, 'a report was refused; it is dropped')
          this.#leave(milestone)
        }
      }
    }
    this.#milestones.length = 0
    this.#leave(undefined)
  }

  #leave(milestone: Milestone | undefined): void {
    if (milestone !== undefined) this.#milestones.shift()
    if (this.#milestones.length > 0) return
    for (const resolve of this.#emptied.splice(0)) resolve()
  }

  #dueProgress(): Progress | null {
    const sinceMs = performance.now() - this.#progressSentAt
    if (sinceMs < (this.#progressIsNew ? PROGRESS_EVERY_MS : REPEAT_AFTER_MS)) return null
    return this.#newestProgress()
  }

  async #sleepUntilProgressIsDue(): Promise<void> {
    const everyMs = this.#progressIsNew ? PROGRESS_EVERY_MS : REPEAT_AFTER_MS
    const dueInMs = this.#progressSentAt + everyMs - performance.now()
    await new Promise<void>((resolve) => {
      this.#wake = resolve
      this.#timer = setTimeout(
        resolve,
        Number.isFinite(dueInMs) && dueInMs > 0 ? Math.ceil(dueInMs) : REPEAT_AFTER_MS,
      )
    })
    clearTimeout(this.#timer)
  }
}
