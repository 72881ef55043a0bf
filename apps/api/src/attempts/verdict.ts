import type { Verdict } from '@sluice/shared/attempt-contract'
import type { Video } from '../videos/video.ts'

/** The verdict on an attempt that lasts: a cancel comes before a yield. */
export function verdictOf(video: Pick<Video, 'cancel_requested_at' | 'yield_requested_at'>): Verdict {
  if (video.cancel_requested_at !== null) return 'cancel'
  return video.yield_requested_at === null ? 'continue' : 'yield'
}
