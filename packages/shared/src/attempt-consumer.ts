import { randomUUID } from 'node:crypto'
import { type AttemptJob, attemptJobSchema, queueName } from './attempt-contract.ts'
import { pause } from './pause.ts'
import {
  type AttemptWorker,
  connectQueue,
  type OwnQueueSettings,
  type QueueConnection,
  type QueuedJob,
  QueueUnavailableError,
} from './queue-backend.ts'
import { within } from './time-limit.ts'
import { TIME_LIMITS } from './time-limits.ts'

export interface TakenJob {
  job: AttemptJob
  /**
   * Removes the job from the queue. Never throws: after a lock that was lost, or on a queue that is away, the
   * job is delivered a second time, and that attempt is a zombie.
   */
  done(): Promise<void>
  /** Leaves the job to whoever asks next. Never throws: what cannot be put back counts as untaken. */
  putBack(): Promise<void>
}

/** Takes attempts off one queue, one call of `next` at a time. */
export interface AttemptConsumer {
  /**
   * Waits for a job. Null after some seconds without one, when the queue is away, and once closed. Never
   * throws.
   */
  next(): Promise<TakenJob | null>
  /** As `next`, but does not wait. */
  nextThatWaits(): Promise<TakenJob | null>
  /**
   * Ends a waiting `next` and closes the connections. A job fetched at that moment goes back to the queue.
   */
  close(): Promise<void>
}

export interface ConsumerOptions {
  /** Gets what is wrong with a job. */
  onError?: (error: Error) => void
  /** Called with why the queue cannot be reached, once per outage, and with null once it can be. */
  onReach?: (trouble: Error | null) => void
  /** How often it is asked whether the queue answers. Default TIME_LIMITS.queue.askEveryMs. */
  watchEveryMs?: number
  /** How long a taken job may go without `done` before it counts as stalled. Default 60 s. */
  lockMs?: number
  /** How often stalled jobs are removed. Default 30 s. */
  sweepEveryMs?: number
  /** How long `next` waits. Default TIME_LIMITS.queue.jobWaitMs. */
  waitMs?: number
}

const LOCK_MS = 60_000
const SWEEP_EVERY_MS = 30_000
const RETRY_MS = 1_000
/** How long close waits for a fetch in flight, so that a job it brings can be handed back. */
const CLOSE_WAIT_MS = 1_000

/**
 * A consumer of one queue, which is that of a pool unless it has a name of its own. `workerName` shows in the
 * server's list of clients.
 */
export function openAttemptConsumer(
  settings: OwnQueueSettings,
  queue: string,
  workerName: string,
  options: ConsumerOptions = {},
): AttemptConsumer {
  return new QueueConsumer(settings, queue, workerName, options)
}

type FetchJob = (worker: AttemptWorker, token: string) => Promise<QueuedJob | undefined>

class QueueConsumer implements AttemptConsumer {
  readonly #connection: QueueConnection
  readonly #openWorker: () => AttemptWorker
  readonly #onError: (error: Error) => void
  readonly #onReach: (trouble: Error | null) => void
  readonly #watchEveryMs: number
  readonly #closing = new AbortController()
  /** What went wrong with the connection last, which says more than that it does not answer. */
  #lastTrouble: Error | undefined
  #worker: AttemptWorker | undefined
  #fetching: Promise<TakenJob | null> = Promise.resolve(null)

