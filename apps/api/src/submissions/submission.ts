import type { Video } from '../videos/video.ts'
import type { CreateRequest } from './create-request.ts'

/** A request for a video, and where it comes from. */
export interface Submission {
  request: CreateRequest
  idempotencyKey: string | null
  /** The SDK says that it repeats a request whose answer it never saw. */
  isRepeat: boolean
  remixedFromVideoId: string | null
  /** The video this one makes again, from exactly what its runner was given. */
  retriedFrom?: Video
}
