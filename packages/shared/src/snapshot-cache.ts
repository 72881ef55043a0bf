/** However slow the reading, it takes no more than this share of the time. */
const READING_SHARE = 0.05

/**
 * Keeps the newest snapshot of something that is costly to read. How long depends on how long the reading
 * took, so that reading stays below 5 % of the time; `keptMsMin` and `keptMsMax` bound it. The time counts
 * from the end of the reading. Calls made during a reading share it; a reading that fails is not kept, and
 * the next call reads again.
 *
 * A reading that never ends, such as one on a dead connection, would keep every caller waiting. Once one has
 * taken longer than `sharedMsMax`, the next call reads again beside it. Without `sharedMsMax` readings never
 * overlap.
 */
export class SnapshotCache<T> {
  readonly #keptMsMin: number
  readonly #keptMsMax: number
  readonly #sharedMsMax: number
  readonly #now: () => number
  #latest: Promise<T> | undefined
  #startedAtMs = 0
  /** How long the latest reading took; null while it goes on. */
  #tookMs: number | null = null

  /** `now` is a monotonic clock in milliseconds. */
  constructor(options: { keptMsMin: number; keptMsMax: number; sharedMsMax?: number; now?: () => number }) {
    this.#keptMsMin = options.keptMsMin
    this.#keptMsMax = options.keptMsMax
    this.#sharedMsMax = options.sharedMsMax ?? Number.POSITIVE_INFINITY
    this.#now = options.now ?? (() => performance.now())
  }

  /** The snapshot read last, however old; undefined before the first reading and after one that failed. */
  get latest(): Promise<T> | undefined {
    return this.#latest
  }

  /**
   * The kept snapshot, or a new one from `read`. A caller who misses something in the kept one may ask again
   * with a lower `keptMsMin`. Throws what `read` throws.
   */
  get(read: () => Promise<T>, keptMsMin = this.#keptMsMin): Promise<T> {
    return this.#latest !== undefined && this.isFresh(keptMsMin) ? this.#latest : this.readAnew(read)
  }

  /** Whether `get` would return without reading. */
  isFresh(keptMsMin = this.#keptMsMin): boolean {
    if (this.#latest === undefined) return false
    const ageMs = this.#now() - this.#startedAtMs
    if (this.#tookMs === null) return ageMs < this.#sharedMsMax
    const keptMs = Math.min(this.#keptMsMax, Math.max(keptMsMin, this.#tookMs / READING_SHARE))
    return ageMs - this.#tookMs < keptMs
  }

  /** Reads whatever is kept, and keeps the result. Throws what `read` throws. */
  readAnew(read: () => Promise<T>): Promise<T> {
    const startedAtMs = this.#now()
    const snapshot = read()
    this.#latest = snapshot
    this.#startedAtMs = startedAtMs
    this.#tookMs = null
    snapshot.then(
      () => {
        if (this.#latest === snapshot) this.#tookMs = this.#now() - startedAtMs
      },
      () => {
        if (this.#latest === snapshot) this.#latest = undefined
      },
    )
    return snapshot
  }
}
