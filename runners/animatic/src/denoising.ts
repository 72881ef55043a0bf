import { Interruption, type Wish } from '@sluice/runner/interruption'
import type { SendReply } from '@sluice/runner/reply-channel'
import { pause } from '@sluice/shared/pause'
import type { RunnerRequest } from '@sluice/shared/runner-protocol'
import { type Checkpoint, readCheckpoint, writeCheckpoint } from './checkpoint.ts'
import type { FilmQueue } from './film/film-queue.ts'
import { type InputImage, readInputImages } from './input-image.ts'
import { advanceLatent, initialLatent } from './latent.ts'
import type { ServedModels } from './served-models.ts'
import type { AnimaticSettings } from './settings.ts'

export type GenerateRequest = Extract<RunnerRequest, { type: 'generate' }>

/** A switch of models and a wait for room report progress this often. */
const NEWS_MS = 800

export interface DenoisingParts {
  settings: AnimaticSettings
  models: ServedModels
  films: FilmQueue
  send: SendReply
  log: (line: string) => void
}

/** The latent after its last step, and what `finished` says of the steps. */
export interface FinishedLatent {
  type: 'denoised'
  latent: Float64Array
  images: readonly InputImage[]
  /** Steps this attempt ran itself. */
  ownSteps: number
  /** Seconds. */
  timings: { load?: number; encode: number; denoise: number }
}

/** `step`: whole steps that are done; `path`: the checkpoint, when there is anything to go on from. */
export type DenoisingEnd =
  | FinishedLatent
  | { type: 'cancelled'; step: number }
  | { type: 'yielded'; step: number; path: string | undefined }

/** The video whose steps run now: the device is its own until `run` resolves. */
export class Denoising {
  readonly id: string
  readonly #request: GenerateRequest
  readonly #parts: DenoisingParts
  readonly #interruption = new Interruption()

  constructor(request: GenerateRequest, parts: DenoisingParts) {
    this.id = request.id
    this.#request = request
    this.#parts = parts
  }

  /** The worker wants it stopped. */
  stop(wish: Wish): void {
    this.#interruption.stop(wish)
  }

  /**
   * Runs the steps, and waits until the film queue has room.
   * @throws RunnerFailure when an input image or the checkpoint cannot be used; Error when a checkpoint
   * cannot be written.
   */
  async run(): Promise<DenoisingEnd> {
    const { num_steps: steps, model } = this.#request.request
    this.#parts.send({ type: 'started', id: this.id })
    const loadSeconds = await this.#switchTo(model)
    const encodeStart = performance.now()
    this.#say('encode', 0, 1)
    const images = await readInputImages(this.#request.request, this.#request.references)
    const from = await this.#begin(images)
    this.#say('encode', 1, 1)
    const denoiseStart = performance.now()
    const reached = await this.#runSteps(from, images)
    if (!this.#isStopped()) await this.#waitForRoom(steps)
    const stopped = await this.#handBack(reached, images)
    if (stopped !== undefined) return stopped
    return {
      type: 'denoised',
      latent: reached.latent,
      images,
      ownSteps: reached.step - from.step,
      timings: {
        ...(loadSeconds > 0 ? { load: loadSeconds } : {}),
        encode: (denoiseStart - encodeStart) / 1000,
        denoise: (performance.now() - denoiseStart) / 1000,
      },
    }
  }

  /** Returns the seconds it took to switch to `model`; 0 when it was there. A wish ends the pause. */
  async #switchTo(model: string): Promise<number> {
    const { models, settings } = this.#parts
    if (models.isPresent(model)) return 0
    const start = performance.now()
    const say = (): void => this.#say('load', 0, 1)
    say()
    const news = setInterval(say, NEWS_MS)
    await pause(settings.switchMs, this.#interruption.signal)
    clearInterval(news)
    models.turnTo(model)
    return (performance.now() - start) / 1000
  }

  async #begin(images: readonly InputImage[]): Promise<Checkpoint> {
    const { id, request: generation, resume } = this.#request
    if (resume === undefined) return { step: 0, latent: initialLatent(generation) }
    const from = await readCheckpoint(resume.path, generation, images)
    if (resume.step !== from.step)
      this.#parts.log(`${id} resumes from step ${from.step}; ${resume.step} was announced`)
    return from
  }

  /** Returns the state after the last step, or after the step in which it was stopped. */
  async #runSteps(from: Checkpoint, images: readonly InputImage[]): Promise<Checkpoint> {
    const { settings, send } = this.#parts
    const generation = this.#request.request
    const steps = generation.num_steps
    let { step, latent } = from
    let checkpointAt = performance.now()
    while (step < steps) {
      await pause(settings.stepMs, this.#interruption.signal)
      if (this.#isStopped()) break
      latent = advanceLatent(latent, generation)
      step++
      this.#say('denoise', step, steps)
      if (step < steps && performance.now() - checkpointAt >= settings.checkpointMs) {
        const path = await this.#writeCheckpoint({ step, latent }, images)
        send({ type: 'checkpoint', id: this.id, step, path })
        checkpointAt = performance.now()
      }
    }
    return { step, latent }
  }

  /** Returns how it was stopped; undefined = it was not. */
  async #handBack(
    reached: Checkpoint,
    images: readonly InputImage[],
  ): Promise<Exclude<DenoisingEnd, FinishedLatent> | undefined> {
    const { step } = reached
    if (this.#isStopped('yield')) {
      const path = step === 0 ? undefined : await this.#writeCheckpoint(reached, images)
      // A cancel may have come while the checkpoint was written.
      if (this.#isStopped('yield')) return { type: 'yielded', step, path }
    }
    return this.#isStopped() ? { type: 'cancelled', step } : undefined
  }

  async #waitForRoom(steps: number): Promise<void> {
    const news = setInterval(() => this.#say('denoise', steps, steps), NEWS_MS)
    try {
      await this.#parts.films.room(this.#interruption.signal)
    } finally {
      clearInterval(news)
    }
  }

  #writeCheckpoint(checkpoint: Checkpoint, images: readonly InputImage[]): Promise<string> {
    return writeCheckpoint(this.#request.workdir, this.#request.request, images, checkpoint)
  }

  #say(phase: 'load' | 'encode' | 'denoise', step: number, steps: number): void {
    this.#parts.send({ type: 'progress', id: this.id, phase, step, steps })
  }

  #isStopped(wish?: 'cancel' | 'yield'): boolean {
    return wish === undefined ? this.#interruption.wish !== undefined : this.#interruption.wish === wish
  }
}
