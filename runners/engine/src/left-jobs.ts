import { pause } from '@sluice/shared/pause'
import type { Engine } from './engine.ts'

const LOOK_MS = 1_000

/**
 * Jobs of videos that were yielded and go on in the engine. Whoever wants the place of one first stops it, or
 * waits for it where the engine stops none; in an engine with a queue of its own it is nobody's place.
 */
export class LeftJobs {
  readonly #engine: Engine
  readonly #ids = new Set<string>()

  constructor(engine: Engine) {
    this.#engine = engine
  }

  add(id: string): void {
    if (!this.#engine.dialect.keepsJobs) this.#ids.add(id)
  }

  /** The job is followed again. */
  takeBack(id: string): void {
    this.#ids.delete(id)
  }

  /** Makes room for another job; ends early when `signal` aborts. Throws EngineAwayError. */
  async clear(signal: AbortSignal, log: (line: string) => void): Promise<void> {
    const { dialect } = this.#engine
    for (const id of this.#ids) {
      if (dialect.cancelFreesDevice) await this.#engine.tell(dialect.cancel(id), log)
      else await this.#untilOver(id, signal)
      if (signal.aborted) return
      this.#ids.delete(id)
    }
  }

  async #untilOver(id: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const job = await this.#engine.lookPatiently(id, 1, signal)
      if (job === null || job?.state === 'completed' || job?.state === 'failed') return
      await pause(LOOK_MS, signal)
    }
  }
}
