/**
 * A text that is too long to be made, or to be looked through, at once: it stays in the bytes it came in, and
 * is made piece by piece. It reads like a string.
 */
export class LongText {
  readonly #latin1: Buffer

  /** Each byte is a character. The bytes are its own from now on. */
  constructor(latin1: Buffer) {
    this.#latin1 = latin1
  }

  get length(): number {
    return this.#latin1.length
  }

  /** The characters from `start` up to `end`; neither may be negative. */
  slice(start: number, end: number = this.length): string {
    return this.#latin1.toString('latin1', start, end)
  }

  /** All of it, in one piece. */
  toString(): string {
    return this.slice(0)
  }
}
