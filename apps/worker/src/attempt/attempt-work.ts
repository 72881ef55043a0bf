import { type Assignment, jobId, type OwnedAttempt } from '@sluice/shared/attempt-contract'
import type { Generation } from '@sluice/shared/generation'
import type { RunnerReply, RunnerRequest } from '@sluice/shared/runner-protocol'
import type { Logger } from 'pino'
import type { ProgressBody } from '../reports/report-queue.ts'
import type { StepPace } from '../runner/step-pace.ts'
import { AttemptFiles } from './attempt-files.ts'
import type { AttemptFolder } from './attempt-folder.ts'
import { CheckpointUploads } from './checkpoint-uploads.ts'
import { type FinishedReply, storeVideo } from './finished-video.ts'
import { referencesOf } from './input-image.ts'

export interface AttemptWorkDeps {
  attempt: OwnedAttempt
  folder: AttemptFolder
  /** The models whose clips have a sound. */
  soundModels: ReadonlySet<string>
  /** Aborted when the attempt is over. */
  ended: AbortSignal
  /** Asks for the assignment again, whose signed URLs are then fresh; null when none comes in time. */
  freshAssignment(withinMs: number): Promise<Assignment | null>
  onCheckpoint(step: number, bytes: number): void
  log: Logger
}

type Reply<Type extends RunnerReply['type']> = Extract<RunnerReply, { type: Type }>

/** A checkpoint in hand at a yield is worth this much waiting. */
const CHECKPOINT_UPLOAD_MS_MAX = 30_000

/** What an attempt makes: its request, its files, and how far it is. */
export class AttemptWork {
  readonly #deps: AttemptWorkDeps
  readonly #request: Generation
  readonly #files: AttemptFiles
  readonly #checkpoints: CheckpointUploads
  #imagePath: string | undefined
  /** Of the slot it runs on. */
  #pace: StepPace | undefined
  #phase: ProgressBody['phase'] = 'encode'
  /** Newest step that the runner named. */
  #runnerStep = 0
  /** What the runner itself estimates, and when it said so. */
  #saidRemaining: { ms: number; at: number } | undefined

  /** Creates the folder; throws what that throws. */
  constructor(assignment: Assignment, deps: AttemptWorkDeps) {
    const { folder, ended, log, freshAssignment } = deps
    this.#deps = deps
    this.#request = assignment.request
    folder.create()
    this.#files = new AttemptFiles(assignment, { folder: folder.path, ended, freshAssignment, log })
    this.#checkpoints = new CheckpointUploads({
      folder: folder.path,
      ended,
      upload: (path) => this.#files.upload('checkpoint', path, CHECKPOINT_UPLOAD_MS_MAX),
      onUploaded: deps.onCheckpoint,
      log,
    })
  }

  /** Steps that came from the checkpoint of an earlier attempt. */
  get startStep(): number {
    return this.#files.resume?.step ?? 0
  }

  /** Steps that the video has in all so far. */
  get step(): number {
    return Math.max(this.#runnerStep, this.startStep)
  }

  /** Steps that this attempt ran itself so far. */
  get ownSteps(): number {
    return this.step - this.startStep
  }

  /** Steps of the newest checkpoint in the store, from which a later attempt could go on. */
  get storedStep(): number {
    return Math.max(this.#checkpoints.uploadedStep, this.startStep)
  }

  get isResumed(): boolean {
    return this.#files.resume !== undefined
  }

  /** Estimated milliseconds until the device is free; null while there is no estimate. */
  get remainingMs(): number | null {
    if (this.#saidRemaining !== undefined)
      return Math.max(this.#saidRemaining.ms - (performance.now() - this.#saidRemaining.at), 0)
    return this.#pace?.remainingMs(Math.max(this.#request.num_steps - this.step, 0)) ?? null
  }

  /** Gets the input image and the checkpoint. Throws InputUnavailableError. */
  async fetchInputs(): Promise<void> {
    const [imagePath] = await Promise.all([this.#files.fetchInputImage(), this.#files.fetchCheckpoint()])
    this.#imagePath = imagePath
  }

  /** What to send the runner; from now on it may write to the folder. */
  start(pace: StepPace): RunnerRequest & { type: 'generate' } {
    const { attempt, folder } = this.#deps
    const { resume } = this.#files
    this.#pace = pace
    folder.lendToRunner()
    return {
      type: 'generate',
      id: jobId(attempt.video, attempt.fence),
      request: this.#request,
      workdir: folder.runnerPath,
      ...(resume === undefined ? {} : { resume }),
      ...(this.#imagePath === undefined ? {} : { references: referencesOf(this.#request, this.#imagePath) }),
    }
  }

  onProgress({ phase, step, remaining_ms: ms }: Reply<'progress'>): void {
    this.#phase = phase
    this.#saidRemaining = ms === undefined ? undefined : { ms, at: performance.now() }
    // Other phases count something else than denoising steps, which are what is charged.
    if (phase === 'denoise') this.#runnerStep = Math.max(this.#runnerStep, step)
  }

  keepCheckpoint({ step, path }: Reply<'checkpoint'>): void {
    this.#checkpoints.add(step, path)
  }

  /** Stores the checkpoint of a runner that stopped for a yield, if that works in time. Never rejects. */
  async storeLastCheckpoint({ step, path }: Reply<'yielded'>): Promise<void> {
    this.#runnerStep = step
    if (path !== undefined && step > this.storedStep) this.#checkpoints.add(step, path)
    await this.#checkpoints.finished()
  }

  /** The runner is through: what remains is the upload. */
  onFinished({ timings }: FinishedReply): void {
    this.#phase = 'upload'
    const seconds = timings.load ?? 0
    if (seconds > 0)
      this.#deps.log.info(
        { model: this.#request.model, seconds },
        'the runner switched models for this video',
      )
  }

  /** Checks and stores a finished video; as `storeVideo`. */
  store(reply: FinishedReply): ReturnType<typeof storeVideo> {
    const { attempt, soundModels } = this.#deps
    const request = this.#request
    const hasSound = soundModels.has(request.model)
    return storeVideo(this.#files, { attempt, request, startStep: this.startStep, reply, hasSound })
  }

  /** `remainingMs`: until the device is free, null = unknown. */
  progress(remainingMs: number | null): ProgressBody {
    return {
      type: 'progress',
      phase: this.#phase,
      step: this.step,
      remaining_ms: remainingMs === null ? null : Math.round(remainingMs),
    }
  }
}
