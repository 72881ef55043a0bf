import type { Database } from '../db/database.ts'
import { hashKey } from './api-key.ts'
import { invalidKey, type Key, readKeys } from './authenticate.ts'

/** Two, so that one that hangs does not stop the other. */
const READINGS_MAX = 2
/** An index look-up each: a few milliseconds for all of them. */
const KEYS_PER_READING = 200
/** Some hundred bytes each. */
const REMEMBERED_MAX = 1_000

interface Waiting {
  hash: Buffer
  answers: { resolve: (key: Key) => void; reject: (error: unknown) => void }[]
}

/**
 * Looks up the keys of requests. However many strangers ask with whatever they make up, no more than two
 * look-ups run at a time: who comes meanwhile shares the next. A key that was revoked before a request came
 * is never taken for it: what is remembered of a key is only for who asks the database again whether it is
 * good.
 */
export class KeyReader {
  readonly #db: Database
  #waiting = new Map<string, Waiting>()
  /** Keys as they were read last, by their hash in hex; those that were read longest ago are first. */
  readonly #remembered = new Map<string, Key>()
  #readings = 0
  #isStarting = false

  constructor(db: Database) {
    this.#db = db
  }

  /** The key of this secret. Throws SluiceError `invalid_api_key` when it is unknown, expired or revoked. */
  read(secret: string): Promise<Key> {
    const hash = hashKey(secret)
    const hex = hash.toString('hex')
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(hex) ?? { hash, answers: [] }
      waiting.answers.push({ resolve, reject })
      this.#waiting.set(hex, waiting)
      this.#startSoon()
    })
  }

  /**
   * The key of this secret as it was read last; undefined when it was not, or was not good. It may have been
   * revoked or changed since: whoever works with it asks for that in its own statement, or with `read`.
   */
  remembered(secret: string): Key | undefined {
    return this.#remembered.get(hashKey(secret).toString('hex'))
  }

  #remember(hex: string, key: Key | undefined): void {
    this.#remembered.delete(hex)
    if (key === undefined) return
    this.#remembered.set(hex, key)
    if (this.#remembered.size <= REMEMBERED_MAX) return
    for (const oldest of this.#remembered.keys()) {
      this.#remembered.delete(oldest)
      return
    }
  }

  /** Once everything that has arrived by now is read: requests that come together are one look-up. */
  #startSoon(): void {
    if (this.#isStarting) return
    this.#isStarting = true
    setImmediate(() => {
      this.#isStarting = false
      this.#startReading()
    })
  }

  #startReading(): void {
    if (this.#readings >= READINGS_MAX || this.#waiting.size === 0) return
    const batch = [...this.#waiting].slice(0, KEYS_PER_READING)
    for (const [hex] of batch) this.#waiting.delete(hex)
    this.#readings += 1
    const next = () => {
      this.#readings -= 1
      this.#startReading()
    }
    this.#answer(batch).then(next, next)
  }

  /** Never rejects: who waits gets the error. */
  async #answer(batch: readonly (readonly [string, Waiting])[]): Promise<void> {
    try {
      const keys = await readKeys(
        this.#db,
        batch.map(([, { hash }]) => hash),
      )
      for (const [hex, { answers }] of batch) {
        const key = keys.get(hex)
        this.#remember(hex, key)
        for (const { resolve, reject } of answers) {
          if (key === undefined) reject(invalidKey())
          else resolve(key)
        }
      }
    } catch (error) {
      for (const [, { answers }] of batch) for (const { reject } of answers) reject(error)
    }
  }
}
