import type { AttemptConsumer, TakenJob } from '@sluice/shared/attempt-consumer'
import { pause } from '@sluice/shared/pause'
import type { Logger } from 'pino'
import type { Slot } from './slot.ts'
import type { Slots } from './slots.ts'

export interface JobFetcherDeps {
  slots: Slots
  /** False until jobs may be fetched at all. */
  mayFetch(): boolean
  /** What the queues are named after now; another API, or one on another database, says another. */
  installation(): string | undefined
  openConsumer(pool: string): AttemptConsumer
  takeJob(slot: Slot, taken: TakenJob): void
  log: Logger
}

/** How long a job in hand waits for a runner that starts again: less than the queue's lock and the lease. */
const ROOM_WAIT_MS = 15_000
const CHECK_EVERY_MS = 500
const BROKEN_WAIT_MS = 1_000

/** Takes jobs off the queue for as long as some slot wants one. */
export class JobFetcher {
  readonly #deps: JobFetcherDeps
  #consumer: AttemptConsumer | undefined
  #installation: string | undefined
  #isStopped = false
  #fetching: Promise<void> = Promise.resolve()

  constructor(deps: JobFetcherDeps) {
    this.#deps = deps
  }

  start(): void {
    // `fetchAll` never rejects.
    this.#fetching = this.#fetchAll()
  }

  /** Fetches no more, and begins to close the connection to the queue. Both promises never reject. */
  stop(): { fetched: Promise<void>; closed: Promise<void> } {
    const { slots, log } = this.#deps
    this.#isStopped = true
    slots.changed.wake()
    const closed = (this.#consumer?.close() ?? Promise.resolve()).catch((error: unknown) =>
      log.warn({ err: error }, 'the connection to the queue cannot be closed'),
    )
    return { fetched: this.#fetching, closed }
  }

  async #fetchAll(): Promise<void> {
    while (!this.#isStopped) {
      try {
        await this.#fetchNext()
      } catch (error) {
        this.#deps.log.error({ err: error }, 'fetching a job broke; trying again')
        await pause(BROKEN_WAIT_MS)
      }
    }
  }

  /** A job that no slot has room for in time is left to the reconciler. */
  async #fetchNext(): Promise<void> {
    const { slots, mayFetch, takeJob, log } = this.#deps
    if (slots.pool === null || !mayFetch() || !slots.wantJob) return await slots.changed.wait(CHECK_EVERY_MS)
    const consumer = await this.#consumerOf(slots.pool)
    const taken = await consumer.next()
    if (taken === null) return
    const slot = await this.#slotForJob(taken.job.model)
    if (slot === undefined)
      log.warn({ video: taken.job.video }, 'no slot has room for a job; it is left to the reconciler')
    else takeJob(slot, taken)
  }

  /** The open consumer, or a new one when the queue is another by now. */
  async #consumerOf(pool: string): Promise<AttemptConsumer> {
    const installation = this.#deps.installation()
    if (this.#consumer !== undefined && installation === this.#installation) return this.#consumer
    await this.#consumer?.close()
    this.#installation = installation
    this.#consumer = this.#deps.openConsumer(pool)
    return this.#consumer
  }

  /** Waits while a runner starts again; undefined when no slot has room in time. */
  async #slotForJob(model: string | undefined): Promise<Slot | undefined> {
    const deadline = Date.now() + ROOM_WAIT_MS
    for (;;) {
      const slot = this.#deps.slots.forJob(model)
      if (slot !== undefined || this.#isStopped || Date.now() > deadline) return slot
      await this.#deps.slots.changed.wait(CHECK_EVERY_MS)
    }
  }
}
