import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Generation } from '@sluice/shared/generation'
import { type RunnerReply, type RunnerRequest, runnerReplySchema } from '@sluice/shared/runner-protocol'

type References = Extract<RunnerRequest, { type: 'generate' }>['references']
type ReplyOf<Type extends RunnerReply['type']> = Extract<RunnerReply, { type: Type }>

/** What a test says to a runner and hears of it. Every reply is checked by the protocol's schema. */
export abstract class RunnerReplies {
  /** All replies in the order they came. */
  readonly replies: RunnerReply[] = []
  /** What it logged. */
  stderr = ''
  readonly #folder = mkdtempSync(join(tmpdir(), 'runner-test-'))
  #folders = 0
  #waiting: (() => void)[] = []
  #broken: unknown

  abstract send(request: RunnerRequest): void

  /** Whether no further reply can come. */
  protected abstract get hasEnded(): boolean

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
    const isFailure = (reply: RunnerReply) => reply.type === 'failed' && id !== undefined && reply.id === id
    return this.until(
      () => {
        const wanted = this.replies.find(isWanted)
        const failed = wanted === undefined ? this.replies.find(isFailure) : undefined
        if (failed !== undefined) throw new Error(`no ${type} of ${id}: ${JSON.stringify(failed)}`)
        return wanted
      },
      `${type} ${id ?? ''}`,
    )
  }

  /** Waits, woken by each reply, log line and the end, for a value that is not undefined. */
  async until<Value>(look: () => Value | undefined, what: string): Promise<Value> {
    for (;;) {
      if (this.#broken !== undefined) throw this.#broken
      const value = look()
      if (value !== undefined) return value
      if (this.hasEnded) {
        throw new Error(
          `the runner ended before ${what}; ` +
            `replies: ${JSON.stringify(this.replies.slice(-5))}; stderr: ${this.stderr}`,
        )
      }
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
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

  protected heard(reply: unknown): void {
    const parsed = runnerReplySchema.safeParse(reply)
    if (parsed.success) this.replies.push(parsed.data)
    else this.#broken = new Error(`a reply breaks the protocol: ${JSON.stringify(reply)}`)
    this.wake()
  }

  protected logged(text: string): void {
    this.stderr += text
    this.wake()
  }

  protected wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  protected removeFolders(): void {
    rmSync(this.#folder, { recursive: true, force: true })
  }
}
