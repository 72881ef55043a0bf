import { Semaphore } from '@sluice/shared/semaphore'
import { StoreUnavailableError } from './object-store.ts'

/**
 * Node does the steps of all file systems on four threads, and a step on a network mount that hangs never
 * gives its thread back. One thread stays for all else: without name look-ups nothing can be reached.
 */
const STEPS_AT_ONCE = 3

/** Steps on a disk (an open, a read, a write), each with a limit, and never so many that they fill Node. */
export class DiskSteps {
  readonly #stepMs: number
  readonly #turns = new Semaphore(STEPS_AT_ONCE)
  /** Steps that were given up and have not ended. */
  #hanging = 0

  constructor(stepMs: number) {
    this.#stepMs = stepMs
  }

  /**
   * Does one step. Throws what it throws, a system error that is the disk's fault as StoreUnavailableError;
   * and StoreUnavailableError when it has not ended in time, the wait for its turn included, or when the
   * disk hangs. `onLate` gets the result of a step that was given up and ended all the same, such as an open
   * file, which must be closed.
   */
  async do<T>(step: () => Promise<T>, onLate?: (result: T) => Promise<unknown>): Promise<T> {
    if (this.#hanging === STEPS_AT_ONCE) throw new StoreUnavailableError('away', 'the disk hangs')
    let state: 'waiting' | 'started' | 'given_up' = 'waiting'
    const work = this.#turns.run(async () => {
      if (state === 'given_up') throw new StoreUnavailableError('away', 'the disk was not asked any more')
      state = 'started'
      return step()
    })
    const { promise: late, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      if (state === 'started') this.#awaitLate(work, onLate)
      state = 'given_up'
      reject(new StoreUnavailableError('away', `the disk did not answer within ${this.#stepMs} ms`))
    }, this.#stepMs)
    try {
      return await Promise.race([work, late])
    } catch (error) {
      throw asStoreError(error)
    } finally {
      clearTimeout(timer)
    }
  }

  /** Closes a file, waiting for no longer than for a step; without a turn, since closing frees what waits. */
  async close(handle: { close(): Promise<void> }): Promise<void> {
    const { promise: late, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, this.#stepMs)
    try {
      await Promise.race([handle.close(), late])
    } catch (error) {
      throw asStoreError(error)
    } finally {
      clearTimeout(timer)
    }
  }

  #awaitLate<T>(work: Promise<T>, onLate: ((result: T) => Promise<unknown>) | undefined): void {
    this.#hanging += 1
    work
      .finally(() => {
        this.#hanging -= 1
      })
      .then(onLate)
      // Its caller was told long ago.
      .catch(() => {})
  }
}

const FULL = new Set(['ENOSPC', 'EDQUOT', 'EROFS'])
const AWAY = new Set([
  ...['EIO', 'ESTALE', 'ENOTCONN', 'ENODEV', 'ENXIO', 'ETIMEDOUT', 'EHOSTDOWN', 'EREMOTEIO'],
  ...['EACCES', 'EPERM', 'EMFILE', 'ENFILE'],
])

/** A system error that says that the disk is full or away, as StoreUnavailableError; any other as it is. */
function asStoreError(error: unknown): unknown {
  const code = codeOf(error)
  if (code === null) return error
  if (FULL.has(code))
    return new StoreUnavailableError('full', `the disk takes nothing more (${code})`, { cause: error })
  if (AWAY.has(code)) return new StoreUnavailableError('away', `the disk fails (${code})`, { cause: error })
  return error
}

/** The code of a system error. */
export function codeOf(error: unknown): string | null {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : null
}
