import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jobId, type OwnedAttempt, reportSchema } from '@sluice/shared/attempt-contract'
import type { Logger } from 'pino'
import { z } from 'zod'
import { Backoff, retrying } from '../retrying.ts'
import {
  ApiUnavailableError,
  isTokenRefused,
  type ReportClient,
  ReportRefusedError,
} from './report-client.ts'

const entrySchema = z.object({ video: z.string(), fence: z.int().positive(), report: reportSchema })
type SpoolEntry = z.infer<typeof entrySchema>

const FIRST_RETRY_MS = 250
const RETRY_MS_MAX = 5_000
/**
 * After so many answers "internal error" in a row (half a minute) heartbeats no longer name the attempt: the
 * API then ends it by itself, from its result if that is stored, whatever is wrong with the report.
 */
const BROKEN_ANSWERS_MAX = 10
/** A refused token is mended by a person, so it is tried slowly. */
const REFUSED_TOKEN_RETRY_MS = 10_000

/**
 * Final reports, on disk from before they are first sent until they are answered, so that they survive the
 * worker. While the disk cannot take a report it is sent from memory, and written as soon as the disk has
 * room: no method here throws for a full disk.
 */
export class Spool {
  readonly #dir: string
  readonly #client: ReportClient
  readonly #log: Logger
  readonly #brokenAnswersMax: number
  /** Unanswered reports, by file name. */
  readonly #entries = new Map<string, SpoolEntry>()
  /** Names of the entries that could not be written yet. */
  readonly #unwritten = new Set<string>()
  /** Answers "internal error" in a row, by name. */
  readonly #brokenAnswers = new Map<string, number>()
  readonly #sending = new Set<Promise<void>>()
  readonly #stopped = new AbortController()

  constructor(
    dir: string,
    client: ReportClient,
    log: Logger,
    { brokenAnswersMax = BROKEN_ANSWERS_MAX }: { brokenAnswersMax?: number } = {},
  ) {
    this.#brokenAnswersMax = brokenAnswersMax
    this.#dir = dir
    this.#client = client
    this.#log = log
  }

