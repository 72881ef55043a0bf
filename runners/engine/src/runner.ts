import { checkGeneration } from '@sluice/runner/check-generation'
import { readRequest } from '@sluice/runner/read-request'
import type { SendReply } from '@sluice/runner/reply-channel'
import { RunnerFailure } from '@sluice/runner/runner-failure'
import type { EngineSettings } from '@sluice/shared/engine-settings'
import type { RunnerRequest } from '@sluice/shared/runner-protocol'
import { Semaphore } from '@sluice/shared/semaphore'
import { generatedTokens } from '@sluice/shared/token-count'
import { collect } from './collect.ts'
import { Durations } from './durations.ts'
import { Engine } from './engine.ts'
import { EngineAwayError } from './engine-error.ts'
import { EngineHttp, hideKey } from './engine-http.ts'
import { EngineVideo, type EngineVideoEnd, type GenerateRequest } from './engine-video.ts'
import { LeftJobs } from './left-jobs.ts'
import { Progress } from './news.ts'
import { judgeEngine, type ServedModel } from './served-models.ts'
import { StoredJobs } from './stored-jobs.ts'

/** Videos that are fetched from the engine beside the next one; with more the slot waits. */
const COLLECTING_MAX = 4

/** A worker keeps no more of a failure. */
const MESSAGE_CHARS_MAX = 2_000

interface Loaded {
  engine: Engine
  models: ReadonlyMap<string, ServedModel>
  leftJobs: LeftJobs
  storedJobs: StoredJobs
}

/**
 * The protocol of `@sluice/shared/runner-protocol`: one job at a time in the engine, whose videos are fetched
 * beside the next. Every request gets a reply, and nothing a request says makes the runner unusable.
 */
export class Runner {
  readonly #settings: EngineSettings
  readonly #send: SendReply
  readonly #log: (line: string) => void
  readonly #durations = new Durations()
  readonly #collecting = new Semaphore(COLLECTING_MAX)
  /** Ids between `released` and `finished`. */
  readonly #collected = new Set<string>()
  #loaded: Loaded | undefined
  #current: EngineVideo | undefined

  constructor(settings: EngineSettings, send: SendReply, log: (line: string) => void) {
    this.#settings = settings
    this.#send = send
    this.#log = (line) => log(hideKey(settings, line))
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
        // oxlint-disable-next-line typescript/no-floating-promises -- every failure becomes a reply
        void this.#load(request)
        return false
      case 'generate':
        // oxlint-disable-next-line typescript/no-floating-promises -- every failure becomes a reply
        void this.#generate(request)
        return false
      case 'cancel':
      case 'yield':
        if (this.#current?.id === request.id) this.#current.stop(request.type)
        return false
      case 'shutdown':
        return true
    }
  }

  async #load(request: Extract<RunnerRequest, { type: 'load' }>): Promise<void> {
    try {
      const http = new EngineHttp(this.#settings)
      const { dialect, models, modes } = await judgeEngine(http, this.#settings, request)
      const engine = new Engine(http, dialect, this.#settings.awayMs)
      this.#loaded = {
        engine,
        models,
        leftJobs: new LeftJobs(engine),
        storedJobs: new StoredJobs(engine, this.#log),
      }
      const makes = [...models.values()].map((model) => model.makes)
      this.#log(`drives ${dialect.name} with ${[...models.keys()].join(', ')}`)
      this.#send({
        type: 'ready',
        device: dialect.name,
        devices: 1,
        vram_bytes: 0,
        models: [...models.keys()],
        modes,
        limits: {
          frames_max: Math.max(...makes.map(({ frames }) => frames.max)),
          pixels_max: Math.max(...makes.map(({ sides }) => sides.pixels_max)),
        },
        // What a switch costs in the engine is not known here, and is not this slot's to save.
        switches_at_once: true,
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
    if (this.#current !== undefined) {
      const why = `${this.#current.id} is being generated; send the next video after its released`
      this.#fail(id, new RunnerFailure('bad_input', why))
      return
    }
    const progress = new Progress(id, this.#send)
    let video: EngineVideo | undefined
    const leave = () => {
      if (this.#current === video) this.#current = undefined
    }
    try {
      const { engine, model, leftJobs } = this.#served(request)
      checkGeneration(request.request, model.makes)
      video = new EngineVideo(request, {
        engine,
        model,
        leftJobs,
        durations: this.#durations,
        progress,
        onCheckpoint: (step, path) => this.#send({ type: 'checkpoint', id, step, path }),
        log: this.#log,
      })
      this.#current = video
      this.#send({ type: 'started', id })
      const end = await video.run()
      if (end.type !== 'made') {
        progress.stop()
        leave()
        this.#send({ id, ...end })
        return
      }
      await this.#collecting.run(async () => {
        this.#collected.add(id)
        leave()
        this.#send({ type: 'released', id })
        progress.say({ phase: 'mux', step: 0, steps: 1 })
        await this.#finish(request, end, { engine, model })
        progress.stop()
      })
    } catch (error) {
      progress.stop()
      leave()
      this.#collected.delete(id)
      this.#fail(id, error)
    }
  }

  async #finish(
    { id, request: generation, workdir }: GenerateRequest,
    { job, seconds, ownSteps }: Extract<EngineVideoEnd, { type: 'made' }>,
    { engine, model }: { engine: Engine; model: ServedModel },
  ): Promise<void> {
    const { files, timings } = await collect({ engine, job, generation, folder: workdir, log: this.#log })
    const { width, height, num_frames: frames, seed } = generation
    this.#collected.delete(id)
    this.#loaded?.storedJobs.add(job, workdir)
    this.#send({
      type: 'finished',
      id,
      files,
      timings: { ...(seconds === null ? {} : { denoise: seconds }), ...timings },
      tokens: Number(generatedTokens(model.makes.tokens, { width, height, frames }, ownSteps)),
      peak_vram_bytes: 0,
      seed,
    })
  }

  #served({
    request: { model: id },
  }: GenerateRequest): Pick<Loaded, 'engine' | 'leftJobs'> & { model: ServedModel } {
    if (this.#loaded === undefined)
      throw new RunnerFailure('model_missing', 'no model is loaded; send load first')
    const { engine, models, leftJobs } = this.#loaded
    const model = models.get(id)
    if (model === undefined) {
      const made = `this runner makes ${[...models.keys()].join(', ')}`
      throw new RunnerFailure('model_missing', `model ${JSON.stringify(id)}; ${made}`)
    }
    return { engine, model, leftJobs }
  }

  #isInWork(id: string): boolean {
    return this.#current?.id === id || this.#collected.has(id)
  }

  /** What an engine says of a job may hold what it was sent, and as much as it likes. */
  #words(message: string): string {
    return hideKey(this.#settings, message).slice(0, MESSAGE_CHARS_MAX)
  }

  /** `id`: of the video; undefined = a `load` failed. */
  #fail(id: string | undefined, error: unknown): void {
    const about = id === undefined ? {} : { id }
    if (error instanceof RunnerFailure) {
      const { code, retryable } = error
      const message = this.#words(error.message)
      this.#send({ type: 'failed', ...about, code, message, retryable })
      return
    }
    const message = this.#words(error instanceof Error ? error.message : String(error))
    this.#log(`${id ?? 'load'} failed: ${message}`)
    const code = error instanceof EngineAwayError ? 'engine_away' : 'internal'
    this.#send({ type: 'failed', ...about, code, message, retryable: true })
  }
}
