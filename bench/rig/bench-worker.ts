import { randomBytes } from 'node:crypto'
import { type AttemptConsumer, openAttemptConsumer } from '@sluice/shared/attempt-consumer'
import { HEARTBEAT_MS, heartbeatAnswerSchema, type ReportBody } from '@sluice/shared/attempt-contract'
import { newClaim } from '@sluice/shared/ids'
import type { QueueSettings } from '@sluice/shared/queue-backend'
import type { ApiProcess } from './api-process.ts'
import { Connection } from './connection.ts'

/** A bench goes on without one heartbeat or one acknowledgement. */
const warn = (error: unknown) => console.warn(error)

export interface BenchAttempt {
  video: string
  fence: number
  report(body: ReportBody): Promise<void>
  /** Removes the job from the queue. */
  acknowledge(): Promise<void>
}

/**
 * A worker without a runner: it takes jobs off the real queue, and reports on them as fast as its caller
 * wants.
 */
export class BenchWorker {
  readonly #api: ApiProcess
  readonly #queue: QueueSettings
  readonly #pool: string
  readonly #slots: number
  readonly #id = `worker_${randomBytes(6).toString('hex')}`
  readonly #boot = randomBytes(8).toString('hex')
  readonly #connection: Connection
  readonly #heartbeats: NodeJS.Timeout
  #consumer: AttemptConsumer | undefined
  #isClosed = false

  constructor(api: ApiProcess, queue: QueueSettings, options: { pool: string; slots?: number }) {
    this.#api = api
    this.#pool = options.pool
    this.#slots = options.slots ?? 1
    this.#queue = queue
    this.#connection = new Connection(api.url)
    this.#heartbeats = setInterval(() => {
      this.heartbeat().catch(warn)
    }, HEARTBEAT_MS)
  }

  async heartbeat(changes: { draining?: boolean } = {}): Promise<void> {
    const answer = await this.#connection.post('/internal/heartbeat', this.#api.workerToken, {
      worker: this.#id,
      boot: this.#boot,
      pool: this.#pool,
      slots: this.#slots,
      device: 'cpu',
      devices_per_slot: 1,
      vram_bytes: 0,
      models: ['animatic'],
      limits: { frames_max: 129, pixels_max: 589_824 },
      cost_per_hour_micros: null,
      draining: false,
      attempts: [],
      ...changes,
    })
    const { installation } = heartbeatAnswerSchema.parse(answer)
    this.#consumer ??= openAttemptConsumer({ ...this.#queue, installation }, this.#pool, this.#id)
  }

  /** The next job off the queue, acknowledged to it. */
  async next(): Promise<BenchAttempt> {
    const attempt = await this.fetch()
    attempt.acknowledge().catch(warn)
    return attempt
  }

  /** The next job off the queue; the caller acknowledges it, as a worker does once `taken` is answered. */
  async fetch(): Promise<BenchAttempt> {
    if (this.#consumer === undefined) await this.heartbeat()
    while (!this.#isClosed) {
      const taken = await this.#consumer?.next()
      if (taken === undefined) throw new Error('the bench worker has no queue')
      if (taken === null) continue
      const { video, fence } = taken.job
      const claim = newClaim()
      const report = async (body: ReportBody) => {
        const signed = { claim, worker: this.#id, ...body }
        await this.#connection.post(`/internal/attempts/${video}/${fence}`, this.#api.workerToken, signed)
      }
      return { video, fence, report, acknowledge: () => taken.done() }
    }
    throw new Error('the bench worker is closed')
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearInterval(this.#heartbeats)
    await this.heartbeat({ draining: true })
    await this.#consumer?.close()
    this.#connection.close()
  }
}
