import { setTimeout as pause } from 'node:timers/promises'
import type { Generation } from '@sluice/shared/generation'
import { findBuiltIn, MODES, type Model } from '@sluice/shared/model-catalogue'
import { type RunnerRequest, runnerRequestSchema } from '@sluice/shared/runner-protocol'
import { generatedTokens } from '@sluice/shared/token-count'
import { z } from 'zod'
import { readCheckpoint, writeCheckpoint } from './checkpoint.ts'
import { FilmQueue } from './film-queue.ts'
import { advanceLatent, initialLatent } from './latent.ts'
import { type Reference, readReferences } from './reference.ts'
import type { SendReply } from './reply-channel.ts'
import { RunnerFailure } from './runner-failure.ts'
import type { Settings } from './settings.ts'

type GenerateRequest = Extract<RunnerRequest, { type: 'generate' }>

/** The video whose steps run now: the device is its own until it is released. */
interface Denoising {
  id: string
  /** Aborted when a wish arrives: it ends the pause of the step in progress. */
  interruption: AbortController
  wish?: 'cancel' | 'yield'
}

/** It makes what Open-Sora makes. */
const LIMITS = requireBuiltIn('open-sora-2')
/** Milliseconds between progress messages while a finished latent waits for room in the film queue. */
const HOLD_MS = 800

/**
 * The protocol of `@sluice/shared/runner-protocol`: one video denoises at a time, several finished ones may be drawn and encoded beside it.
 * Every request is answered; nothing a request holds makes the runner unusable.
 */
export class Runner {
  readonly #settings: Settings
  readonly #send: SendReply
  readonly #log: (line: string) => void
  readonly #films = new FilmQueue()
  /** Ids between `released` and `finished`. */
  readonly #filming = new Set<string>()
  /** The models it serves, and which of them was made last; undefined before `load`. */
  #serving: { ids: readonly string[]; present: string } | undefined
  #denoising: Denoising | undefined

  constructor(settings: Settings, send: SendReply, log: (line: string) => void) {
    this.#settings = settings
    this.#send = send
    this.#log = log
  }

  /** Takes one line of JSON; `shutdown` is told to the caller by `true`. */
  receive(line: string): boolean {
    const value = parseJson(line)
    const parsed = runnerRequestSchema.safeParse(value)
    if (parsed.success) return this.#take(parsed.data)
    const why = value === undefined ? 'not JSON' : z.prettifyError(parsed.error).replaceAll('\n', ' ')
    this.#log(`a request was not understood: ${why}`)
    const id = idOf(value)
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
        void this.#generate(request)
        return false
      case 'cancel':
      case 'yield':
        if (this.#denoising?.id === request.id) {
          // The first wish stands, except that a cancel overrules a yield.
          if (this.#denoising.wish !== 'cancel') this.#denoising.wish = request.type
          this.#denoising.interruption.abort()
        }
        return false
      case 'shutdown':
        return true
    }
  }

