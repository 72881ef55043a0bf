import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Generation } from '@sluice/shared/generation'
import { readJsonLines } from '@sluice/shared/lines'
import type { RunnerRequest } from '@sluice/shared/runner-protocol'
import { onTestFinished } from 'vitest'
import { RunnerReplies } from './runner-replies.ts'

export const MAIN = fileURLToPath(new URL('../../runners/animatic/src/main.ts', import.meta.url))

/** The real animatic runner, or another of ours, as a child process over real pipes. */
export class SpawnedRunner extends RunnerReplies {
  readonly child: ChildProcess
  readonly exited: Promise<number | null>
  readonly replyStream: Readable

  constructor(environment: Record<string, string> = {}, main = MAIN) {
    super()
    this.child = spawn(process.execPath, [main], {
      stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, SLUICE_ANIMATIC_STEP_MS: '0', ...environment },
    })
    this.exited = once(this.child, 'exit').then(([code]) => code)
    this.child.stdin?.on('error', () => undefined)
    this.child.stderr?.on('data', (chunk: Buffer) => this.logged(String(chunk)))
    const channel = this.child.stdio[3]
    if (!(channel instanceof Readable)) throw new Error('fd 3 is not a readable pipe')
    this.replyStream = channel
    readJsonLines(
      channel,
      (line) => this.heard(JSON.parse(line)),
      () => this.wake(),
    )
    this.exited.then(
      () => this.wake(),
      () => this.wake(),
    )
  }

  protected override get hasEnded(): boolean {
    return this.child.exitCode !== null && this.replyStream.readableEnded
  }

  override send(request: RunnerRequest): void {
    this.sendLine(JSON.stringify(request))
  }

  sendLine(line: string): void {
    this.child.stdin?.write(`${line}\n`)
  }

  async load(): Promise<void> {
    this.send({ type: 'load', model: 'animatic' })
    await this.reply('ready')
  }

  /** Ends the process by closing its stdin, and removes its folders. */
  async close(): Promise<void> {
    this.child.stdin?.end()
    await this.exited
    this.removeFolders()
  }
}

/** Closes the runner when the present test is over. */
export function closeWithTest(runner: SpawnedRunner): SpawnedRunner {
  onTestFinished(() => runner.close())
  return runner
}

/** Starts a runner that lives as long as the present test, and loads its model. */
export async function startAnimatic(environment: Record<string, string> = {}): Promise<SpawnedRunner> {
  const runner = closeWithTest(new SpawnedRunner(environment))
  await runner.load()
  return runner
}

/** Returns the bytes of the finished MP4. */
export async function makeVideo(
  runner: SpawnedRunner,
  id: string,
  request: Generation,
  resume?: { step: number; path: string },
): Promise<Buffer> {
  runner.generate(id, request, resume)
  const { files } = await runner.reply('finished', id)
  return readFileSync(files.video)
}

/** A small quick generation; override what a test is about. */
export function someGeneration(overrides: Partial<Generation> = {}): Generation {
  return {
    model: 'animatic',
    mode: 't2v',
    prompt: 'a paper boat in the rain',
    negative_prompt: '',
    width: 96,
    height: 64,
    num_frames: 9,
    fps: 24,
    num_steps: 8,
    guidance: 7.5,
    guidance_img: 3,
    motion_score: 4,
    seed: 42,
    ...overrides,
  }
}
