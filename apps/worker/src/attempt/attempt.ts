import { EventEmitter } from 'node:events'
import { join } from 'node:path'
import {
  type Assignment,
  type AttemptJob,
  jobId,
  type OwnedAttempt,
  type Report,
  type ReportBody,
  type Verdict,
} from '@sluice/shared/attempt-contract'
import { newClaim } from '@sluice/shared/ids'
import type { RunnerReply, RunnerRequest } from '@sluice/shared/runner-protocol'
import type { Semaphore } from '@sluice/shared/semaphore'
import type { Logger } from 'pino'
import { reasonOf } from '../error-message.ts'
import { AttemptReports } from '../reports/attempt-reports.ts'
import type { ReportCarrier } from '../reports/report-carrier.ts'
import type { ProgressBody } from '../reports/report-queue.ts'
import type { Spool } from '../reports/spool.ts'
import type { StepPace } from '../runner/step-pace.ts'
import { StateMachine } from '../state-machine.ts'
import { InputUnavailableError } from './attempt-files.ts'
import { AttemptFolder } from './attempt-folder.ts'
import { ATTEMPT_FOLLOWERS, type AttemptState } from './attempt-state.ts'
import { AttemptWork } from './attempt-work.ts'
import { type Failure, failureOfReply } from './failure.ts'
import type { FinishedReply } from './finished-video.ts'
import { blameHost } from './host-failure.ts'

export type StopRequest = 'cancel' | 'yield'

/** What an attempt needs of the worker. */
export interface AttemptDeps {
  worker: string
  workDir: string
  carrier: ReportCarrier
  spool: Spool
  /** Bounds how many finished videos are checked and uploaded at a time. */
  uploading: Semaphore
  /** The models whose clips have a sound. */
  soundModels: ReadonlySet<string>
  log: Logger
}

/** That a video was made, or why not. */
export type AttemptOutcome = { type: 'finished' } | ({ type: 'failed' } & Failure)

/** What an attempt says of itself; it knows of no slot. */
interface AttemptEvents {
  /** It is `waiting`, and nothing stops it from being started. */
  ready: []
  /** The runner is to stop it, if it is on the device. */
  stop: [request: StopRequest]
  /** Undefined: it ended for a reason that says nothing about this host. */
  over: [outcome: AttemptOutcome | undefined]
}

type FinalBody = ReportBody<Extract<Report, { type: 'finished' | 'failed' | 'cancelled' | 'yielded' }>>

/** `taken` is repeated for this long; then the job is dropped, and the API's reconciler recovers it. */
const TAKE_MS_MAX = 40_000
const MESSAGE_CHARS_MAX = 2_000

/** One start of one video on this worker, from its job to its last report: its state and its events. */
export class Attempt extends EventEmitter<AttemptEvents> {
  readonly video: string
  readonly fence: number
  readonly claim = newClaim()
  readonly #deps: AttemptDeps
  readonly #log: Logger
  readonly #folder: AttemptFolder
  readonly #reports: AttemptReports
  readonly #ended = new AbortController()
  readonly #state: StateMachine<AttemptState>
  /** From `fetching` on. */
  #work: AttemptWork | undefined
  /** What was asked, which happens when the state allows it. A cancel replaces a yield. */
  #asked: StopRequest | undefined

