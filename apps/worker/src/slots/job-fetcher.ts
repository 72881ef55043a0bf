import type { AttemptConsumer, TakenJob } from '@sluice/shared/attempt-consumer'
import type { AttemptJob } from '@sluice/shared/attempt-contract'
import { pause } from '@sluice/shared/pause'
import { within } from '@sluice/shared/time-limit'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import type { Logger } from 'pino'
import { LEFT_AT_ONCE_MAX, LeftJobs } from './left-jobs.ts'
import type { Slot } from './slot.ts'
import type { Slots } from './slots.ts'

export interface JobFetcherDeps {
  slots: Slots
  /** False until jobs may be fetched at all. */
  mayFetch(): boolean
  /** What the queues are named after now; another API, or one on another database, says another. */
  installation(): string | undefined
  /** `onReach`: as that of a consumer. */
  openConsumer(queue: string, onReach: (trouble: Error | null) => void): AttemptConsumer
  /** Called with why the queue cannot be reached, once per outage, and with null once it can be. */
  onReach(trouble: Error | null): void
  takeJob(slot: Slot, taken: TakenJob): void
  log: Logger
}

/** How long a job in hand waits for a runner that starts again: less than the queue's lock and the lease. */
const ROOM_WAIT_MS = 15_000
const CHECK_EVERY_MS = 500
const BROKEN_WAIT_MS = 1_000
/**
 * After leaving a job to others: they take it within milliseconds. Workers that leave each other's jobs at
 * the same moment come back at different ones.
 */
const ASIDE_MS_MIN = 100
const ASIDE_MS_MAX = 200

class FetchHangsError extends Error {
  override name = 'FetchHangsError'
}

/** Takes jobs off the queue for as long as some slot wants one. */
export class JobFetcher {
  readonly #deps: JobFetcherDeps
  #open: { consumer: AttemptConsumer; queue: string; installation: string | undefined } | undefined
  #isReached = false
  readonly #stopping = new AbortController()
  readonly #left = new LeftJobs()
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
    this.#stopping.abort()
    this.#deps.slots.changed.wake()
    return { fetched: this.#fetching, closed: this.#close() }
  }

  async #fetchAll(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
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
    const consumer = slots.queue !== null && mayFetch() ? await this.#consumerOf(slots.queue) : null
    if (consumer === null || !this.#isReached || !slots.wantJob)
      return await slots.changed.wait(CHECK_EVERY_MS)
    const fetched = await this.#next(() => consumer.next())
    const taken = fetched === null ? null : await this.#meantForUs(consumer, fetched)
    if (taken === null) return
    const slot = await this.#slotForJob(taken.job)
    if (slot === undefined)
      log.warn({ video: taken.job.video }, 'no slot has room for a job; it is left to the reconciler')
    else takeJob(slot, taken)
  }

  /**
   * The job, or another that waits, when it was chosen for a slot with a model loaded that none here has: the
   * others get the moment to take it. Null when there is nothing for this worker now.
   */
  async #meantForUs(consumer: AttemptConsumer, fetched: TakenJob): Promise<TakenJob | null> {
    const { slots } = this.#deps
    const others: TakenJob[] = []
    let taken: TakenJob | null = fetched
    while (taken !== null && this.#left.leaves(taken.job, (loaded) => slots.wantJobWith(loaded))) {
      others.push(taken)
      const hasLooked = others.length >= LEFT_AT_ONCE_MAX
      taken = hasLooked ? null : await this.#next(() => consumer.nextThatWaits())
    }
    for (const other of others) await other.putBack()
    if (taken === null)
      await pause(ASIDE_MS_MIN + Math.random() * (ASIDE_MS_MAX - ASIDE_MS_MIN), this.#stopping.signal)
    return taken
  }

  /** The open consumer, or a new one when the queue is another by now; null once stopped. */
  async #consumerOf(queue: string): Promise<AttemptConsumer | null> {
    const installation = this.#deps.installation()
    if (this.#open?.queue === queue && this.#open.installation === installation) return this.#open.consumer
    await this.#close()
    if (this.#stopping.signal.aborted) return null
    const consumer = this.#deps.openConsumer(queue, (trouble) => this.#onReach(trouble))
    this.#open = { consumer, queue, installation }
    return consumer
  }

  /** A consumer that does not come back is replaced; what it may still fetch goes back to the queue. */
  async #next(fetch: () => Promise<TakenJob | null>): Promise<TakenJob | null> {
    try {
      return await within(TIME_LIMITS.queue.fetchMs, fetch(), () => new FetchHangsError())
    } catch (error) {
      if (!(error instanceof FetchHangsError)) throw error
      this.#deps.log.warn('fetching a job hangs; the connection to the queue is made anew')
      await this.#close()
      return null
    }
  }

  /** Never rejects. */
  async #close(): Promise<void> {
    const open = this.#open
    this.#open = undefined
    await open?.consumer
      .close()
      .catch((error: unknown) =>
        this.#deps.log.warn({ err: error }, 'the connection to the queue cannot be closed'),
      )
  }

  #onReach(trouble: Error | null): void {
    this.#isReached = trouble === null
    this.#deps.onReach(trouble)
    this.#deps.slots.changed.wake()
  }

  /** Waits while a runner starts again; undefined when no slot has room in time. */
  async #slotForJob(job: AttemptJob): Promise<Slot | undefined> {
    const deadline = Date.now() + ROOM_WAIT_MS
    for (;;) {
      const slot = this.#deps.slots.forJob(job)
      if (slot !== undefined || this.#stopping.signal.aborted || Date.now() > deadline) return slot
      await this.#deps.slots.changed.wait(CHECK_EVERY_MS)
    }
  }
}
