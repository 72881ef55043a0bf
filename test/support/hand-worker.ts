import { randomBytes } from 'node:crypto'
import { type AttemptConsumer, openAttemptConsumer } from '@sluice/shared/attempt-consumer'
import type {
  AttemptJob,
  GroupAnswer,
  GroupedReport,
  Heartbeat,
  HeartbeatAnswer,
  OwnedAttempt,
  Report,
  ReportAnswer,
  ReportBody,
} from '@sluice/shared/attempt-contract'
import { groupAnswerSchema, heartbeatAnswerSchema, reportAnswerSchema } from '@sluice/shared/attempt-contract'
import { newClaim } from '@sluice/shared/ids'
import { type Answer, callJson, type TestApi } from './start-api.ts'

/** One attempt in a test's hands: it reports what a worker would report, when the test wants it. */
export interface HandAttempt {
  job: AttemptJob
  claim: string
  owned: OwnedAttempt
  report(body: ReportBody): Promise<ReportAnswer>
  /** As `report`, but returns the whole HTTP answer, whatever its status. */
  reportRaw(
    body: ReportBody,
    options?: { token?: string; worker?: string; claim?: string; fence?: number },
  ): Promise<Answer>
  /** Puts real bytes and result.json where the assignment says, and returns the result to report. */
  upload(): Promise<Extract<Report, { type: 'finished' }>['result']>
}

/** Longer than any fault lasts: a job that has not come by then never comes. */
const JOB_MS_MAX = 30_000

/**
 * The worker's side of the contract by hand: takes real jobs off the real queue and speaks HTTP to the real
 * API, so that a test decides the order, the delay and the loss of every message.
 */
export class HandWorker implements AsyncDisposable {
  readonly id: string
  readonly #api: TestApi
  readonly #consumer: AttemptConsumer
  readonly #pool: string
  readonly #queue: string | undefined
  #isClosed = false
  boot = randomBytes(8).toString('hex')
  slots: number

  constructor(api: TestApi, options: { pool?: string; queue?: string; slots?: number; id?: string } = {}) {
    this.#api = api
    this.#pool = options.pool ?? 'hand'
    this.#queue = options.queue
    this.id = options.id ?? `worker_${randomBytes(6).toString('hex')}`
    this.slots = options.slots ?? 1
    const queue = { ...api.config.queue, installation: api.context.installation }
    this.#consumer = openAttemptConsumer(
      queue.backend === 'redis' ? queue : { ...queue, url: api.database.queueUrl, connectionsMax: 4 },
      this.#queue ?? this.#pool,
      this.id,
    )
  }

  async heartbeat(
    attempts: readonly OwnedAttempt[] = [],
    changes: Partial<Heartbeat> = {},
  ): Promise<HeartbeatAnswer> {
    const answer = await this.heartbeatRaw(attempts, changes)
    if (answer.status !== 200) throw new Error(`heartbeat: ${answer.status} ${JSON.stringify(answer.body)}`)
    return heartbeatAnswerSchema.parse(answer.body)
  }

  heartbeatRaw(attempts: readonly OwnedAttempt[], changes: Partial<Heartbeat> = {}): Promise<Answer> {
    const beat: Heartbeat = {
      worker: this.id,
      boot: this.boot,
      pool: this.#pool,
      ...(this.#queue === undefined ? {} : { queue: this.#queue }),
      slots: this.slots,
      device: 'cpu',
      devices_per_slot: 1,
      vram_bytes: 0,
      models: ['animatic'],
      limits: { frames_max: 129, pixels_max: 589_824 },
      cost_per_hour_micros: null,
      draining: false,
      attempts: [...attempts],
      ...changes,
    }
    return callJson(this.#api.url, this.#api.workerToken, 'POST', '/internal/heartbeat', beat)
  }

  /** Says all of this in one request, and returns the answers as they came. */
  async reportGroup(reports: readonly [HandAttempt, ReportBody][]): Promise<GroupAnswer['answers']> {
    const answer = await this.reportGroupRaw(reports.map(([attempt, body]) => this.grouped(attempt, body)))
    if (answer.status !== 200) throw new Error(`reports: ${answer.status} ${JSON.stringify(answer.body)}`)
    return groupAnswerSchema.parse(answer.body).answers
  }

  reportGroupRaw(reports: readonly unknown[], token = this.#api.workerToken): Promise<Answer> {
    return callJson(this.#api.url, token, 'POST', '/internal/reports', { reports })
  }

  /** A report as it stands in a group. */
  grouped({ job, claim }: HandAttempt, body: ReportBody): GroupedReport {
    return { video: job.video, fence: job.fence, report: { claim, worker: this.id, ...body } }
  }

  /** The next job off the queue, acknowledged but not yet reported as taken. */
  async fetchJob(): Promise<AttemptJob> {
    const deadlineMs = performance.now() + JOB_MS_MAX
    for (;;) {
      const taken = await this.#consumer.next()
      // A closed consumer returns at once, so asking it again would block the event loop for ever.
      if (this.#isClosed) throw new Error('the worker was closed before a job came')
      if (taken === null && performance.now() > deadlineMs) throw new Error(`no job within ${JOB_MS_MAX} ms`)
      if (taken === null) continue
      await taken.done()
      return taken.job
    }
  }

  /** The next job as an attempt with a claim of its own. */
  async fetch(): Promise<HandAttempt> {
    return this.own(await this.fetchJob())
  }

  own(job: AttemptJob, claim = newClaim()): HandAttempt {
    const reportRaw: HandAttempt['reportRaw'] = (body, options = {}) =>
      callJson(
        this.#api.url,
        options.token ?? this.#api.workerToken,
        'POST',
        `/internal/attempts/${job.video}/${options.fence ?? job.fence}`,
        { claim: options.claim ?? claim, worker: options.worker ?? this.id, ...body },
      )
    const report: HandAttempt['report'] = async (body) => {
      const answer = await reportRaw(body)
      if (answer.status !== 200)
        throw new Error(`report ${body.type}: ${answer.status} ${JSON.stringify(answer.body)}`)
      return reportAnswerSchema.parse(answer.body)
    }
    const upload: HandAttempt['upload'] = async () => {
      const { assignment } = await report({ type: 'taken', slot: 0 })
      if (assignment === undefined) throw new Error('no assignment')
      const put = async (url: string, contentType: string, body: Buffer) => {
        const response = await fetch(url, {
          method: 'PUT',
          headers: { 'content-type': contentType },
          body: new Uint8Array(body),
        })
        if (!response.ok) throw new Error(`PUT ${response.status} ${await response.text()}`)
        return { bytes: body.length }
      }
      const files = {
        video: await put(assignment.uploads.video, 'video/mp4', Buffer.from(`mp4 of ${job.video} ${claim}`)),
        thumbnail: await put(assignment.uploads.thumbnail, 'image/webp', Buffer.from('webp')),
        spritesheet: await put(assignment.uploads.spritesheet, 'image/jpeg', Buffer.from('jpeg')),
      }
      const steps = assignment.request.num_steps
      const result = {
        video: job.video,
        fence: job.fence,
        claim,
        files,
        steps_run: steps - (assignment.resume?.step ?? 0),
        steps,
        timings: { denoise: 1 },
        peak_vram_bytes: 0,
        seed: assignment.request.seed,
      }
      await put(assignment.uploads.result, 'application/json', Buffer.from(JSON.stringify(result)))
      return result
    }
    return { job, claim, owned: { video: job.video, fence: job.fence, claim }, report, reportRaw, upload }
  }

  async close(): Promise<void> {
    this.#isClosed = true
    await this.#consumer.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
