import { pause } from '@sluice/shared/pause'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import type { Engine } from './engine.ts'

const LOOK_MS = 1_000

/**
 * Jobs of videos that were yielded and go on in the engine. Whoever wants the place of one first stops it, or
 * waits for it where the engine stops none; in an engine with a queue of its own it is nobody's place.
 */
export class LeftJobs {
  readonly #engine: Engine
  readonly #waitMsMax: number
  readonly #ids = new Set<string>()

  /** `waitMsMax`: after it the next job is submitted beside one that does not end. */
  constructor(engine: Engine, waitMsMax: number = TIME_LIMITS.engine.leftJobMs) {
    this.#engine = engine
    this.#waitMsMax = waitMsMax
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
      else if (!(await this.#isOverInTime(id, signal)) && !signal.aborted)
        log(`job ${id}, which its video left, does not end: the next one is submitted beside it`)
      if (signal.aborted) return
      this.#ids.delete(id)
    }
  }

  async #isOverInTime(id: string, signal: AbortSignal): Promise<boolean> {
    const untilMs = performance.now() + this.#waitMsMax
    while (!signal.aborted) {
      const job = await this.#engine.lookPatiently(id, 1, signal)
      if (job === null || job?.state === 'completed' || job?.state === 'failed') return true
      if (performance.now() >= untilMs) return false
      await pause(LOOK_MS, signal)
    }
    return false
  }
}