  constructor(settings: OwnQueueSettings, queue: string, workerName: string, options: ConsumerOptions) {
    const { lockMs = LOCK_MS, sweepEveryMs = SWEEP_EVERY_MS, waitMs = TIME_LIMITS.queue.jobWaitMs } = options
    this.#onError = options.onError ?? (() => {})
    this.#onReach = options.onReach ?? (() => {})
    this.#watchEveryMs = options.watchEveryMs ?? TIME_LIMITS.queue.askEveryMs
    this.#connection = connectQueue(settings, { role: 'consumer', jobWaitMs: waitMs }, this.#noteTrouble)
    this.#openWorker = () =>
      this.#connection.openWorker(queueName(queue, settings.installation), {
        workerName,
        lockMs,
        sweepEveryMs,
        waitMs,
      })
    // `watch` never rejects.
    // oxlint-disable-next-line typescript/no-floating-promises -- it ends when the consumer is closed
    void this.#watch()
  }

  next(): Promise<TakenJob | null> {
    return this.#nextBy((worker, token) => this.#fetch(worker, token))
  }

  nextThatWaits(): Promise<TakenJob | null> {
    return this.#nextBy((worker, token) => worker.getNextJob(token, { block: false }))
  }

  async #nextBy(fetch: FetchJob): Promise<TakenJob | null> {
    if (this.#closing.signal.aborted) return null
    this.#fetching = this.#fetchBy(fetch).catch(async (error: unknown) => {
      if (!this.#closing.signal.aborted) {
        this.#noteTrouble(asError(error))
        await pause(RETRY_MS, this.#closing.signal)
      }
      return null
    })
    return await this.#fetching
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    // Wakes a waiting fetch. Not awaited: with a server that is away it would wait for the connection.
    this.#worker?.getBackend().disconnectBlocking(false).catch(this.#noteTrouble)
    await Promise.race([this.#fetching, pause(CLOSE_WAIT_MS)])
    await Promise.race([this.#worker?.close(true), pause(CLOSE_WAIT_MS)])
    await Promise.race([this.#connection.close(), pause(CLOSE_WAIT_MS)])
  }

  readonly #noteTrouble = (error: Error): void => {
    this.#lastTrouble = error
  }

  /** Asks the queue again and again whether it answers, and says when that changes. */
  async #watch(): Promise<void> {
    const { signal } = this.#closing
    let isReached: boolean | undefined
    while (!signal.aborted) {
      const trouble = await within(
        TIME_LIMITS.queue.askAnswerMs,
        this.#connection.ping(),
        () => new QueueUnavailableError('it does not answer'),
      ).then(() => null, asError)
      if (signal.aborted) return
      if (isReached !== (trouble === null)) {
        isReached = trouble === null
        this.#onReach(trouble === null ? null : this.#explained(trouble))
      }
      if (isReached) this.#lastTrouble = undefined
      await pause(this.#watchEveryMs, signal)
    }
  }

  #explained(trouble: Error): Error {
    if (this.#lastTrouble === undefined) return trouble
    return new QueueUnavailableError(trouble.message, { cause: this.#lastTrouble })
  }

  async #readyWorker(): Promise<AttemptWorker> {
    if (this.#worker !== undefined) return this.#worker
    const opened = this.#openWorker()
    opened.on('error', this.#noteTrouble)
    try {
      await untilAborted(opened.waitUntilReady(), this.#closing.signal)
    } catch (error) {
      opened.close(true).catch(this.#noteTrouble)
      throw error
    }
    await opened.startStalledCheckTimer()
    this.#worker = opened
    return opened
  }

  async #fetch(worker: AttemptWorker, token: string): Promise<QueuedJob | undefined> {
    // The first call after the queue ran empty does not wait; the second does.
    let job: QueuedJob | undefined
    for (let call = 0; call < 2 && job === undefined && !this.#closing.signal.aborted; call += 1) {
      job = await worker.getNextJob(token, { block: true })
    }
    return job
  }

  async #fetchBy(fetch: FetchJob): Promise<TakenJob | null> {
    const token = randomUUID()
    const job = await fetch(await this.#readyWorker(), token)
    if (job === undefined) return null
    if (job.deferredFailure !== undefined) {
      await this.#removeStalled(job, token, job.deferredFailure)
      return null
    }
    if (this.#closing.signal.aborted) {
      await job.moveToWait(token)
      return null
    }
    return await this.#take(job, token)
  }

  /**
   * BullMQ hands out a stalled job that may not be run again: its next taker has to fail it, which removes
   * it.
   */
  async #removeStalled(job: QueuedJob, token: string, reason: string): Promise<void> {
    this.#onError(new Error(`queue job ${job.id} was taken by a worker that died: ${reason}`))
    await job.moveToFailed(new Error(reason), token, false)
  }

  async #take(job: QueuedJob, token: string): Promise<TakenJob | null> {
    const done = async () => {
      try {
        await job.moveToCompleted(null, token, false)
      } catch (error) {
        this.#onError(asError(error))
      }
    }
    const putBack = async () => {
      try {
        await job.moveToWait(token)
      } catch (error) {
        this.#onError(asError(error))
      }
    }
    const parsed = attemptJobSchema.safeParse(job.data)
    if (!parsed.success) {
      this.#onError(new Error(`queue job ${job.id} is not an attempt: ${parsed.error.message}`))
      await done()
      return null
    }
    return { job: parsed.data, done, putBack }
  }
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(new QueueUnavailableError('closed before the queue was reached'))
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    // Cannot reject; attached even after an abort, so that a late failure of the work is not unhandled.
    void work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