  /** It draws every model alike, so it has no weights to look for. */
  #load(request: Extract<RunnerRequest, { type: 'load' }>): void {
    const ids = request.models?.map(({ id }) => id) ?? this.#settings.models
    const unknown = [request.model, ...ids].find(
      (id) => !this.#settings.models.includes(id) || !ids.includes(id),
    )
    if (unknown !== undefined) {
      this.#send({
        type: 'failed',
        code: 'model_missing',
        message: `no model ${JSON.stringify(unknown)}; this runner makes ${this.#settings.models.join(', ')} (SLUICE_ANIMATIC_MODELS)`,
        retryable: false,
      })
      return
    }
    this.#serving = { ids, present: request.model }
    this.#films.warm()
    this.#send({
      type: 'ready',
      device: 'cpu',
      devices: 1,
      vram_bytes: 0,
      models: [...ids],
      modes: [...MODES],
      limits: { frames_max: LIMITS.framesMax, pixels_max: pixelsMax(LIMITS) },
    })
  }

  async #generate(request: GenerateRequest): Promise<void> {
    const { id } = request
    if (this.#isInWork(id)) {
      this.#log(`generate was repeated for ${id}, which is in work: ignored`)
      return
    }
    if (this.#denoising !== undefined) {
      this.#fail(
        id,
        new RunnerFailure(
          'bad_input',
          `${this.#denoising.id} is being generated; send the next video after its released`,
        ),
      )
      return
    }
    const denoising: Denoising = { id, interruption: new AbortController() }
    this.#denoising = denoising
    try {
      this.#judge(request.request)
      const finished = await this.#denoise(request, denoising)
      if (finished === undefined) return
      this.#denoising = undefined
      this.#filming.add(id)
      this.#send({ type: 'released', id })
      await this.#finish(request, finished)
    } catch (error) {
      this.#release(denoising)
      this.#filming.delete(id)
      this.#fail(id, error)
    }
  }

  /** Runs the steps. Undefined = cancelled or yielded, already answered. */
  async #denoise(request: GenerateRequest, denoising: Denoising): Promise<FinishedLatent | undefined> {
    const { id, request: generation, workdir, resume } = request
    const steps = generation.num_steps
    this.#send({ type: 'started', id })
    const loadSeconds = await this.#switchTo(generation.model, denoising)
    this.#send({ type: 'progress', id, phase: 'encode', step: 0, steps: 1 })
    const encodeStart = performance.now()
    const references = await readReferences(generation, request.references)
    const from =
      resume === undefined
        ? { step: 0, latent: initialLatent(generation) }
        : await readCheckpoint(resume.path, generation, references)
    if (resume !== undefined && resume.step !== from.step)
      this.#log(`${id} resumes from step ${from.step}; ${resume.step} was announced`)
    this.#send({ type: 'progress', id, phase: 'encode', step: 1, steps: 1 })
    const denoiseStart = performance.now()
    let { step, latent } = from
    let checkpointAt = denoiseStart
    const { signal } = denoising.interruption
    while (step < steps) {
      await pause(this.#settings.stepMs, undefined, { signal }).catch(() => undefined)
      if (denoising.wish !== undefined) break
      latent = advanceLatent(latent, generation)
      step++
      this.#send({ type: 'progress', id, phase: 'denoise', step, steps })
      if (step < steps && performance.now() - checkpointAt >= this.#settings.checkpointMs) {
        const path = await writeCheckpoint(workdir, generation, references, { step, latent })
        this.#send({ type: 'checkpoint', id, step, path })
        checkpointAt = performance.now()
      }
    }
    if (denoising.wish === undefined) await this.#waitForRoom(id, steps, signal)
    if (denoising.wish === 'yield') {
      const path =
        step === 0 ? undefined : await writeCheckpoint(workdir, generation, references, { step, latent })
      // A cancel may have come while the checkpoint was written.
      if (wishOf(denoising) === 'yield') {
        this.#release(denoising)
        this.#send({ type: 'yielded', id, step, path })
        return undefined
      }
    }
    if (denoising.wish === 'cancel') {
      this.#release(denoising)
      this.#send({ type: 'cancelled', id, step })
      return undefined
    }
    const end = performance.now()
    return {
      latent,
      references,
      ownSteps: step - from.step,
      timings: {
        ...(loadSeconds > 0 ? { load: loadSeconds } : {}),
        encode: (denoiseStart - encodeStart) / 1000,
        denoise: (end - denoiseStart) / 1000,
      },
    }
  }

  /** Seconds it took to make `model` the present one; 0 when it was. A wish is heeded before the first step. */
  async #switchTo(model: string, { id, interruption }: Denoising): Promise<number> {
    if (this.#serving === undefined || this.#serving.present === model) return 0
    const start = performance.now()
    const say = () => this.#send({ type: 'progress', id, phase: 'load', step: 0, steps: 1 })
    say()
    const alive = setInterval(say, HOLD_MS)
    await pause(this.#settings.switchMs, undefined, { signal: interruption.signal }).catch(() => undefined)
    clearInterval(alive)
    this.#serving.present = model
    return (performance.now() - start) / 1000
  }

  async #waitForRoom(id: string, steps: number, signal: AbortSignal): Promise<void> {
    const alive = setInterval(
      () => this.#send({ type: 'progress', id, phase: 'denoise', step: steps, steps }),
      HOLD_MS,
    )
    try {
      await this.#films.room(signal)
    } finally {
      clearInterval(alive)
    }
  }

  async #finish(
    request: GenerateRequest,
    { latent, references, ownSteps, timings }: FinishedLatent,
  ): Promise<void> {
    const { id, request: generation, workdir } = request
    const film = await this.#films.make(
      { generation, latent, references, folder: workdir },
      ({ phase, step, steps }) => this.#send({ type: 'progress', id, phase, step, steps }),
    )
    this.#filming.delete(id)
    this.#send({
      type: 'finished',
      id,
      files: film.files,
      timings: { ...timings, ...film.timings },
      tokens: Number(generatedTokens(shapeOf(generation), ownSteps)),
      peak_vram_bytes: 0,
      seed: generation.seed,
    })
  }

  /** Refuses what this runner cannot make before anything is started. */
  #judge(generation: Generation): void {
    const model = LIMITS
    if (this.#serving === undefined)
      throw new RunnerFailure('model_missing', 'no model is loaded; send load first')
    if (!this.#serving.ids.includes(generation.model)) {
      throw new RunnerFailure(
        'model_missing',
        `model ${JSON.stringify(generation.model)}; this runner makes ${this.#serving.ids.join(', ')}`,
      )
    }
    const { width, height, num_frames, num_steps, fps } = generation
    const refuse = (field: string, given: unknown, allowed: string): never => {
      throw new RunnerFailure('bad_input', `${field} is ${given}; allowed is ${allowed}`)
    }
    if (
      width % 2 !== 0 ||
      height % 2 !== 0 ||
      Math.min(width, height) < 32 ||
      width * height > pixelsMax(model)
    ) {
      refuse(
        'width x height',
        `${width}x${height}`,
        `even sides of at least 32 and at most ${pixelsMax(model)} pixels`,
      )
    }
    if (num_frames > model.framesMax || (num_frames - 1) % 4 !== 0)
      refuse('num_frames', num_frames, `4k+1 up to ${model.framesMax}`)
    if (num_steps > model.stepsMax) refuse('num_steps', num_steps, `${model.stepsMin} to ${model.stepsMax}`)
    if (fps > 120) refuse('fps', fps, '1 to 120')
  }

  #isInWork(id: string): boolean {
    return this.#denoising?.id === id || this.#filming.has(id)
  }

  #release(denoising: Denoising): void {
    if (this.#denoising === denoising) this.#denoising = undefined
  }

  #fail(id: string, error: unknown): void {
    if (error instanceof RunnerFailure) {
      this.#send({ type: 'failed', id, code: error.code, message: error.message, retryable: error.retryable })
      return
    }
    const message = error instanceof Error ? error.message : String(error)
    this.#log(`${id} failed: ${message}`)
    this.#send({ type: 'failed', id, code: 'internal', message, retryable: true })
  }
}

interface FinishedLatent {
  latent: Float64Array
  references: readonly Reference[]
  /** Steps this attempt ran itself. */
  ownSteps: number
  /** Seconds. */
  timings: { load?: number; encode: number; denoise: number }
}

/** Read anew after an await, when the compiler still believes an earlier check. */
function wishOf(denoising: Denoising): Denoising['wish'] {
  return denoising.wish
}

function shapeOf({ width, height, num_frames }: Generation): {
  width: number
  height: number
  frames: number
} {
  return { width, height, frames: num_frames }
}

function requireBuiltIn(id: string): Model {
  const model = findBuiltIn(id)
  if (model === undefined) throw new Error(`the model catalogue lacks ${id}`)
  return model
}

function pixelsMax(model: Model): number {
  return Math.max(...model.sizes.map(({ width, height }) => width * height))
}

function idOf(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('id' in value)) return undefined
  return typeof value.id === 'string' ? value.id : undefined
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line)
  } catch {
    return undefined
  }
}
