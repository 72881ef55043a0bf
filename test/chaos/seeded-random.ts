/** A stream of numbers that a seed fixes: the same seed makes the same campaign. */
export interface SeededRandom {
  /** From 0 (included) to 1 (not included). */
  fraction(): number
  /** A whole number from `min` to `max`, both included. */
  integer(min: number, max: number): number
  /** One of `choices`, which must not be empty. */
  pick<T>(choices: readonly T[]): T
  /** True in `percent` of 100 cases. */
  chance(percent: number): boolean
  /** A stream of its own, so that one part's draws do not move another's. */
  fork(name: string): SeededRandom
}

/** Mulberry32 over a hash of seed and name: small, and good enough to choose faults with. */
export function seededRandom(seed: number, name = ''): SeededRandom {
  let state = hash(`${seed}/${name}`)
  const fraction = () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
  const integer = (min: number, max: number) => min + Math.floor(fraction() * (max - min + 1))
  return {
    fraction,
    integer,
    pick: (choices) => {
      const choice = choices[integer(0, choices.length - 1)]
      if (choice === undefined) throw new Error('nothing to pick from')
      return choice
    },
    chance: (percent) => fraction() * 100 < percent,
    fork: (child) => seededRandom(seed, `${name}/${child}`),
  }
}

/** FNV-1a. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index += 1) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  }
  return value | 0
}
