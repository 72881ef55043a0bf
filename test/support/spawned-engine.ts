import { fileURLToPath } from 'node:url'
import { readEngineSettings } from '@sluice/shared/engine-settings'
import type { Generation } from '@sluice/shared/generation'
import type { RunnerRequest } from '@sluice/shared/runner-protocol'
import { onTestFinished } from 'vitest'
import { Runner } from '../../runners/engine/src/runner.ts'
import { RunnerReplies } from './runner-replies.ts'
import { closeWithTest, makeVideo, SpawnedRunner, someGeneration } from './spawned-animatic.ts'
import { type StandInDialect, StandInEngine, type StandInJob } from './stand-in-engine.ts'

export const ENGINE_MAIN = fileURLToPath(new URL('../../runners/engine/src/main.ts', import.meta.url))

type Served = NonNullable<Extract<RunnerRequest, { type: 'load' }>['models']>[number]

/** A model whose clips may have any number of frames. */
export function servedWan(makes: Partial<Served['makes']> = {}): Served {
  return {
    id: 'wan',
    makes: {
      modes: ['t2v', 'i2v'],
      frames: { multiple: 1, remainder: 0, min: 1, max: 121 },
      sides: { multiple: 16, pixels_max: 1280 * 704 },
      steps: { min: 1, max: 100 },
      tokens: { temporal: 4, spatial: 16, patch: [1, 2, 2] },
      fps: 24,
      sound: false,
      ...makes,
    },
  }
}

/** The real engine runner as a child process, with these settings, for as long as the present test. */
export function spawnEngineRunner(environment: Record<string, string>): SpawnedRunner {
  return closeWithTest(new SpawnedRunner(environment, ENGINE_MAIN))
}

/** The real engine runner within the test's own process, which saves its start. */
class EngineRunner extends RunnerReplies {
  readonly #runner: Runner

  constructor(environment: Record<string, string>) {
    super()
    this.#runner = new Runner(
      readEngineSettings(environment),
      (reply) => this.heard(reply),
      (line) => this.logged(`engine: ${line}\n`),
    )
  }

  protected override get hasEnded(): boolean {
    return false
  }

  override send(request: RunnerRequest): void {
    this.#runner.receive(JSON.stringify(request))
  }

  close(): void {
    this.removeFolders()
  }
}

/** A stand-in engine, and the real runner that drives it. */
export interface DrivenEngine {
  engine: StandInEngine
  runner: RunnerReplies
  /** Sends `generate`; resolves with the job that comes of it, and the folder of the video. */
  submit(id: string, generation?: Generation): Promise<{ job: StandInJob; folder: string }>
  stop(): Promise<void>
}

export async function driveEngine(
  dialect: StandInDialect,
  environment: Record<string, string> = {},
): Promise<DrivenEngine> {
  const engine = await new StandInEngine(dialect).start()
  const named: Record<string, string> = dialect === 'openai' ? { SLUICE_ENGINE_DIALECT: 'openai' } : {}
  const runner = new EngineRunner({ SLUICE_ENGINE_URL: engine.url, ...named, ...environment })
  return {
    engine,
    runner,
    async submit(id, generation = wanGeneration()) {
      const count = engine.made + 1
      const folder = runner.generate(id, generation)
      return { folder, job: await engine.job(count) }
    },
    async stop() {
      runner.close()
      await engine[Symbol.asyncDispose]()
    },
  }
}

/** As `driveEngine`, for as long as the present test. */
export async function startEngine(dialect: StandInDialect, environment: Record<string, string> = {}) {
  const driven = await driveEngine(dialect, environment)
  onTestFinished(() => driven.stop())
  return driven
}

/** As `startEngine`, with the model loaded. */
export async function loadedEngine(dialect: StandInDialect, environment: Record<string, string> = {}) {
  const driven = await startEngine(dialect, environment)
  await loadWan(driven)
  return driven
}

export async function loadWan({ runner }: Pick<DrivenEngine, 'runner'>): Promise<void> {
  runner.send({ type: 'load', model: 'wan', models: [servedWan()] })
  await runner.reply('ready')
}

/** The animatic runner can draw them, and they are no multiple of anything but 1, 5 and 25. */
const WAN_FRAMES = 25

/** A generation of the model `wan`. */
export function wanGeneration(overrides: Partial<Generation> = {}): Generation {
  return someGeneration({ model: 'wan', num_frames: WAN_FRAMES, num_steps: 20, ...overrides })
}

let clip: Promise<Buffer> | undefined

/** A real clip of `wanGeneration`'s size and length, in place of what an engine's device would make. */
export function wanClip(): Promise<Buffer> {
  clip ??= makeClip()
  return clip
}

async function makeClip(): Promise<Buffer> {
  const animatic = new SpawnedRunner()
  try {
    await animatic.load()
    return await makeVideo(animatic, 'clip', someGeneration({ num_frames: WAN_FRAMES, num_steps: 1 }))
  } finally {
    await animatic.close()
  }
}
