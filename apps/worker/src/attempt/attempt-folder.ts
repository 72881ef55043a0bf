import { mkdirSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'

/** The work folder of one attempt. It goes once neither the attempt nor the runner uses it any more. */
export class AttemptFolder {
  readonly path: string
  /** The runner writes here and nowhere else. */
  readonly runnerPath: string
  readonly #log: Logger
  readonly #users = new Set<'attempt' | 'runner'>(['attempt'])

  constructor(path: string, log: Logger) {
    this.path = path
    this.runnerPath = join(path, 'out')
    this.#log = log
  }

  /** Throws what `mkdirSync` throws, such as ENOSPC. */
  create(): void {
    mkdirSync(this.runnerPath, { recursive: true })
  }

  lendToRunner(): void {
    this.#users.add('runner')
  }

  leave(user: 'attempt' | 'runner'): void {
    this.#users.delete(user)
    if (this.#users.size > 0) return
    rm(this.path, { recursive: true, force: true }).catch((error: unknown) =>
      this.#log.warn({ err: error }, 'the work folder of an attempt cannot be removed'),
    )
  }
}
