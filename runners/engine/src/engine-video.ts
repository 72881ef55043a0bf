import { Interruption, type Wish } from '@sluice/runner/interruption'
import { RunnerFailure } from '@sluice/runner/runner-failure'
import { pause } from '@sluice/shared/pause'
import type { RunnerRequest } from '@sluice/shared/runner-protocol'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import type { EngineJob } from './dialects/dialect.ts'
import type { Durations } from './durations.ts'
import { type Engine, growingPauses } from './engine.ts'
import { EngineAwayError } from './engine-error.ts'
import type { EngineRequest } from './engine-http.ts'
import { readInputImage } from './input-image.ts'
import { type HeldJob, readJobFile, writeJobFile } from './job-file.ts'
import type { LeftJobs } from './left-jobs.ts'
import type { Progress } from './news.ts'
import { KeyTakenError, refusedSubmission } from './refusal.ts'
import type { ServedModel } from './served-models.ts'

export type GenerateRequest = Extract<RunnerRequest, { type: 'generate' }>

/** A job is asked after often while it is young, so that a short one is not made long, and then rarely. */
const LOOK_MS_MIN = 200
const LOOK_MS_MAX = 2_000
const LOOK_SHARE = 0.05
/**
 * Jobs that an engine may lose within one attempt: it loses all it has when it is started again, however
 * healthy the video is; a video that brings the engine down does so each time.
 */
const LOST_MAX = 3
/** Jobs of one video over all its attempts, also those that had to make room for others. */
const JOBS_MAX = 20

export interface EngineVideoParts {
  engine: Engine
  model: ServedModel
  durations: Durations
  leftJobs: LeftJobs
  /** Says how far it is, and repeats it. */
  progress: Progress
  onCheckpoint(step: number, path: string): void
  log: (line: string) => void
}

/** `seconds`: how long the job was at work; null when this attempt did not see all of it. */
export type EngineVideoEnd =
  | { type: 'made'; job: string; seconds: number | null; ownSteps: number }
  | { type: 'cancelled'; step: number }
  | { type: 'yielded'; step: number; path: string | undefined }

/** One video from its submission to the engine until its job there is completed, or was stopped. */
export class EngineVideo {
  readonly id: string
  readonly #request: GenerateRequest
  readonly #parts: EngineVideoParts
  readonly #interruption = new Interruption()
  /** Steps that the engine has done, as far as it says. */
  #step = 0

  constructor(request: GenerateRequest, parts: EngineVideoParts) {
    this.id = request.id
    this.#request = request
    this.#parts = parts
  }

  /** The worker wants it stopped. */
  stop(wish: Wish): void {
    this.#interruption.stop(wish)
  }

  /**
   * Finds the job of an earlier attempt, or submits one, and follows it; one that the engine lost is made
   * again. Throws RunnerFailure when the engine refuses or fails, EngineAwayError when it is away.
   */
  async run(): Promise<EngineVideoEnd> {
    const earlier = await this.#findEarlier()
    let number = earlier.number
    let found = earlier.job
    for (let lost = 0; ; lost++) {
      if (lost > LOST_MAX || number > JOBS_MAX)
        throw new RunnerFailure('internal', `the engine lost ${number - 1} jobs of this video`, true)
      const isOwn = found === null
      const job: EngineJob | undefined | null = found ?? (await this.#submit(number))
      if (job === undefined) return this.#stopped(undefined)
      if (job !== null) {
        const held = { job: job.id, number }
        if (isOwn) await this.#writeCheckpoint(held)
        const end = await this.#follow(job, held, isOwn)
        if (end !== 'lost') return end
        this.#parts.log(`the engine lost job ${job.id}: it is made again`)
      }
      found = null
      number += 1
    }
  }

  /** The job of the checkpoint while the engine still has it, or can have completed it. */
  async #findEarlier(): Promise<{ job: EngineJob | null; number: number }> {
    const { resume, request } = this.#request
    if (resume === undefined) return { job: null, number: 1 }
    const held = await readJobFile(resume.path, request)
    this.#parts.leftJobs.takeBack(held.job)
    const job = await this.#parts.engine.lookPatiently(held.job, request.num_steps, this.#interruption.signal)
    // Stopped meanwhile: whether it is there is found out by the next attempt.
    if (job === undefined) return { job: placeholder(held.job), number: held.number }
    if (job !== null && job.state !== 'failed') return { job, number: held.number }
    const why = job === null ? 'is not there any more' : `failed: ${job.failure?.message ?? ''}`
    this.#parts.log(`job ${held.job} of an earlier attempt ${why}: it is made again`)
    return { job: null, number: held.number + 1 }
  }

