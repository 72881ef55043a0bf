import { GROUP_MAX, type GroupedReport, type ReportAnswer } from '@sluice/shared/attempt-contract'
import { ApiUnavailableError, type ReportClient } from './report-client.ts'

/**
 * What can wait goes out this long after the first of it: attempts report at the same moments, but the timers
 * of one moment may come a turn of the event loop apart.
 */
const GATHER_MS = 5
/** Statuses by which an API, or a proxy before it, says that it does not know the call. */
const UNKNOWN_CALL = [404, 405]
/** An API that does not know the call may be replaced by one that does: it is asked again after this long. */
const ALONE_MS = 60_000

interface Carried {
  report: GroupedReport
  signal: AbortSignal
  resolve(answer: ReportAnswer): void
  reject(error: unknown): void
}

/**
 * Carries what the attempts of this worker report, together in one request where several have something to
 * say at the same time. To an API that is older than this each goes alone.
 */
export class ReportCarrier {
  readonly #client: Pick<ReportClient, 'report' | 'reportGroup'>
  #waiting: Carried[] = []
  #timer: NodeJS.Timeout | undefined
  #isUrgent = false
  #aloneUntilMs = Number.NEGATIVE_INFINITY

  constructor(client: Pick<ReportClient, 'report' | 'reportGroup'>) {
    this.#client = client
  }

  /** Throws what `ReportClient.report` throws, and the signal's reason once it is aborted. */
  report(
    report: GroupedReport,
    { signal, isUrgent }: { signal: AbortSignal; isUrgent: boolean },
  ): Promise<ReportAnswer> {
    return new Promise<ReportAnswer>((resolve, reject) => {
      const abort = () => reject(signal.reason)
      if (signal.aborted) return abort()
      signal.addEventListener('abort', abort, { once: true })
      const done = () => signal.removeEventListener('abort', abort)
      this.#waiting.push({
        report,
        signal,
        resolve: (answer) => {
          done()
          resolve(answer)
        },
        reject: (error) => {
          done()
          reject(error)
        },
      })
      this.#plan(isUrgent)
    })
  }

  /** What is urgent takes along what waits. */
  #plan(isUrgent: boolean): void {
    if (isUrgent && !this.#isUrgent) {
      this.#isUrgent = true
      setImmediate(() => this.#send())
    }
    this.#timer ??= setTimeout(() => this.#send(), GATHER_MS)
  }

  #send(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.#isUrgent = false
    const waiting = this.#waiting.filter(({ signal }) => !signal.aborted)
    this.#waiting = []
    for (let first = 0; first < waiting.length; first += GROUP_MAX) {
      const group = waiting.slice(first, first + GROUP_MAX)
      this.#sendGroup(group).catch((error: unknown) => {
        for (const { reject } of group) reject(error)
      })
    }
  }

  async #sendGroup(group: readonly Carried[]): Promise<void> {
    const [first] = group
    if (first === undefined) return
    if (group.length === 1 || performance.now() < this.#aloneUntilMs) return this.#sendAlone(group)
    try {
      const answers = await this.#client.reportGroup(group.map(({ report }) => report))
      group.forEach(({ resolve, reject }, index) => {
        const answer = answers[index]
        if (answer instanceof Error) reject(answer)
        else if (answer !== undefined) resolve(answer)
      })
    } catch (error) {
      if (!(error instanceof ApiUnavailableError) || !UNKNOWN_CALL.includes(error.status ?? 0)) throw error
      this.#aloneUntilMs = performance.now() + ALONE_MS
      this.#sendAlone(group)
    }
  }

  #sendAlone(group: readonly Carried[]): void {
    for (const { report, signal, resolve, reject } of group)
      this.#client.report(report.video, report.fence, report.report, signal).then(resolve, reject)
  }
}
