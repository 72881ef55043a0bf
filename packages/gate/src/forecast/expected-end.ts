/** What is expected of one video. */
export interface Forecast {
  /** 1 = next, among those that are queued; null for a video that runs. */
  position: number | null
  /** Null while there is no pool that could run it. */
  end: ExpectedEnd | null
}

/** When and where a video is expected to be made, as if all went by measure. */
export interface ExpectedEnd {
  pool: string
  /** Milliseconds until its device begins with it; 0 for one that runs. */
  startMs: number
  /** Milliseconds until its device is free. */
  freeMs: number
  /** Milliseconds until it is stored. */
  storedMs: number
  /** The same, were as much in its way as in one future of ten. */
  lateMs: number
}

const LATE_SHARE = 0.9

/**
 * The end in the middle one of several futures, and how late it is in nine of ten of them. Null where most
 * of them have none. Pure.
 */
export function middleOf(ends: readonly (ExpectedEnd | null)[]): ExpectedEnd | null {
  const [first] = ends
  if (ends.length === 1) return first ?? null
  const sorted = ends.filter((end) => end !== null).sort((a, b) => a.storedMs - b.storedMs)
  const late = sorted[Math.ceil(sorted.length * LATE_SHARE) - 1]
  if (late === undefined || sorted.length * 2 < ends.length) return null
  const middle = sorted[(sorted.length - 1) >> 1] ?? late
  return { ...middle, lateMs: Math.max(middle.lateMs, late.lateMs) }
}