  constructor(job: AttemptJob, slotIndex: number, deps: AttemptDeps) {
    super()
    this.video = job.video
    this.fence = job.fence
    this.#deps = deps
    this.#log = deps.log.child({ video: job.video, fence: job.fence, slot: slotIndex })
    this.#state = new StateMachine(`attempt ${this.runnerId}`, ATTEMPT_FOLLOWERS, 'taking')
    this.#folder = new AttemptFolder(join(deps.workDir, `${this.runnerId}-${this.claim}`), this.#log)
    this.#reports = new AttemptReports({
      attempt: this.#identity,
      worker: deps.worker,
      slotIndex,
      carrier: deps.carrier,
      ended: this.#ended.signal,
      onVerdict: (verdict) => this.onVerdict(verdict),
      newestProgress: () => this.#progress(),
      log: this.#log,
    })
  }

  /** What the runner calls it. */
  get runnerId(): string {
    return jobId(this.video, this.fence)
  }

  get state(): AttemptState {
    return this.#state.current
  }

  /** Null until the API bound the claim, and once the attempt is over. */
  get owned(): OwnedAttempt | null {
    return this.#state.is('taking', 'over') ? null : this.#identity
  }

  /** Estimated milliseconds until the device is free; null unless the attempt is on the device. */
  get remainingMs(): number | null {
    return this.#isOnDevice ? (this.#work?.remainingMs ?? null) : null
  }

  whenOver(): Promise<void> {
    return this.#isOver ? Promise.resolve() : new Promise((resolve) => this.once('over', () => resolve()))
  }

  /**
   * Reports `taken`, calls `acknowledge` as soon as that is answered, gets the image and the checkpoint, and
   * becomes ready. Never rejects: an attempt that breaks on the way is over.
   */
  async take(acknowledge: () => Promise<void>): Promise<void> {
    try {
      await this.#take(acknowledge)
    } catch (error) {
      if (error instanceof InputUnavailableError)
        this.fail({ code: 'input_unavailable', message: error.message, retryable: true })
      else this.#broke(error)
    }
  }

  /** The slot's device is free and this attempt is next: what to send the runner. `pace` is the slot's. */
  start(pace: StepPace): RunnerRequest & { type: 'generate' } {
    this.#state.enter('starting')
    this.#reports.open()
    return this.#assigned.start(pace)
  }

  /** Takes the runner's replies about this attempt. Never throws. */
  onReply(reply: RunnerReply): void {
    if (this.#isOver) return
    try {
      this.#onReply(reply)
    } catch (error) {
      this.#broke(error)
    }
  }

  /** The runner will write nothing more for this attempt. */
  runnerIsDone(): void {
    this.#folder.leave('runner')
  }

  fail(failure: Failure): void {
    if (this.#isOver) return
    const { code, message, retryable } = blameHost(failure, this.#deps.workDir)
    this.#log.warn({ code, retryable, reason: message }, 'attempt failed')
    const step = this.#work?.ownSteps ?? 0
    this.#finish({ type: 'failed', code, message: message.slice(0, MESSAGE_CHARS_MAX), retryable, step })
  }

  /** What the API says of this attempt, in an answer to a report or a heartbeat. */
  onVerdict(verdict: Verdict): void {
    if (this.#isOver) return
    switch (verdict) {
      case 'continue':
        return
      case 'stop':
        this.emit('stop', 'cancel')
        this.#drop('the API said stop')
        return
      case 'cancel':
      case 'yield':
        this.#ask(verdict)
        return
      default:
        verdict satisfies never
    }
  }

  /**
   * On the device it stops at the next step, uploads the checkpoint and hands back. Before its start it hands
   * back as soon as it has its files; after the device is free it goes on.
   */
  yield(): void {
    this.#ask('yield')
  }

  /** Hands back at once, with the last uploaded checkpoint: the grace of a shutdown is over. */
  abandon(): void {
    if (this.#work === undefined) this.#drop('shut down before it was taken')
    else this.#finish({ type: 'yielded', step: this.#work.storedStep })
  }

  get #isOver(): boolean {
    return this.#state.is('over')
  }

  get #isOnDevice(): boolean {
    return this.#state.is('starting', 'running')
  }

  get #identity(): OwnedAttempt {
    return { video: this.video, fence: this.fence, claim: this.claim }
  }

  get #assigned(): AttemptWork {
    if (this.#work === undefined) throw new Error(`attempt ${this.runnerId} has no assignment`)
    return this.#work
  }

  async #take(acknowledge: () => Promise<void>): Promise<void> {
    const answer = await this.#reports.taken(TAKE_MS_MAX)
    if (answer === null) return this.#drop('taken was not answered in time')
    acknowledge().catch((error: unknown) =>
      this.#log.warn({ err: error }, 'the job was not acknowledged to the queue'),
    )
    if (this.#isOver) return
    if (answer.verdict === 'stop') return this.#drop('the API said stop')
    if (answer.assignment === undefined) return this.#drop('taken was answered without an assignment')
    this.#state.enter('fetching')
    this.#work = this.#workOn(answer.assignment)
    await this.#work.fetchInputs()
    if (this.#isOver) return
    this.#state.enter('waiting')
    this.#stopAsAsked()
    this.onVerdict(answer.verdict)
    if (!this.#isOver) this.emit('ready')
  }

  #workOn(assignment: Assignment): AttemptWork {
    return new AttemptWork(assignment, {
      attempt: this.#identity,
      folder: this.#folder,
      soundModels: this.#deps.soundModels,
      ended: this.#ended.signal,
      freshAssignment: (withinMs) => this.#reports.freshAssignment(withinMs),
      onCheckpoint: (step, bytes) => this.#reports.milestone({ type: 'checkpoint', step, bytes }),
      log: this.#log,
    })
  }

  #onReply(reply: RunnerReply): void {
    switch (reply.type) {
      case 'started':
        if (this.#state.is('starting')) this.#state.enter('running')
        this.#reports.milestone({ type: 'started' })
        return
      case 'progress':
        this.#assigned.onProgress(reply)
        this.#reports.progressed()
        return
      case 'checkpoint':
        this.#assigned.keepCheckpoint(reply)
        return
      case 'released':
        this.#state.enter('uploading')
        this.#reports.milestone({ type: 'released' })
        this.#stopAsAsked()
        return
      case 'finished':
        if (this.#isOnDevice) this.#state.enter('uploading')
        this.#assigned.onFinished(reply)
        this.#supervise(this.#storeVideo(reply))
        return
      case 'failed':
        this.fail(failureOfReply(reply, this.#assigned.isResumed))
        return
      case 'cancelled':
        this.#finish({ type: 'cancelled', step: reply.step })
        return
      case 'yielded':
        this.#state.enter('uploading')
        this.#supervise(this.#handBack(reply))
        return
      case 'ready':
        return
      default:
        reply satisfies never
    }
  }

  #progress(): ProgressBody | null {
    if (!this.#state.is('running', 'uploading')) return null
    return this.#assigned.progress(this.#isOnDevice ? this.remainingMs : 0)
  }

  async #storeVideo(reply: FinishedReply): Promise<void> {
    await this.#deps.uploading.run(async () => {
      if (this.#isOver) return
      const outcome = await this.#assigned.store(reply)
      if ('result' in outcome) this.#finish({ type: 'finished', result: outcome.result })
      else this.fail(outcome.failure)
    })
  }

  async #handBack(reply: Extract<RunnerReply, { type: 'yielded' }>): Promise<void> {
    await this.#assigned.storeLastCheckpoint(reply)
    await this.#reports.flushed()
    this.#finish({ type: 'yielded', step: reply.step })
  }

  #ask(request: StopRequest): void {
    if (this.#isOver || this.#asked === 'cancel' || this.#asked === request) return
    this.#asked = request
    this.#stopAsAsked()
  }

  /** In `taking` and `fetching` nothing can be done yet: entering `waiting` does it. */
  #stopAsAsked(): void {
    if (this.#asked === undefined) return
    const step = this.#work?.step ?? 0
    if (this.#isOnDevice) this.emit('stop', this.#asked)
    else if (this.#state.is('waiting') && this.#asked === 'yield') this.#finish({ type: 'yielded', step })
    else if (this.#state.is('waiting', 'uploading') && this.#asked === 'cancel')
      this.#finish({ type: 'cancelled', step })
  }

  /** Ends the attempt as failed when `work` rejects. */
  #supervise(work: Promise<void>): void {
    work.catch((error: unknown) => this.#broke(error))
  }

  /** A defect, or a part of this machine that does not do its work, such as a full disk. */
  #broke(error: unknown): void {
    this.#log.error({ err: error }, 'an attempt broke')
    this.fail({ code: 'internal', message: reasonOf(error), retryable: true })
  }

  /** Ends the attempt with a report, which lies in the spool before anything else happens. */
  #finish(report: FinalBody): void {
    if (this.#isOver) return
    const { video, fence } = this
    this.#deps.spool.add({ video, fence, report: this.#reports.signed(report) })
    this.#end(outcomeOf(report))
  }

  /** Ends the attempt without a report. */
  #drop(reason: string): void {
    if (this.#isOver) return
    this.#log.info({ reason }, 'attempt dropped')
    this.#end()
  }

  #end(outcome?: AttemptOutcome): void {
    this.#state.enter('over')
    this.#ended.abort()
    this.#reports.close()
    this.#folder.leave('attempt')
    this.emit('over', outcome)
  }
}

function outcomeOf(report: FinalBody): AttemptOutcome | undefined {
  if (report.type === 'finished') return { type: 'finished' }
  return report.type === 'failed' ? report : undefined
}
