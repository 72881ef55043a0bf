import { linkSync, mkdirSync, rmSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Assignment,
  type AttemptJob,
  type AttemptResult,
  type FailureCode,
  jobId,
  type OwnedAttempt,
  type Report,
  UPLOAD_CONTENT_TYPES,
  type UploadName,
  type Verdict,
} from '@sluice/shared/attempt-contract'
import { newClaim } from '@sluice/shared/ids'
import type { RunnerReply, RunnerRequest } from '@sluice/shared/runner-protocol'
import type { Semaphore } from '@sluice/shared/semaphore'
import type { Logger } from 'pino'
import { Backoff } from './backoff.ts'
import { BadOutputError, checkVideo } from './check-video.ts'
import { InputDamagedError, referencesOf, requireHash } from './input-image.ts'
import { ApiUnavailableError, type ReportClient } from './report-client.ts'
import { ReportLine } from './report-line.ts'
import type { Spool } from './spool.ts'
import { getFile, putBody, putFile, TransferError } from './transfer.ts'

/** Where an attempt stands; `README.md` draws it. It leaves `running` when the device is free, and ends in `over` from anywhere. */
export type AttemptState = 'taking' | 'waiting' | 'running' | 'settling' | 'over'
export type Final = Extract<Report, { type: 'finished' | 'failed' | 'cancelled' | 'yielded' }>
type Bare<R> = R extends Report ? Omit<R, 'claim' | 'worker'> : never
type Finished = Extract<RunnerReply, { type: 'finished' }>

/** What an attempt needs of the worker around it. */
export interface AttemptSurroundings {
  worker: string
  workDir: string
  client: ReportClient
  spool: Spool
  /** Bounds checks and uploads of finished videos. */
  settling: Semaphore
  log: Logger
}

/** What an attempt asks of its slot. */
export interface AttemptSlot {
  index: number
  /** The attempt may be generated as soon as the device is free. */
  ready(attempt: Attempt): void
  /** Passed on when the attempt is the one on the device. */
  tell(attempt: Attempt, request: 'cancel' | 'yield'): void
  /** The attempt has ended; the slot must not start it. */
  over(attempt: Attempt): void
  /** Estimate until the device is free, milliseconds. */
  remainingMs(): number | null
}

/** `taken` is retried this long; then the job is dropped, and the API's reconciler recovers it. */
const TAKE_MS_MAX = 40_000
/** A store that is away is waited for this long, with the finished video in hand. */
const UPLOAD_MS_MAX = 900_000
const FRESH_URLS_MAX = 5
/** An image is small; a store that is away longer than this is another worker's to try. */
const INPUT_MS_MAX = 60_000
/** A checkpoint in hand at a yield is worth this much waiting. */
const YIELD_UPLOAD_MS_MAX = 30_000
const MESSAGE_CHARS_MAX = 2_000

/** One start of one video on this worker, from its job to its last report. */
export class Attempt {
  readonly video: string
  readonly fence: number
  readonly claim = newClaim()
  readonly folder: string
  readonly slot: AttemptSlot
  readonly #around: AttemptSurroundings
  readonly #log: Logger
  readonly #ended = new AbortController()
  #currentState: AttemptState = 'taking'
  #bound = false
  #assignment: Assignment | undefined
  #resumePath: string | undefined
  #referencePath: string | undefined
  #line: ReportLine | undefined
  #phase: 'load' | 'encode' | 'denoise' | 'decode' | 'mux' | 'upload' = 'encode'
  /** Steps the video has in all so far, and how many of them came from the checkpoint. */
  #step = 0
  #startStep = 0
  #checkpointStep = 0
  #asked: 'cancel' | 'yield' | undefined
  #yieldAsked = false
  #checkpointUpload: Promise<void> = Promise.resolve()
  #nextCheckpoint: { step: number; path: string } | undefined
  #begun = false
  #runnerHasIt = false
  readonly #overListeners: (() => void)[] = []

  constructor(job: AttemptJob, slot: AttemptSlot, around: AttemptSurroundings) {
    this.video = job.video
    this.fence = job.fence
    this.slot = slot
    this.#around = around
    this.folder = join(around.workDir, `${this.runnerId}-${this.claim}`)
    this.#log = around.log.child({ video: job.video, fence: job.fence, slot: slot.index })
  }

