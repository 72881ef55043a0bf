import type { PendingInputImage } from '../inputs/input-store.ts'
import type { AccountKey } from '../keys/authenticate.ts'
import type { PromisedTime } from '../videos/video-store.ts'
import type { SizedGeneration } from './generation-of.ts'
import type { PreparedPrompt } from './prompt.ts'
import type { Submission } from './submission.ts'

/** A submission that becomes a video, should money, budget and queue allow it. */
export interface PreparedSubmission extends Submission, SizedGeneration {
  /** What the video will be called. */
  videoId: string
  key: AccountKey
  requestHash: Buffer
  prompt: PreparedPrompt
  image: PendingInputImage | null
  /** By when its video is promised; null = not at all. */
  promised: PromisedTime | null
}
