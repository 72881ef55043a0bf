import { checkGeneration } from '@sluice/runner/check-generation'
import { readRequest } from '@sluice/runner/read-request'
import type { SendReply } from '@sluice/runner/reply-channel'
import { RunnerFailure } from '@sluice/runner/runner-failure'
import { MODES } from '@sluice/shared/models/model'
import type { RunnerRequest } from '@sluice/shared/runner-protocol'
import { generatedTokens } from '@sluice/shared/token-count'
import { Denoising, type DenoisingParts, type FinishedLatent, type GenerateRequest } from './denoising.ts'
import { FilmQueue } from './film/film-queue.ts'
import { ServedModels } from './served-models.ts'
import type { AnimaticSettings } from './settings.ts'

/**
 * The protocol of `@sluice/shared/runner-protocol`: one video denoises at a time, finished ones are drawn and
 * encoded beside it. Every request gets a reply, and nothing a request says makes the runner unusable.
 */
export class Runner {
  readonly #send: SendReply
  readonly #log: (line: string) => void
  readonly #models: ServedModels
  readonly #films = new FilmQueue()
  readonly #parts: DenoisingParts
  /** Ids between `released` and `finished`. */
  readonly #filming = new Set<string>()
  #denoising: Denoising | undefined

  constructor(settings: AnimaticSettings, send: SendReply, log: (line: string) => void) {
    this.#send = send
    this.#log = log
    this.#models = new ServedModels(settings.models)
    this.#parts = { settings, send, log, models: this.#models, films: this.#films }
  }

  /** Takes one line of JSON. Returns true when it asks the runner to end. */
  receive(line: string): boolean {
    const read = readRequest(line)
    if (read.request !== null) return this.#take(read.request)
    const { why, id } = read
    this.#log(`a request was not understood: ${why}`)
    // A broken line about a video in work must not end that video.
    if (id !== undefined && !this.#isInWork(id))
      this.#fail(id, new RunnerFailure('bad_input', `the request was not understood: ${why}`))
    return false
  }

  #take(request: RunnerRequest): boolean {
    switch (request.type) {
      case 'load':
        this.#load(request)
        return false
      case 'generate':
        // oxlint-disable-next-line typescript/no-floating-promises -- every failure becomes a reply
        void this.#generate(request)
        return false
      case 'cancel':
      case 'yield':
        if (this.#denoising?.id === request.id) this.#denoising.stop(request.type)
        return false
      case 'shutdown':
        return true
    }
  }

  #load(request: Extract<RunnerRequest, { type: 'load' }>): void {
    try {
      const models = this.#models.load(request)
      const makes = [...models.values()]
      this.#films.warm()
      this.#send({
        type: 'ready',
        device: 'cpu',
        devices: 1,
        vram_bytes: 0,
        models: [...models.keys()],
        modes: MODES.filter((mode) => makes.some(({ modes }) => modes.includes(mode))),
        limits: {
          frames_max: Math.max(...makes.map(({ frames }) => frames.max)),
          pixels_max: Math.max(...makes.map(({ sides }) => sides.pixels_max)),
        },
        ...(this.#parts.settings.switchMs === 0 ? { switches_at_once: true } : {}),
      })
    } catch (error) {
      this.#fail(undefined, error)
    }
  }

  async #generate(request: GenerateRequest): Promise<void> {
    const { id } = request
    if (this.#isInWork(id)) {
      this.#log(`generate was repeated for ${id}, which is in work: ignored`)
      return
    }
    if (this.#denoising !== undefined) {
      const why = `${this.#denoising.id} is being generated; send the next video after its released`
      this.#fail(id, new RunnerFailure('bad_input', why))
      return
    }
    const denoising = new Denoising(request, this.#parts)
    this.#denoising = denoising
    try {
      checkGeneration(request.request, this.#models.makesOf(request.request.model))
      const end = await denoising.run()
      this.#denoising = undefined
      if (end.type !== 'denoised') {
        this.#send({ id, ...end })
        return
      }
      this.#filming.add(id)
      this.#send({ type: 'released', id })
      await this.#finish(request, end)
    } catch (error) {
      // By now another video may have the device.
      if (this.#denoising === denoising) this.#denoising = undefined
      this.#filming.delete(id)
      this.#fail(id, error)
    }
  }

  async #finish(request: GenerateRequest, finished: FinishedLatent): Promise<void> {
    const { id, request: generation, workdir } = request
    const { latent, images, ownSteps, timings } = finished
    const film = await this.#films.make(
      { generation, latent, images, folder: workdir },
      ({ phase, step, steps }) => this.#send({ type: 'progress', id, phase, step, steps }),
    )
    const { width, height, num_frames: frames } = generation
    const { tokens } = this.#models.makesOf(generation.model)
    this.#filming.delete(id)
    this.#send({
      type: 'finished',
      id,
      files: film.files,
      timings: { ...timings, ...film.timings },
      tokens: Number(generatedTokens(tokens, { width, height, frames }, ownSteps)),
      peak_vram_bytes: 0,
      seed: generation.seed,
      sound: false,
    })
  }

  #isInWork(id: string): boolean {
    return this.#denoising?.id === id || this.#filming.has(id)
  }

  /** `id`: of the video; undefined = a `load` failed. */
  #fail(id: string | undefined, error: unknown): void {
    const about = id === undefined ? {} : { id }
    if (error instanceof RunnerFailure) {
      const { code, message, retryable } = error
      this.#send({ type: 'failed', ...about, code, message, retryable })
      return
    }
    const message = error instanceof Error ? error.message : String(error)
    this.#log(`${id ?? 'load'} failed: ${message}`)
    this.#send({ type: 'failed', ...about, code: 'internal', message, retryable: true })
  }
}
