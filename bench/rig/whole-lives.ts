import type { ApiProcess } from './api-process.ts'
import type { BenchAttempt, BenchWorker } from './bench-worker.ts'
import { SMALL } from './small.ts'

/**
 * Sends videos through the API, each of them submitted, dispatched, taken, reported on and ended. As many are
 * under way as the workers have slots, so that no queue grows and no limit is reached.
 */
export class WholeLives {
  readonly #api: ApiProcess
  readonly #workers: readonly BenchWorker[]
  readonly #slots: number
  #ended = 0

  constructor(api: ApiProcess, workers: readonly BenchWorker[], slots: number) {
    this.#api = api
    this.#workers = workers
    this.#slots = slots
  }

  /** Videos that have ended. */
  get ended(): number {
    return this.#ended
  }

  /** Sends `count` videos through, in the accounts of the keys by turns; resolves when all have ended. */
  async run(count: number, keys: readonly string[]): Promise<void> {
    let submitted = 0
    let taken = 0
    const submitNext = async () => {
      if (submitted === count) return
      submitted += 1
      await this.#api.submit(SMALL, keys[submitted % keys.length])
    }
    const live = async (attempt: BenchAttempt) => {
      await attempt.report({ type: 'taken', slot: 0 })
      await attempt.report({ type: 'progress', phase: 'denoise', step: 1, remaining_ms: 0 })
      await attempt.report({ type: 'failed', code: 'bad_input', message: '', retryable: false, step: 0 })
      this.#ended += 1
      await submitNext()
    }
    const work = async (worker: BenchWorker) => {
      const lives: Promise<void>[] = []
      while (taken < count) {
        taken += 1
        const life = live(await worker.next())
        // It is awaited below; until then a failure is nobody's yet.
        life.catch(() => {})
        lives.push(life)
        if (lives.length >= this.#slots) await lives.shift()
      }
      await Promise.all(lives)
    }
    const first = Array.from({ length: this.#slots * this.#workers.length }, submitNext)
    await Promise.all([...first, ...this.#workers.map(work)])
  }
}
