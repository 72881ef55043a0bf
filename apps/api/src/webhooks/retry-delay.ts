const FIRST_MS = 5_000
const FACTOR = 3
const MAX_MS = 6 * 3_600_000
const JITTER = 0.2

/**
 * How long to wait after so many failures in a row (1 or more): 5 s, 15 s, 45 s, ... up to 6 hours, each up to a fifth more
 * or less, so that what failed together does not come back together. `random` is in [0, 1).
 */
export function retryDelayMs(failures: number, random: number): number {
  const delayMs = Math.min(MAX_MS, FIRST_MS * FACTOR ** (failures - 1))
  return Math.round(delayMs * (1 - JITTER + 2 * JITTER * random))
}