  /**
   * Submits job `number`. Returns undefined when it was stopped before, null when that number cannot be had
   * any more. A cancelled one of unknown fate is asked for again, so that it can be stopped: the same
   * idempotency key answers the same job, and the next attempt's too.
   */
  async #submit(number: number): Promise<EngineJob | undefined | null> {
    const { engine, leftJobs, log } = this.#parts
    await leftJobs.clear(this.#interruption.signal, log)
    const request = await this.#createRequest(number)
    const untilMs = performance.now() + engine.awayMs
    let isUncertain = false
    for (const waitMs of growingPauses()) {
      const isWorthFinding = this.#isCancelled && isUncertain && engine.dialect.isIdempotent
      if (this.#interruption.wish !== undefined && !isWorthFinding) return undefined
      try {
        return await this.#submitOnce(request)
      } catch (error) {
        if (error instanceof KeyTakenError) return null
        if (!(error instanceof EngineAwayError)) throw error
        if (!error.mayPass || performance.now() > untilMs) throw error
        isUncertain ||= !error.isRefusal
      }
      await pause(waitMs, this.#interruption.wish === undefined ? this.#interruption.signal : undefined)
    }
  }

  async #createRequest(number: number): Promise<EngineRequest> {
    const { engine, model } = this.#parts
    const { request: generation, references, id } = this.#request
    return engine.dialect.create({
      generation,
      engineModel: model.engineModel,
      // A video's id is random and unique among installations; the fence of the attempt is no part of it.
      idempotencyKey: `${id.replace(/-\d+$/, '')}-${number}`,
      sound: model.makes.sound,
      image: await readInputImage(generation, references),
    })
  }

  async #submitOnce(request: EngineRequest): Promise<EngineJob> {
    const { http, dialect } = this.#parts.engine
    const { width, height, num_steps } = this.#request.request
    const answer = await http.call(request, TIME_LIMITS.engine.submitMs)
    const job = answer.status < 300 ? dialect.jobOf(answer, num_steps) : undefined
    if (job === undefined) throw refusedSubmission(answer)
    if (job.size === null || job.size === `${width}x${height}`) return job
    await this.#parts.engine.tell(dialect.cancel(job.id), this.#parts.log)
    throw new RunnerFailure(
      'bad_output',
      `the engine makes ${job.size} of size ${width}x${height}, which was asked`,
      true,
    )
  }

