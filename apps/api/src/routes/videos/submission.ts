import type { Request } from 'express'
import type { ErrorCode } from '../../errors.ts'
import { originOf } from '../../http/request-headers.ts'
import type { AccountKey } from '../../keys/authenticate.ts'
import type { Services } from '../../services.ts'
import type { Submission } from '../../submissions/submission.ts'
import { submitVideo } from '../../submissions/submit.ts'
import { videoReply } from './video-reply.ts'

/** The errors that every call has that submits a video. */
export const SUBMISSION_ERRORS = [
  'moderation_refused',
  'insufficient_balance',
  'budget_exceeded',
  'model_not_allowed',
  'idempotency_conflict',
  'queue_full',
  'unavailable',
] as const satisfies readonly ErrorCode[]

/** Submits what a call asks for and shows the video: the new one, or the earlier one of the same request. */
export async function submitAndShow(
  { context, key, request }: { context: Services; key: AccountKey; request: Request },
  submission: Omit<Submission, 'idempotencyKey' | 'isRepeat'>,
) {
  const video = await submitVideo(context, key, { ...submission, ...originOf(request) })
  return videoReply(context, video)
}
