/** What simulations for single videos may take: so much of each snapshot, and this share of the time. */
const FREE_MS = 20
const SHARE = 0.05

/**
 * The time that videos may have for a simulation of their own while one snapshot is kept. It is taken before,
 * by what the last one took, so that many who ask at once do not all get it.
 */
export class OwnTime {
  #spentMs = 0
  #lastMs: number

  private constructor(lastMs: number) {
    this.#lastMs = lastMs
  }

  /** Of the first snapshot. */
  static first(): OwnTime {
    return new OwnTime(1)
  }

  /** Of the next one: what the last simulation took counts half, or one that was slow would be the last. */
  next(): OwnTime {
    return new OwnTime(this.#lastMs / 2)
  }

  /** Takes the time of one, `ageMs` after the snapshot; false = there is none left. */
  take(ageMs: number): boolean {
    if (this.#spentMs + this.#lastMs > FREE_MS + SHARE * ageMs) return false
    this.#spentMs += this.#lastMs
    return true
  }

  /** One has taken so long. */
  took(ms: number): void {
    this.#lastMs = ms
  }
}
