import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Generation } from '@sluice/shared/generation'
import { readJsonLines } from '@sluice/shared/json-lines'
import { type RunnerReply, type RunnerRequest, runnerReplySchema } from '@sluice/shared/runner-protocol'
import { onTestFinished } from 'vitest'

type References = Extract<RunnerRequest, { type: 'generate' }>['references']
type ReplyOf<Type extends RunnerReply['type']> = Extract<RunnerReply, { type: Type }>

export const MAIN = fileURLToPath(new URL('../../runners/animatic/src/main.ts', import.meta.url))

/**
 * The real animatic runner, or another of ours, as a child process over real pipes. Every reply is checked by
 * the protocol's schema.
 */
export class SpawnedRunner {
  readonly child: ChildProcess
  /** All replies in the order they came. */
  readonly replies: RunnerReply[] = []
  readonly exited: Promise<number | null>
  readonly replyStream: Readable
  stderr = ''
  #folder: string
  #folders = 0
  #waiting: (() => void)[] = []
  #broken: unknown

  constructor(environment: Record<string, string> = {}, main = MAIN) {
    this.#folder = mkdtempSync(join(tmpdir(), 'animatic-test-'))
    this.child = spawn(process.execPath, [main], {
      stdio: ['pipe', 'ignore', 'pipe', 'pipe'],
      env: { PATH: process.env.PATH, SLUICE_ANIMATIC_STEP_MS: '0', ...environment },
    })
    this.exited = once(this.child, 'exit').then(([code]) => code)
    this.child.stdin?.on('error', () => undefined)
    this.child.stderr?.on('data', (chunk: Buffer) => {
      this.stderr += chunk
      this.#wake()
    })
    const channel = this.child.stdio[3]
    if (!(channel instanceof Readable)) throw new Error('fd 3 is not a readable pipe')
    this.replyStream = channel
    readJsonLines(
      channel,
      (line) => {
        const parsed = runnerReplySchema.safeParse(JSON.parse(line))
        if (parsed.success) this.replies.push(parsed.data)
        else this.#broken = new Error(`a reply breaks the protocol: ${line}`)
        this.#wake()
      },
      () => this.#wake(),
    )
    this.exited.then(
      () => this.#wake(),
      () => this.#wake(),
    )
  }

  send(request: RunnerRequest): void {
    this.sendLine(JSON.stringify(request))
  }

  sendLine(line: string): void {
    this.child.stdin?.write(`${line}\n`)
  }

  /** The first reply of that type (and id), already there or to come. */
  async reply<Type extends RunnerReply['type']>(
    type: Type,
    id?: string,
    test: (reply: ReplyOf<Type>) => boolean = () => true,
  ): Promise<ReplyOf<Type>> {
    const isWanted = (reply: RunnerReply): reply is ReplyOf<Type> =>
      reply.type === type &&
      (id === undefined || ('id' in reply && reply.id === id)) &&
      test(reply as ReplyOf<Type>)
    const failure = (reply: RunnerReply) => reply.type === 'failed' && id !== undefined && reply.id === id
    return this.until(
      () => {
        const wanted = this.replies.find(isWanted)
        const failed = wanted === undefined ? this.replies.find(failure) : undefined
        if (failed !== undefined) throw new Error(`no ${type} of ${id}: ${JSON.stringify(failed)}`)
        return wanted
      },
      `${type} ${id ?? ''}`,
    )
  }

  /** Waits, woken by each reply, log line and the exit, for a value that is not undefined. */
  async until<Value>(look: () => Value | undefined, what: string): Promise<Value> {
    for (;;) {
      if (this.#broken !== undefined) throw this.#broken
      const value = look()
      if (value !== undefined) return value
      if (this.child.exitCode !== null && this.replyStream.readableEnded) {
        throw new Error(
          `the runner ended before ${what}; ` +
            `replies: ${JSON.stringify(this.replies.slice(-5))}; stderr: ${this.stderr}`,
        )
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }

  async load(): Promise<void> {
    this.send({ type: 'load', model: 'animatic' })
    await this.reply('ready')
  }

  /** Sends `generate` with a new work folder; returns the folder's path. */
  generate(
    id: string,
    request: Generation,
    resume?: { step: number; path: string },
    references?: References,
  ): string {
    const workdir = mkdtempSync(join(this.#folder, `${this.#folders++}-`))
    this.send({ type: 'generate', id, request, workdir, resume, references })
    return workdir
  }

  /** Ends the process by closing its stdin, and removes its folders. */
  async close(): Promise<void> {
    this.child.stdin?.end()
    await this.exited
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
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