  get runnerId(): string {
    return jobId(this.video, this.fence)
  }

  get state(): AttemptState {
    return this.#currentState
  }

  get request(): Assignment['request'] | undefined {
    return this.#assignment?.request
  }

  /** Null until the API bound the claim, and once the attempt is over. */
  get held(): OwnedAttempt | null {
    return this.#bound && this.#currentState !== 'over'
      ? { video: this.video, fence: this.fence, claim: this.claim }
      : null
  }

  whenOver(): Promise<void> {
    return this.#currentState === 'over'
      ? Promise.resolve()
      : new Promise((resolve) => this.#overListeners.push(resolve))
  }

  /** Reports `taken`, acknowledges the job with `done` as soon as that is answered, fetches the image and the checkpoint, and makes itself ready for the slot. */
  async take(done: () => Promise<void>): Promise<void> {
    const answer = await this.#reportTaken(TAKE_MS_MAX)
    if (answer === null) return this.#drop('taken was not answered in time')
    void done()
    if (this.#currentState === 'over') return
    if (answer.verdict === 'stop') return this.#drop('told to stop')
    this.#bound = true
    if (answer.assignment === undefined) return this.#drop('taken was answered without an assignment')
    this.#assignment = answer.assignment
    mkdirSync(join(this.folder, 'out'), { recursive: true })
    await Promise.all([this.#fetchCheckpoint(answer.assignment.resume), this.#fetchReference()])
    if (this.#isOver()) return
    this.#currentState = 'waiting'
    if (this.#asked === 'yield') return this.#endWaiting('yielded')
    this.heed(answer.verdict)
    if (!this.#isOver()) this.slot.ready(this)
  }

  /** The slot's device is free and this attempt is next: what to send the runner. */
  start(): RunnerRequest & { type: 'generate' } {
    if (this.#assignment === undefined || this.#currentState !== 'waiting')
      throw new Error(`attempt ${this.runnerId} is ${this.#currentState}, not waiting`)
    this.#currentState = 'running'
    this.#runnerHasIt = true
    this.#line = new ReportLine(
      (report, signal) => this.#around.client.report(this.video, this.fence, report, signal),
      (answer) => this.heed(answer.verdict),
      () => this.#progressReport(),
      this.#log,
    )
    const resume =
      this.#resumePath === undefined ? undefined : { step: this.#startStep, path: this.#resumePath }
    return {
      type: 'generate',
      id: this.runnerId,
      request: this.#assignment.request,
      workdir: join(this.folder, 'out'),
      ...(resume === undefined ? {} : { resume }),
      ...(this.#referencePath === undefined
        ? {}
        : { references: referencesOf(this.#assignment.request, this.#referencePath) }),
    }
  }

  /** Steps still to do; null before it runs. */
  get stepsLeft(): number | null {
    return this.#assignment === undefined
      ? null
      : Math.max(this.#assignment.request.num_steps - this.#step, 0)
  }

  /** Takes the runner's replies about this attempt. */
  onReply(reply: RunnerReply): void {
    if (this.#currentState === 'over') return
    switch (reply.type) {
      case 'started':
        this.#begun = true
        this.#line?.milestone(this.#signed({ type: 'started' }))
        return
      case 'progress':
        this.#phase = reply.phase
        // Other phases count something else than denoising steps, which are what is charged.
        if (reply.phase === 'denoise') this.#step = Math.max(this.#step, reply.step)
        this.#line?.progressed()
        return
      case 'checkpoint':
        this.#keepCheckpoint(reply.step, reply.path)
        return
      case 'released':
        this.#currentState = 'settling'
        this.#line?.milestone(this.#signed({ type: 'released' }))
        if (this.#asked === 'cancel') this.#finish({ type: 'cancelled', step: this.#step })
        return
      case 'finished':
        this.#phase = 'upload'
        this.#logSwitch(reply.timings.load)
        void this.#settle(reply)
        return
      case 'failed':
        this.#failedByRunner(reply.code, reply.message, reply.retryable)
        return
      case 'cancelled':
        this.#finish({ type: 'cancelled', step: reply.step })
        return
      case 'yielded':
        this.#currentState = 'settling'
        this.#step = reply.step
        void this.#handBack(reply.step, reply.path)
        return
      case 'ready':
        return
      default:
        reply satisfies never
    }
  }

  /** The runner will write nothing more for this attempt; its folder may go. */
  runnerIsDone(): void {
    this.#runnerHasIt = false
    if (this.#currentState === 'over') this.#removeFolder()
  }

  fail(code: FailureCode, message: string, retryable: boolean): void {
    this.#log.warn({ code, retryable, reason: message }, 'attempt failed')
    this.#finish({
      type: 'failed',
      code,
      message: message.slice(0, MESSAGE_CHARS_MAX),
      retryable,
      step: Math.max(this.#step - this.#startStep, 0),
    })
  }

  /** What the API said, in an answer or a heartbeat. */
  heed(verdict: Verdict): void {
    if (this.#currentState === 'over') return
    switch (verdict) {
      case 'continue':
        return
      case 'stop':
        if (this.#runnerHasIt) this.slot.tell(this, 'cancel')
        this.#drop('told to stop')
        return
      case 'cancel':
        this.#cancel()
        return
      case 'yield':
        this.yield()
        return
      default:
        verdict satisfies never
    }
  }

  /** Stops at the next step, uploads the checkpoint and hands back; before the start it hands back at once, after the device is free it goes on. */
  yield(): void {
    if (this.#currentState === 'taking') this.#asked ??= 'yield'
    if (this.#currentState === 'waiting') this.#endWaiting('yielded')
    if (this.#currentState === 'running' && !this.#yieldAsked) {
      this.#yieldAsked = true
      this.slot.tell(this, 'yield')
    }
  }

  /** Hands back right now, with the last uploaded checkpoint, whatever the runner does: the grace of a shutdown is over. */
  abandon(): void {
    if (this.#currentState === 'over') return
    if (this.#bound) this.#finish({ type: 'yielded', step: this.#checkpointStep })
    else this.#drop('shut down before it was taken')
  }

  #isOver(): boolean {
    return this.#currentState === 'over'
  }

  #cancel(): void {
    if (this.#asked === 'cancel') return
    this.#asked = 'cancel'
    if (this.#currentState === 'waiting') this.#endWaiting('cancelled')
    else if (this.#currentState === 'running') this.slot.tell(this, 'cancel')
    else if (this.#currentState === 'settling') this.#finish({ type: 'cancelled', step: this.#step })
  }

  #logSwitch(seconds: number | undefined): void {
    if (seconds !== undefined && seconds > 0)
      this.#log.info({ model: this.request?.model, seconds }, 'the runner switched models for this video')
  }

  #endWaiting(type: 'cancelled' | 'yielded'): void {
    this.#finish({ type, step: this.#startStep })
  }

  #failedByRunner(
    code: Extract<RunnerReply, { type: 'failed' }>['code'],
    message: string,
    retryable: boolean,
  ): void {
    // The checkpoint is the one part of the input that the API cannot have checked: without it the next attempt can work.
    if (code === 'bad_input' && this.#resumePath !== undefined)
      this.fail('checkpoint_unusable', message, true)
    // Weights that are gone here may be there on another host; the API counts how often that is tried.
    else this.fail(code, message, code === 'model_missing' || (code !== 'bad_input' && retryable))
  }

  async #reportTaken(withinMs: number) {
    const backoff = new Backoff(200, 3_000)
    const signal = AbortSignal.any([this.#ended.signal, AbortSignal.timeout(withinMs)])
    for (;;) {
      try {
        return await this.#around.client.report(
          this.video,
          this.fence,
          this.#signed({ type: 'taken', slot: this.slot.index }),
          signal,
        )
      } catch (error) {
        if (signal.aborted) return null
        if (!(error instanceof ApiUnavailableError)) {
          this.#log.error({ err: error }, 'taken was refused')
          return { verdict: 'stop' as const }
        }
        await backoff.wait(signal)
      }
    }
  }

  async #fetchCheckpoint(resume: Assignment['resume']): Promise<void> {
    if (resume === null) return
    const path = join(this.folder, 'resume.checkpoint')
    const backoff = new Backoff(200, 1_000)
    for (let tries = 3; tries > 0 && !this.#isOver(); tries -= 1) {
      try {
        await getFile(resume.url, path, this.#ended.signal)
        this.#resumePath = path
        this.#startStep = resume.step
        this.#step = resume.step
        this.#checkpointStep = resume.step
        return
      } catch (error) {
        this.#log.warn({ err: error, step: resume.step }, 'the checkpoint cannot be fetched')
        if (!(error instanceof TransferError && error.again)) return
        await backoff.wait(this.#ended.signal)
      }
    }
  }

  /** The image of mode i2v. Without it there is nothing to generate: the attempt fails, retryable. */
  async #fetchReference(): Promise<void> {
    if (this.#assignment?.inputs === undefined) return
    const path = join(this.folder, 'reference.png')
    const backoff = new Backoff(200, 5_000)
    const signal = AbortSignal.any([this.#ended.signal, AbortSignal.timeout(INPUT_MS_MAX)])
    for (;;) {
      try {
        // Read again each time: expired URLs are replaced.
        await getFile(this.#assignment.inputs.reference, path, signal)
        await requireHash(path, this.#assignment.request.reference_sha256)
        this.#referencePath = path
        return
      } catch (error) {
        if (this.#isOver()) return
        const again =
          error instanceof InputDamagedError ||
          (error instanceof TransferError && (error.again || error.expired))
        if (signal.aborted || !again) {
          this.fail(
            'input_unavailable',
            `The image cannot be fetched: ${error instanceof Error ? error.message : String(error)}`,
            true,
          )
          return
        }
        this.#log.warn({ err: error }, 'the image is fetched again')
        if (error instanceof TransferError && error.expired) await this.#freshenUrls(INPUT_MS_MAX)
        await backoff.wait(signal)
      }
    }
  }

  #progressReport(): Extract<Report, { type: 'progress' }> | null {
    if (!this.#begun || (this.#currentState !== 'running' && this.#currentState !== 'settling')) return null
    const remaining = this.#currentState === 'running' ? this.slot.remainingMs() : 0
    return this.#signed({
      type: 'progress',
      phase: this.#phase,
      step: this.#step,
      remaining_ms: remaining === null ? null : Math.round(remaining),
    })
  }

  /** A hard link keeps this checkpoint's bytes when the runner renames the next one over it. */
  #keepCheckpoint(step: number, path: string): void {
    const kept = join(this.folder, `checkpoint-${step}`)
    try {
      rmSync(kept, { force: true })
      linkSync(path, kept)
    } catch (error) {
      this.#log.warn({ err: error, step }, 'the checkpoint cannot be kept')
      return
    }
    if (this.#nextCheckpoint !== undefined) rmSync(this.#nextCheckpoint.path, { force: true })
    else this.#checkpointUpload = this.#checkpointUpload.then(() => this.#uploadNewestCheckpoint())
    this.#nextCheckpoint = { step, path: kept }
  }

  async #uploadNewestCheckpoint(): Promise<void> {
    const checkpoint = this.#nextCheckpoint
    this.#nextCheckpoint = undefined
    if (checkpoint === undefined || this.#isOver()) return
    const { step, path } = checkpoint
    try {
      const bytes = statSync(path).size
      await this.#upload('checkpoint', path, YIELD_UPLOAD_MS_MAX)
      this.#checkpointStep = Math.max(this.#checkpointStep, step)
      this.#line?.milestone(this.#signed({ type: 'checkpoint', step, bytes }))
    } catch (error) {
      if (!this.#isOver()) this.#log.warn({ err: error, step }, 'the checkpoint was not uploaded')
    } finally {
      rmSync(path, { force: true })
    }
  }

  async #handBack(step: number, path: string | undefined): Promise<void> {
    if (path !== undefined && step > this.#checkpointStep) this.#keepCheckpoint(step, path)
    await this.#checkpointUpload
    await this.#line?.flushed()
    this.#finish({ type: 'yielded', step })
  }

  /** Checks the video and puts everything, `result.json` last, so that a settled attempt can be recognised in the store. */
  async #settle(reply: Finished): Promise<void> {
    await this.#around.settling.run(async () => {
      if (this.#isOver() || this.#assignment === undefined) return
      const request = this.#assignment.request
      try {
        await checkVideo(reply.files.video, request)
        const files = {
          video: { bytes: await this.#upload('video', reply.files.video, UPLOAD_MS_MAX) },
          thumbnail: { bytes: await this.#upload('thumbnail', reply.files.thumbnail, UPLOAD_MS_MAX) },
          spritesheet: { bytes: await this.#upload('spritesheet', reply.files.spritesheet, UPLOAD_MS_MAX) },
        }
        const result: AttemptResult = {
          video: this.video,
          fence: this.fence,
          claim: this.claim,
          steps_run: request.num_steps - this.#startStep,
          steps: request.num_steps,
          files,
          timings: reply.timings,
          peak_vram_bytes: reply.peak_vram_bytes,
          seed: reply.seed,
        }
        await this.#upload('result', { json: JSON.stringify(result) }, UPLOAD_MS_MAX)
        this.#finish({ type: 'finished', result })
      } catch (error) {
        if (this.#isOver()) return
        if (error instanceof BadOutputError) this.fail('bad_output', error.message, true)
        else this.fail('upload_failed', error instanceof Error ? error.message : String(error), true)
      }
    })
  }

  /** Puts one file, through outages and expired URLs, for at most `withinMs`; answers its bytes. */
  async #upload(name: UploadName, source: string | { json: string }, withinMs: number): Promise<number> {
    const backoff = new Backoff(300, 8_000)
    const signal = AbortSignal.any([this.#ended.signal, AbortSignal.timeout(withinMs)])
    let freshUrls = 0
    for (;;) {
      const url = this.#assignment?.uploads[name]
      if (url === undefined) throw new Error(`no URL for ${name}`)
      try {
        if (typeof source === 'string') return await putFile(url, source, UPLOAD_CONTENT_TYPES[name], signal)
        await putBody(url, source.json, UPLOAD_CONTENT_TYPES[name], signal)
        return Buffer.byteLength(source.json)
      } catch (error) {
        if (signal.aborted || !(error instanceof TransferError)) throw error
        if (error.expired && freshUrls < FRESH_URLS_MAX) {
          freshUrls += 1
          await this.#freshenUrls(withinMs)
        } else if (!error.again) {
          throw error
        }
        this.#log.warn({ err: error, file: name }, 'an upload is tried again')
        await backoff.wait(signal)
      }
    }
  }

  async #freshenUrls(withinMs: number): Promise<void> {
    const answer = await this.#reportTaken(withinMs)
    if (answer === null) return
    if ('assignment' in answer && answer.assignment !== undefined) this.#assignment = answer.assignment
    this.heed(answer.verdict)
  }

  #signed<R extends Report>(report: Bare<R> & { type: R['type'] }): R {
    return { ...report, claim: this.claim, worker: this.#around.worker } as unknown as R
  }

  /** Ends the attempt with a report, which lies in the spool before anything else happens. */
  #finish(report: Bare<Final>): void {
    if (this.#currentState === 'over') return
    this.#around.spool.add({ video: this.video, fence: this.fence, report: this.#signed<Final>(report) })
    this.#end()
  }

  /** Ends the attempt without a report. */
  #drop(reason: string): void {
    if (this.#currentState === 'over') return
    this.#log.info({ reason }, 'attempt dropped')
    this.#end()
  }

  #end(): void {
    this.#currentState = 'over'
    this.#ended.abort()
    void this.#line?.close()
    this.slot.over(this)
    if (!this.#runnerHasIt) this.#removeFolder()
    for (const listener of this.#overListeners.splice(0)) listener()
  }

  #removeFolder(): void {
    rm(this.folder, { recursive: true, force: true }).catch((error) =>
      this.#log.warn({ err: error }, 'the work folder stays'),
    )
  }
}