  /** Follows the job to its end, or until it is to be stopped. */
  async #follow(first: EngineJob, held: HeldJob, isOwn: boolean): Promise<EngineVideoEnd | 'lost'> {
    const { num_steps: steps } = this.#request.request
    const { signal } = this.#interruption
    let job: EngineJob | null | undefined = first
    const begun = performance.now()
    let atWork = first.state === 'running' ? begun : undefined
    for (;;) {
      if (this.#interruption.wish !== undefined || job === undefined) return this.#stopped(held)
      if (job === null) return 'lost'
      if (job.state === 'failed') throw failedJob(job)
      if (job.state === 'running') atWork ??= performance.now()
      if (job.state === 'completed') {
        // A short job is never seen at work, and some engines call it queued until it is over.
        const elapsedMs = performance.now() - (atWork ?? begun)
        const sawAll = isOwn && job !== first
        if (sawAll) this.#parts.durations.learn(this.#request.request, elapsedMs)
        this.#parts.progress.say({ phase: 'denoise', step: steps, steps })
        return {
          type: 'made',
          job: job.id,
          seconds: sawAll ? elapsedMs / 1_000 : null,
          ownSteps: isOwn ? steps : Math.max(steps - (this.#request.resume?.step ?? 0), 0),
        }
      }
      this.#sayProgress(job, atWork === undefined ? 0 : performance.now() - atWork)
      const waited = (performance.now() - begun) * LOOK_SHARE
      await pause(Math.min(Math.max(waited, LOOK_MS_MIN), LOOK_MS_MAX), signal)
      if (this.#interruption.wish === undefined)
        job = await this.#parts.engine.lookPatiently(job.id, steps, signal)
    }
  }

  /**
   * Steps are what is charged, so only what the engine says counts as one. Of an engine that says nothing the
   * remaining time is estimated, and reported as that.
   */
  #sayProgress(job: EngineJob, elapsedMs: number): void {
    const { progress, durations } = this.#parts
    const { request: generation } = this.#request
    const { num_steps: steps } = generation
    if (job.state === 'queued') {
      progress.say({ phase: 'encode', step: 0, steps: 1 })
      return
    }
    // That the job was begun is worth the step that its checkpoint says.
    this.#step = Math.min(Math.max(job.steps ?? 1, this.#step, 1), steps)
    const remainingMs = job.steps === null ? durations.remainingMs(generation, elapsedMs) : null
    progress.say({
      phase: 'denoise',
      step: this.#step,
      steps,
      ...(remainingMs === null ? {} : { remaining_ms: remainingMs }),
    })
  }

  get #isCancelled(): boolean {
    return this.#interruption.wish === 'cancel'
  }

  /** Ends as wished; `held`: the job that the engine has. */
  async #stopped(held: HeldJob | undefined): Promise<EngineVideoEnd> {
    const { engine, leftJobs, log } = this.#parts
    const { request, workdir } = this.#request
    if (this.#isCancelled) {
      // It is told on beside the next video when the engine does not hear it at once.
      if (held !== undefined) await within(engine.tell(engine.dialect.cancel(held.job), log))
      return { type: 'cancelled', step: this.#step }
    }
    if (held === undefined) return { type: 'yielded', step: 0, path: undefined }
    const path = await writeJobFile(workdir, request, held)
    // A cancel may have come while it was written.
    if (this.#isCancelled) return this.#stopped(held)
    leftJobs.add(held.job)
    return { type: 'yielded', step: Math.max(this.#step, this.#stepOf(held)), path }
  }

  /** The engine has the job: from now on every attempt can find it. */
  async #writeCheckpoint(held: HeldJob): Promise<void> {
    const path = await writeJobFile(this.#request.workdir, this.#request.request, held)
    this.#parts.onCheckpoint(this.#stepOf(held), path)
  }

  /** Each further job gets a higher step: a checkpoint replaces only one of fewer steps. */
  #stepOf({ number }: HeldJob): number {
    const { num_steps: steps } = this.#request.request
    return Math.min(Math.max(number, (this.#request.resume?.step ?? 0) + 1), steps)
  }
}

/** A job of which only the id is known. */
function placeholder(id: string): EngineJob {
  return { id, state: 'queued', steps: null, size: null, failure: null }
}

function failedJob({ failure }: EngineJob): RunnerFailure {
  const { code, message, retryable } = failure ?? {
    code: 'internal' as const,
    message: 'the engine failed',
    retryable: true,
  }
  return new RunnerFailure(code, message, retryable)
}

/** How long a cancelled video keeps its slot until the engine has heard of it. */
const HEAR_MS = 5_000

async function within(work: Promise<void>): Promise<void> {
  await Promise.race([work, pause(HEAR_MS)])
}
