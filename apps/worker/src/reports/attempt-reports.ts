import type {
  Assignment,
  OwnedAttempt,
  ReportAnswer,
  ReportBody,
  Verdict,
} from '@sluice/shared/attempt-contract'
import type { Logger } from 'pino'
import { Backoff, retrying } from '../retrying.ts'
import type { ReportCarrier } from './report-carrier.ts'
import { ApiUnavailableError } from './report-client.ts'
import { type MilestoneBody, type ProgressBody, ReportQueue } from './report-queue.ts'

export interface AttemptReportsDeps {
  attempt: OwnedAttempt
  worker: string
  slotIndex: number
  carrier: ReportCarrier
  /** Aborted when the attempt is over. */
  ended: AbortSignal
  /** Called with the verdict of every answer, except the first one to `taken`. */
  onVerdict(verdict: Verdict): void
  /** Null while there is nothing to report. */
  newestProgress(): ProgressBody | null
  log: Logger
}

/** What one attempt says to the API before its final report, signed with its claim. */
export class AttemptReports {
  readonly #deps: AttemptReportsDeps
  #queue: ReportQueue | undefined

  constructor(deps: AttemptReportsDeps) {
    this.#deps = deps
  }

  /**
   * Reports `taken` until it is answered. Returns null when that was not within `withinMs`; a `taken` that
   * the API will never accept is as good as answered `stop`.
   */
  async taken(withinMs: number): Promise<ReportAnswer | null> {
    const { ended, log, slotIndex } = this.#deps
    const signal = AbortSignal.any([ended, AbortSignal.timeout(withinMs)])
    try {
      return await retrying(
        () => this.#send({ type: 'taken', slot: slotIndex }, { signal, isUrgent: true }),
        {
          signal,
          backoff: new Backoff(200, 3_000),
          mayRetry: (error) => error instanceof ApiUnavailableError,
        },
      )
    } catch (error) {
      if (signal.aborted) return null
      log.error({ err: error }, 'taken was refused')
      return { verdict: 'stop' }
    }
  }

  /** The assignment once more, whose URLs are then fresh; null when none came within `withinMs`. */
  async freshAssignment(withinMs: number): Promise<Assignment | null> {
    const answer = await this.taken(withinMs)
    if (answer === null) return null
    this.#deps.onVerdict(answer.verdict)
    return answer.assignment ?? null
  }

  /** From now on milestones and progress are sent. */
  open(): void {
    this.#queue = new ReportQueue({
      send: (report, how) => this.#send(report, how),
      onAnswer: ({ verdict }) => this.#deps.onVerdict(verdict),
      newestProgress: () => this.#deps.newestProgress(),
      log: this.#deps.log,
    })
  }

  milestone(report: MilestoneBody): void {
    this.#queue?.milestone(report)
  }

  progressed(): void {
    this.#queue?.progressed()
  }

  /** Resolves when every milestone was answered, or the attempt is over. */
  async flushed(): Promise<void> {
    await this.#queue?.flushed()
  }

  /** Gives up what is unsent. */
  close(): void {
    this.#queue?.close()
  }

  signed<Body extends ReportBody>(report: Body): Body & { claim: string; worker: string } {
    return { ...report, claim: this.#deps.attempt.claim, worker: this.#deps.worker }
  }

  #send(report: ReportBody, how: { signal: AbortSignal; isUrgent: boolean }): Promise<ReportAnswer> {
    const { carrier, attempt } = this.#deps
    return carrier.report({ video: attempt.video, fence: attempt.fence, report: this.signed(report) }, how)
  }
}
