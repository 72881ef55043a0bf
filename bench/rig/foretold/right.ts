import { percentile } from '../statistics.ts'
import type { MadeVideo } from './service.ts'

/** The median of how far p50 was from what came, as a share of that. */
export function medianError(videos: readonly MadeVideo[]): number {
  const errors = videos.flatMap(({ eta, tookSeconds }) =>
    eta === null ? [] : Math.abs(eta.p50 - tookSeconds) / tookSeconds,
  )
  return percentile(errors, 0.5)
}

/** The share that came within p90. */
export function shareWithin(videos: readonly MadeVideo[]): number {
  const given = videos.filter(({ eta }) => eta !== null)
  return given.filter(({ eta, tookSeconds }) => eta !== null && tookSeconds <= eta.p90).length / given.length
}
