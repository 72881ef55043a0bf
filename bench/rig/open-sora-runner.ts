import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import type { Generation } from '@sluice/shared/generation'
import { type RunnerReply, runnerReplySchema } from '@sluice/shared/runner-protocol'

type ReplyOf<T extends RunnerReply['type']> = Extract<RunnerReply, { type: T }>

/** The folder of the runner's Python package. */
export const RUNNER_FOLDER = fileURLToPath(new URL('../../runners/open-sora', import.meta.url))
/** What the Python runners share. */
const SHARED_FOLDER = fileURLToPath(new URL('../../runners/python', import.meta.url))

/** The real Open-Sora runner on the CPU, spoken to as a worker does. */
export class OpenSoraRunner {
  readonly #child: ChildProcess
  #waiting:
    | { type: string; resolve: (reply: RunnerReply) => void; reject: (error: Error) => void }
    | undefined

  constructor(where: { home: string; python: string; config: string }, extra: Record<string, string> = {}) {
    this.#child = spawn(where.python, ['-m', 'sluice_open_sora'], {
      stdio: ['pipe', 'ignore', 'ignore', 'pipe'],
      env: {
        PATH: process.env.PATH,
        PYTHONPATH: `${RUNNER_FOLDER}${delimiter}${SHARED_FOLDER}`,
        OPENSORA_HOME: where.home,
        OPENSORA_CONFIG: where.config,
        OPENSORA_DEVICE: 'cpu',
        ...extra,
      },
    })
    const replies = this.#child.stdio[3]
    if (!(replies instanceof Readable)) throw new Error('fd 3 is not a readable pipe')
    createInterface({ input: replies }).on('line', (line) => {
      const reply = runnerReplySchema.parse(JSON.parse(line))
      if (reply.type === 'failed') this.#waiting?.reject(new Error(reply.message))
      else if (reply.type === this.#waiting?.type) this.#waiting.resolve(reply)
    })
    this.#child.once('exit', (code) => this.#waiting?.reject(new Error(`the runner ended with ${code}`)))
  }

  /** Sends a request and returns the first reply of that type. Throws when the runner fails or ends. */
  ask<T extends RunnerReply['type']>(request: Record<string, unknown>, type: T): Promise<ReplyOf<T>> {
    return new Promise((resolve, reject) => {
      this.#waiting = { type, resolve: (reply) => resolve(reply as ReplyOf<T>), reject }
      this.#child.stdin?.write(`${JSON.stringify(request)}\n`)
    })
  }

  /** Makes one video, in a new folder within `folder`. `more`: further fields of the request. */
  generate(
    folder: string,
    id: string,
    clip: Partial<Generation>,
    more: Record<string, unknown> = {},
  ): Promise<ReplyOf<'finished'>> {
    const workdir = join(folder, id)
    mkdirSync(workdir)
    const request = {
      model: 'open-sora-2',
      mode: 't2v',
      prompt: 'a paper boat',
      negative_prompt: '',
      width: 32,
      height: 32,
      num_frames: 1,
      fps: 24,
      num_steps: 1,
      guidance: 7.5,
      guidance_img: 3,
      motion_score: 4,
      seed: 42,
      ...clip,
    }
    return this.ask({ type: 'generate', id, request, workdir, ...more }, 'finished')
  }

  async end(): Promise<void> {
    this.#child.stdin?.end()
    if (this.#child.exitCode === null) await once(this.#child, 'exit')
  }
}
