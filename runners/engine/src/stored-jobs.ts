import { existsSync } from 'node:fs'
import type { Engine } from './engine.ts'

const LOOK_MS = 1_000
/** Videos that wait for their upload on one slot; beyond it the oldest job is left to the engine. */
const JOBS_MAX = 100

/**
 * Jobs whose videos have been fetched. Each is removed from the engine, whose disk would fill up, once the
 * worker has removed the video's folder: until then its upload may fail, and another attempt fetch it again.
 */
export class StoredJobs {
  readonly #engine: Engine
  readonly #log: (line: string) => void
  readonly #folders = new Map<string, string>()

  constructor(engine: Engine, log: (line: string) => void) {
    this.#engine = engine
    this.#log = log
    setInterval(() => this.#look(), LOOK_MS).unref()
  }

  add(job: string, folder: string): void {
    if (this.#engine.dialect.remove(job) === null) return
    this.#folders.set(job, folder)
    const [oldest] = this.#folders.keys()
    if (this.#folders.size > JOBS_MAX && oldest !== undefined) this.#folders.delete(oldest)
  }

  #look(): void {
    for (const [job, folder] of this.#folders) {
      if (existsSync(folder)) continue
      this.#folders.delete(job)
      // oxlint-disable-next-line typescript/no-floating-promises -- `tell` never rejects
      void this.#engine.tell(this.#engine.dialect.remove(job), this.#log)
    }
  }
}
