import type { Video } from '../videos/video.ts'
import type { CreateRequest } from './create-request.ts'

/** Who sends a submission, and what it says of having been sent before. */
export interface SubmissionOrigin {
  idempotencyKey: string | null
  /** How many times an SDK has sent this call before; null when it is no SDK that counts. */
  tryNumber: number | null
  /** The hash of the secret that it came with: asked for when it is refused. */
  keyHash: () => Buffer
  /** Aborts when the client goes away before it is answered. */
  callerGone: AbortSignal
}

/** A request for a video, and where it comes from. */
export interface Submission extends SubmissionOrigin {
  request: CreateRequest
  remixedFromVideoId: string | null
  /** The video this one makes again, from exactly what its runner was given. */
  retriedFrom?: Video
}
