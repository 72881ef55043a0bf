/** The time of day, injected so that a test can set it. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  now(): number
}

export const systemClock: Clock = { now: () => Date.now() }

/** Whole seconds since the Unix epoch, as the API shows times; null stays null. */
export function unixSeconds(date: Date): number
export function unixSeconds(date: Date | null): number | null
export function unixSeconds(date: Date | null): number | null {
  return date === null ? null : Math.floor(date.getTime() / 1_000)
}
