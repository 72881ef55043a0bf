import type { Request } from 'express'
import type { ErrorCode } from '../../errors.ts'
import { goneSignal } from '../../http/admit.ts'
import { bearerKey, originOf } from '../../http/request-headers.ts'
import { hashKey } from '../../keys/api-key.ts'
import type { AccountKey } from '../../keys/authenticate.ts'
import { inTurn } from '../../places.ts'
import type { Services } from '../../services.ts'
import type { Submission, SubmissionOrigin } from '../../submissions/submission.ts'
import { submitVideo } from '../../submissions/submit.ts'
import type { Video } from '../../videos/video.ts'
import { readVideo } from '../../videos/video-store.ts'
import { firstReply } from './video-reply.ts'

/** The errors that every call has that submits a video. */
export const SUBMISSION_ERRORS = [
  'moderation_refused',
  'max_price_too_small',
  'insufficient_balance',
  'budget_exceeded',
  'model_not_allowed',
  'idempotency_conflict',
  'queue_full',
  'unavailable',
] as const satisfies readonly ErrorCode[]

/**
 * The video that another one is made from. Submissions have no connections of their own: it waits for one.
 */
export function readSource(
  { context: { db, places }, key }: { context: Services; key: AccountKey },
  videoId: string,
): Promise<Video> {
  return inTurn(places.calls, key.accountId, () => readVideo(db, key.accountId, videoId))
}

/** Submits what a call asks for and shows the video: the new one, or the earlier one of the same request. */
export async function submitAndShow(
  { context, key, request }: { context: Services; key: AccountKey; request: Request },
  submission: Omit<Submission, keyof SubmissionOrigin>,
) {
  const { idempotencyKey, tryNumber } = originOf(request)
  const { res: response } = request
  if (response === undefined) throw new RangeError('a request that is handled has its response')
  const video = await submitVideo(context, key, {
    ...submission,
    idempotencyKey,
    tryNumber,
    keyHash: () => hashKey(bearerKey(request)),
    callerGone: goneSignal(response),
  })
  if (idempotencyKey === null && tryNumber !== null) {
    const note = () => {
      const isWhole = response.writableFinished && response.statusCode === 200
      context.repeats.noteAnswer(video.id, isWhole ? 'whole' : 'lost')
    }
    if (response.closed) note()
    else response.once('close', note)
  }
  return firstReply(context, video)
}
