import { pause } from '@sluice/shared/pause'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { jobPath } from './dialects/common.ts'
import type { Dialect, EngineJob } from './dialects/dialect.ts'
import { EngineAwayError } from './engine-error.ts'
import type { EngineHttp, EngineRequest } from './engine-http.ts'
import { awayBy } from './refusal.ts'

const AGAIN_FIRST_MS = 200
const AGAIN_MS_MAX = 5_000

/** Milliseconds to wait before the next try, growing. */
export function* growingPauses(): Generator<number, never> {
  for (let ms = AGAIN_FIRST_MS; ; ms = Math.min(ms * 2, AGAIN_MS_MAX)) yield ms
}

/** The jobs of one engine, in its own dialect. */
export class Engine {
  readonly http: EngineHttp
  readonly dialect: Dialect
  /** It is away when it gives no answer for this long. */
  readonly awayMs: number

  constructor(http: EngineHttp, dialect: Dialect, awayMs: number) {
    this.http = http
    this.dialect = dialect
    this.awayMs = awayMs
  }

  /**
   * The job, or null when the engine has none of that id. Throws EngineAwayError; one that may pass says
   * nothing about the job.
   */
  async look(id: string, steps: number): Promise<EngineJob | null> {
    const answer = await this.http.call({ method: 'GET', path: jobPath(id) })
    const job = this.dialect.jobOf(answer, steps)
    if (job?.id === id) return job
    if (answer.status === 404 || answer.status === 410) return null
    throw awayBy(answer)
  }

  /**
   * As `look`, through an outage of at most `awayMs`. A job counts as gone only when that is said twice: a
   * proxy before an engine that starts says it too. Returns undefined when `signal` aborts.
   */
  async lookPatiently(id: string, steps: number, signal: AbortSignal): Promise<EngineJob | null | undefined> {
    const untilMs = performance.now() + this.awayMs
    let isGone = false
    for (const waitMs of growingPauses()) {
      try {
        const job = await this.look(id, steps)
        if (job !== null || isGone) return job
        isGone = true
      } catch (error) {
        if (!(error instanceof EngineAwayError && error.mayPass) || performance.now() > untilMs) throw error
        isGone = false
      }
      await pause(isGone ? AGAIN_FIRST_MS : waitMs, signal)
      if (signal.aborted) return undefined
    }
  }

  /** Says it until the engine has heard it, for a bounded time. Never throws: what is not heard is logged. */
  async tell(request: EngineRequest | null, log: (line: string) => void): Promise<void> {
    if (request === null) return
    const untilMs = performance.now() + TIME_LIMITS.engine.stopMs
    for (const waitMs of growingPauses()) {
      const why = await this.http.call(request).then(
        ({ status, words }) => (status === 429 || status >= 500 ? `HTTP ${status} ${words}` : null),
        (error: unknown) => (error instanceof Error ? error.message : String(error)),
      )
      if (why === null) return
      if (performance.now() > untilMs)
        return log(`the engine did not hear ${request.method} of a job: ${why}`)
      await pause(waitMs)
    }
  }
}
