import { pause } from '@sluice/shared/pause'

/**
 * Waits between tries: doubled from `firstMs` up to `lastMs`, each varied by 10 % so that workers do not all
 * call at once.
 */
export class Backoff {
  readonly #firstMs: number
  readonly #lastMs: number
  #nextMs: number

  constructor(firstMs: number, lastMs: number) {
    this.#firstMs = firstMs
    this.#lastMs = lastMs
    this.#nextMs = firstMs
  }

  /** Waits; returns early when the signal is aborted. */
  async wait(signal: AbortSignal): Promise<void> {
    const waitMs = this.#nextMs * (0.9 + Math.random() * 0.2)
    this.#nextMs = Math.min(this.#nextMs * 2, this.#lastMs)
    await pause(waitMs, signal)
  }

  reset(): void {
    this.#nextMs = this.#firstMs
  }
}

export interface RetryRules {
  /** Once aborted, nothing is tried again. */
  signal: AbortSignal
  /** Default: no bound but the signal. */
  triesMax?: number
  /** The wait before the next try, chosen by the error where errors differ in it. */
  backoff: Backoff | ((error: unknown) => Backoff)
  /**
   * Whether another try may succeed. Asked only when there may be one, so it may also log that there will be,
   * or first mend what was at fault, such as a URL that expired.
   */
  mayRetry(error: unknown): boolean | Promise<boolean>
}

/** Calls `work` until it succeeds. Throws the error of the last try when the rules allow no other. */
export async function retrying<T>(work: () => Promise<T>, rules: RetryRules): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await work()
    } catch (error) {
      if (rules.signal.aborted || tries === rules.triesMax || !(await rules.mayRetry(error))) throw error
      const backoff = typeof rules.backoff === 'function' ? rules.backoff(error) : rules.backoff
      await backoff.wait(rules.signal)
      if (rules.signal.aborted) throw error
    }
  }
}
