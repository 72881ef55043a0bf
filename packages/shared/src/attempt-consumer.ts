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
import { TIME_LIMITS } from './time-limits.ts'

export interface TakenJob {
  job: AttemptJob
  /**
   * Removes the job from the queue. Never throws: after a lock that was lost, or on a queue that is away, the
   * job is delivered a second time, and that attempt is a zombie.
   */
  done(): Promise<void>
}

/** Takes attempts off one pool's queue, one call of `next` at a time. */
export interface AttemptConsumer {
  /**
   * Waits for a job. Null after some seconds without one, when the queue is away, and once closed. Never
   * throws.
   */
  next(): Promise<TakenJob | null>
  /**
   * Ends a waiting `next` and closes the connections. A job fetched at that moment goes back to the queue.
   */
  close(): Promise<void>
}

export interface ConsumerOptions {
  onError?: (error: Error) => void
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

/** A consumer of one pool's queue. `workerName` shows in the server's list of clients. */
export function openAttemptConsumer(
  settings: OwnQueueSettings,
  pool: string,
  workerName: string,
  options: ConsumerOptions = {},
): AttemptConsumer {
  return new QueueConsumer(settings, pool, workerName, options)
}

class QueueConsumer implements AttemptConsumer {
  readonly #connection: QueueConnection
  readonly #openWorker: () => AttemptWorker
  readonly #onError: (error: Error) => void
  readonly #closing = new AbortController()
  #worker: AttemptWorker | undefined
  #fetching: Promise<TakenJob | null> = Promise.resolve(null)

  constructor(settings: OwnQueueSettings, pool: string, workerName: string, options: ConsumerOptions) {
    const { lockMs = LOCK_MS, sweepEveryMs = SWEEP_EVERY_MS, waitMs = TIME_LIMITS.queue.jobWaitMs } = options
    this.#onError = options.onError ?? (() => {})
    this.#connection = connectQueue(settings, { role: 'consumer', jobWaitMs: waitMs }, this.#onError)
    this.#openWorker = () =>
      this.#connection.openWorker(queueName(pool, settings.installation), {
        workerName,
        lockMs,
        sweepEveryMs,
        waitMs,
      })
  }

  async next(): Promise<TakenJob | null> {
    if (this.#closing.signal.aborted) return null
    this.#fetching = this.#fetch().catch(async (error: unknown) => {
      if (!this.#closing.signal.aborted) {
        this.#onError(asError(error))
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
    this.#worker?.getBackend().disconnectBlocking(false).catch(this.#onError)
    await Promise.race([this.#fetching, pause(CLOSE_WAIT_MS)])
    await Promise.race([this.#worker?.close(true), pause(CLOSE_WAIT_MS)])
    await Promise.race([this.#connection.close(), pause(CLOSE_WAIT_MS)])
  }

  async #readyWorker(): Promise<AttemptWorker> {
    if (this.#worker !== undefined) return this.#worker
    const opened = this.#openWorker()
    opened.on('error', this.#onError)
    try {
      await untilAborted(opened.waitUntilReady(), this.#closing.signal)
    } catch (error) {
      opened.close(true).catch(this.#onError)
      throw error
    }
    await opened.startStalledCheckTimer()
    this.#worker = opened
    return opened
  }

  async #fetch(): Promise<TakenJob | null> {
    const worker = await this.#readyWorker()
    const token = randomUUID()
    // The first call after the queue ran empty does not wait; the second does.
    let job: QueuedJob | undefined
    for (let call = 0; call < 2 && job === undefined && !this.#closing.signal.aborted; call += 1) {
      job = await worker.getNextJob(token, { block: true })
    }
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
    const parsed = attemptJobSchema.safeParse(job.data)
    if (!parsed.success) {
      this.#onError(new Error(`queue job ${job.id} is not an attempt: ${parsed.error.message}`))
      await done()
      return null
    }
    return { job: parsed.data, done }
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
