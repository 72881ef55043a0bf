import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jobId, type OwnedAttempt, reportSchema } from '@sluice/shared/attempt-contract'
import type { Logger } from 'pino'
import { z } from 'zod'
import { Backoff } from './backoff.ts'
import { ApiUnavailableError, type ReportClient } from './report-client.ts'

const entrySchema = z.object({ video: z.string(), fence: z.int().positive(), report: reportSchema })
type SpoolEntry = z.infer<typeof entrySchema>

const FIRST_RETRY_MS = 250
const RETRY_MS_MAX = 5_000
/** A refused token is mended by a person, so it is tried slowly. */
const REFUSED_TOKEN_RETRY_MS = 10_000

/** Final reports on disk from before they are first sent until they are answered, so that they survive the worker. */
export class Spool {
  readonly #dir: string
  readonly #client: ReportClient
  readonly #log: Logger
  readonly #entries = new Map<string, SpoolEntry>()
  readonly #sending = new Set<Promise<void>>()
  readonly #stopped = new AbortController()

  constructor(dir: string, client: ReportClient, log: Logger) {
    this.#dir = dir
    this.#client = client
    this.#log = log
  }

  /** Sends what an earlier process left unanswered. A file that cannot be read is set aside and logged. */
  resendAll(): void {
    mkdirSync(this.#dir, { recursive: true })
    for (const name of readdirSync(this.#dir)) {
      const path = join(this.#dir, name)
      if (name.endsWith('.new')) rmSync(path, { force: true })
      if (!name.endsWith('.json')) continue
      try {
        this.#start(name, entrySchema.parse(JSON.parse(readFileSync(path, 'utf8'))))
      } catch (error) {
        renameSync(path, `${path}.unreadable`)
        this.#log.error({ err: error, path }, 'a spooled report cannot be read; it is set aside')
      }
    }
  }

  /** Writes the report down, then sends it until it is answered. Synchronous up to the write: once this returns, the report is safe. */
  add(entry: SpoolEntry): void {
    const name = `${jobId(entry.video, entry.fence)}-${entry.report.claim}.json`
    const path = join(this.#dir, name)
    writeFileSync(`${path}.new`, JSON.stringify(entry), { mode: 0o600, flush: true })
    renameSync(`${path}.new`, path)
    this.#start(name, entry)
  }

  /** Attempts whose end is not answered yet: heartbeats name them. */
  held(): OwnedAttempt[] {
    return [...this.#entries.values()].map(({ video, fence, report }) => ({
      video,
      fence,
      claim: report.claim,
    }))
  }

  /** Resolves when everything was answered. */
  async drained(): Promise<void> {
    while (this.#sending.size > 0) await Promise.allSettled([...this.#sending])
  }

  /** Stops sending; what is unanswered stays on disk. */
  stop(): void {
    this.#stopped.abort()
  }

  #start(name: string, entry: SpoolEntry): void {
    this.#entries.set(name, entry)
    const sending: Promise<void> = this.#sendUntilAnswered(name, entry).finally(() =>
      this.#sending.delete(sending),
    )
    this.#sending.add(sending)
  }

  async #sendUntilAnswered(name: string, entry: SpoolEntry): Promise<void> {
    const { video, fence, report } = entry
    const backoff = new Backoff(FIRST_RETRY_MS, RETRY_MS_MAX)
    const refusedToken = new Backoff(REFUSED_TOKEN_RETRY_MS, REFUSED_TOKEN_RETRY_MS)
    for (;;) {
      if (this.#stopped.signal.aborted) return
      try {
        const { verdict } = await this.#client.report(video, fence, report, this.#stopped.signal)
        this.#log.info({ video, fence, report: report.type, verdict }, 'attempt ended')
        break
      } catch (error) {
        if (this.#stopped.signal.aborted) return
        if (!(error instanceof ApiUnavailableError)) {
          this.#log.error(
            { err: error, video, fence, report: report.type },
            'a final report will never be accepted; it is dropped',
          )
          break
        }
        this.#log.warn(
          { video, fence, report: report.type, status: error.status },
          'a final report is unanswered; sending it again',
        )
        await (error.status === 401 ? refusedToken : backoff).wait(this.#stopped.signal)
      }
    }
    this.#entries.delete(name)
    rmSync(join(this.#dir, name), { force: true })
  }
}