  /**
   * Sends what an earlier process left unanswered. A file that cannot be read is set aside and logged; one
   * that cannot even be set aside stays, and keeps no other from being sent.
   */
  resendAll(): void {
    let names: string[] = []
    try {
      mkdirSync(this.#dir, { recursive: true })
      names = readdirSync(this.#dir)
    } catch (error) {
      this.#log.error({ err: error, dir: this.#dir }, 'the spool cannot be read; it is at the next start')
    }
    for (const name of names) {
      try {
        this.#resend(name)
      } catch (error) {
        this.#log.error(
          { err: error, dir: this.#dir, name },
          'a file of the spool can be neither used nor moved',
        )
      }
    }
  }

  /** Throws what the disk says when the file can be neither removed nor set aside. */
  #resend(name: string): void {
    const path = join(this.#dir, name)
    if (name.endsWith('.new')) rmSync(path, { force: true })
    if (!name.endsWith('.json')) return
    try {
      this.#startSending(name, entrySchema.parse(JSON.parse(readFileSync(path, 'utf8'))))
    } catch (error) {
      this.#log.error({ err: error, path }, 'a spooled report cannot be read; it is set aside')
      renameSync(path, `${path}.unreadable`)
    }
  }

  /**
   * Writes the report down, then sends it until it is answered. Synchronous up to the write: once this
   * returns, the report survives the process, unless the disk cannot take it, which is logged.
   */
  add(entry: SpoolEntry): void {
    const name = `${jobId(entry.video, entry.fence)}-${entry.report.claim}.json`
    try {
      this.#write(name, entry)
    } catch (error) {
      this.#log.error(
        { err: error, video: entry.video, fence: entry.fence, dir: this.#dir },
        'a final report cannot be written to the spool; it is sent from memory and written once the disk has room',
      )
      this.#unwritten.add(name)
      this.#writeWhenPossible(name, entry).catch((cause: unknown) =>
        this.#log.error({ err: cause, video: entry.video }, 'a final report stays in memory only'),
      )
    }
    this.#startSending(name, entry)
  }

  /** Attempts whose end is not answered yet, and may be: heartbeats name them. */
  owned(): OwnedAttempt[] {
    return [...this.#entries]
      .filter(([name]) => (this.#brokenAnswers.get(name) ?? 0) < this.#brokenAnswersMax)
      .map(([, { video, fence, report }]) => ({ video, fence, claim: report.claim }))
  }

  /** Resolves when everything was answered, or the spool was stopped. */
  async drained(): Promise<void> {
    while (this.#sending.size > 0) await Promise.all(this.#sending)
  }

  /** Stops sending. What is unanswered stays on disk; what is not on disk yet is tried once more. */
  stop(): void {
    this.#stopped.abort()
    for (const name of this.#unwritten) {
      const entry = this.#entries.get(name)
      if (entry === undefined) continue
      try {
        this.#write(name, entry)
      } catch (error) {
        this.#log.error(
          { err: error, video: entry.video, fence: entry.fence, report: entry.report.type },
          'an unanswered final report is lost: the disk of the spool cannot take it',
        )
      }
    }
  }

  /** Throws what the disk says, such as ENOSPC. */
  #write(name: string, entry: SpoolEntry): void {
    const path = join(this.#dir, name)
    writeFileSync(`${path}.new`, JSON.stringify(entry), { mode: 0o600, flush: true })
    renameSync(`${path}.new`, path)
  }

  /** Tries until the report is written, or answered meanwhile. */
  async #writeWhenPossible(name: string, entry: SpoolEntry): Promise<void> {
    const { signal } = this.#stopped
    const backoff = new Backoff(FIRST_RETRY_MS, RETRY_MS_MAX)
    await backoff.wait(signal)
    const writeOnce = async () => {
      if (signal.aborted || !this.#entries.has(name)) return
      this.#write(name, entry)
      this.#log.info({ video: entry.video, fence: entry.fence }, 'the spool has room again')
      this.#unwritten.delete(name)
    }
    await retrying(writeOnce, { signal, backoff, mayRetry: () => true })
  }

  #startSending(name: string, entry: SpoolEntry): void {
    this.#entries.set(name, entry)
    const sending: Promise<void> = this.#sendUntilAnswered(name, entry)
      .then((isAnswered) => {
        if (isAnswered) this.#remove(name)
      })
      .finally(() => this.#sending.delete(sending))
    this.#sending.add(sending)
  }

  /**
   * Resolves to true once the report is answered or refused for good, to false once the spool is stopped. In
   * place of a refused report the attempt is reported as failed, so that it ends. Never rejects.
   */
  async #sendUntilAnswered(name: string, { video, fence, report }: SpoolEntry): Promise<boolean> {
    const { signal } = this.#stopped
    const about = { video, fence, report: report.type }
    const usual = new Backoff(FIRST_RETRY_MS, RETRY_MS_MAX)
    const refusedToken = new Backoff(REFUSED_TOKEN_RETRY_MS, REFUSED_TOKEN_RETRY_MS)
    const sendOnce = async () => {
      if (signal.aborted) return null
      return await this.#client.report(video, fence, report, signal)
    }
    let isFirst = true
    const mayRetry = (error: unknown) => {
      if (!(error instanceof ApiUnavailableError)) return false
      this.#countBroken(name, error)
      const level = isFirst ? 'warn' : 'debug'
      this.#log[level]({ ...about, status: error.status }, 'a final report is unanswered; sending it again')
      isFirst = false
      return true
    }
    try {
      const answer = await retrying(sendOnce, {
        signal,
        backoff: (error) => (isTokenRefused(error) ? refusedToken : usual),
        mayRetry,
      })
      if (answer !== null) this.#log.info({ ...about, verdict: answer.verdict }, 'attempt ended')
      return answer !== null
    } catch (error) {
      if (signal.aborted) return false
      if (!(error instanceof ReportRefusedError) || isRefusalReport(report)) {
        this.#log.error({ ...about, err: error }, 'a final report will never be accepted; it is dropped')
        return true
      }
      this.#log.error(
        { ...about, err: error },
        'a final report was refused; its attempt is reported as failed',
      )
      return this.#sendUntilAnswered(
        name,
        this.#replace(name, { video, fence, report: failedInstead(report) }),
      )
    }
  }

  /** From now on another report stands for the attempt, on the disk too if that can take it. */
  #replace(name: string, entry: SpoolEntry): SpoolEntry {
    this.#entries.set(name, entry)
    try {
      this.#write(name, entry)
    } catch (error) {
      this.#log.error({ err: error, video: entry.video }, 'a final report cannot be written to the spool')
    }
    return entry
  }

  #countBroken(name: string, { status }: ApiUnavailableError): void {
    const count = status === 500 ? (this.#brokenAnswers.get(name) ?? 0) + 1 : 0
    this.#brokenAnswers.set(name, count)
    if (count === this.#brokenAnswersMax)
      this.#log.error({ name }, 'the API fails at a final report; heartbeats name its attempt no more')
  }

  #remove(name: string): void {
    this.#entries.delete(name)
    this.#unwritten.delete(name)
    this.#brokenAnswers.delete(name)
    const path = join(this.#dir, name)
    for (const file of [path, `${path}.new`]) {
      try {
        rmSync(file, { force: true })
      } catch (error) {
        this.#log.error({ err: error, path: file }, 'an answered report cannot be removed from the spool')
      }
    }
  }
}

const REFUSED_MESSAGE = 'The API refused what the worker reported of its end'

/** What is reported in place of a report that the API will not accept. */
function failedInstead({ claim, worker, type }: SpoolEntry['report']): SpoolEntry['report'] {
  const message = `${REFUSED_MESSAGE}: ${type}.`
  return { type: 'failed', claim, worker, code: 'internal', message, retryable: true, step: 0 }
}

function isRefusalReport(report: SpoolEntry['report']): boolean {
  return report.type === 'failed' && report.message.startsWith(REFUSED_MESSAGE)
}
