import { newId } from '@sluice/shared/ids'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import type { Context } from '../context.ts'
import { HeldUpError, isHeldUp } from '../db/held-up.ts'
import { DatabaseUnavailableError } from '../errors.ts'
import { PendingInputImage } from '../inputs/input-store.ts'
import type { AccountKey } from '../keys/authenticate.ts'
import { inTurn } from '../places.ts'
import type { Video } from '../videos/video.ts'
import { findEarlier } from './find-earlier.ts'
import { insertGroup, insertGroupInTurn, type SubmittedVideo } from './insert-group.ts'
import { type JudgedRequest, judgeRequest } from './judge-request.ts'
import { isCostly, lookFirst } from './look-first.ts'
import type { PreparedSubmission } from './prepared.ts'
import { type PromiseContext, promiseTime } from './promised-time.ts'
import { type PreparedPrompt, preparePrompt } from './prompt.ts'
import type { Repeats } from './repeats.ts'
import { hashRequest } from './request-hash.ts'
import type { Submission } from './submission.ts'
import { type Fault, type Manner, TenantGroups } from './tenant-groups.ts'
import { TurnMissedError } from './turn.ts'

/** More of an account's than it may have under way, so that a group takes all that waits. */
const GROUP_MAX = 64
/** While one waits for the disk, another is read and written. */
const GROUPS_MAX = 2
/**
 * Of all connections, groups that wait for an account that somebody else has take no more than this share in
 * each of the two manners: half of them are left to everybody else.
 */
const WAITING_SHARE = 0.25

/** Submissions that are ready to become videos, which those that arrive together do together. */
export type SubmissionGroups = TenantGroups<PreparedSubmission, SubmittedVideo>

/** The groups of one process. */
export function openSubmissionGroups(context: Context & { repeats: Repeats }): SubmissionGroups {
  return new TenantGroups({
    tenantOf: ({ key }) => key.accountId,
    work: (group, manner) => insertGroup(context, group, manner),
    workInTurn: (take) => insertGroupInTurn(context, take),
    faultOf,
    tooLate: () => new DatabaseUnavailableError(new HeldUpError('too many accounts are held up at once')),
    ownPlaceMsMax: TIME_LIMITS.database.ownPlaceMs,
    groupsMax: groupsMaxOf(context.db.options.max ?? 0),
    piecesMax: GROUP_MAX,
  })
}

/** How many groups are under way at a time, where there are so many connections for requests. */
export function groupsMaxOf(connections: number): Record<Manner, number> {
  const waitingMax = Math.max(1, Math.min(GROUPS_MAX, Math.floor(connections * WAITING_SHARE)))
  return { together: GROUPS_MAX, apart: waitingMax, patient: waitingMax }
}

function faultOf(error: unknown): Fault {
  if (error instanceof DatabaseUnavailableError) return 'all'
  if (error instanceof HeldUpError) return 'held'
  return error instanceof TurnMissedError ? 'turn' : 'pieces'
}

/** What submissions work with. */
export type SubmitContext = PromiseContext & { repeats: Repeats; submissionGroups: SubmissionGroups }

/**
 * Submits a video: checks the request, prices it, holds the money and queues the video, the last three in one
 * transaction. The same request again (with the same Idempotency-Key, or a repeat that an SDK sent by itself)
 * returns the first video. Throws SluiceError, or the reason why the caller is gone; then nothing is held,
 * stored or queued.
 */
export async function submitVideo(
  context: SubmitContext,
  key: AccountKey,
  submission: Submission,
): Promise<Video> {
  const noted: Noted = { requestHash: null, videoId: null }
  try {
    const prepare = () => prepareSubmission(context, key, submission, noted)
    const prepared = waitsOutside(context, submission)
      ? await inTurn(context.places.longCalls, key.accountId, prepare)
      : await prepare()
    return 'earlier' in prepared ? prepared.earlier : await makeVideo(context, prepared)
  } catch (error) {
    const { tryNumber, keyHash } = submission
    if (tryNumber !== null)
      context.repeats.noteRefused(error, { keyHash: keyHash(), requestHash: noted.requestHash, tryNumber })
    // Where the database is away, nobody knows whether it was queued.
    const isKnown = !(error instanceof DatabaseUnavailableError) || isHeldUp(error)
    if (noted.videoId !== null)
      context.forecaster.endPromising(noted.videoId, isKnown ? 'refused' : 'unknown')
    throw error
  }
}

/** What is known of a submission by the time it fails. */
interface Noted {
  requestHash: Buffer | null
  videoId: string | null
}

/**
 * Whether anything is asked of the database or of something outside before the transaction: for the image, a
 * name, a service of the operator's, a promise, or a repeat's earlier video.
 */
function waitsOutside(context: Context, submission: Submission): boolean {
  const { request, tryNumber } = submission
  return isCostly(context, submission) || request.webhook_url !== undefined || (tryNumber ?? 0) > 0
}

/** Everything but money, budget and queue. `noted` gets what is known of it, as soon as it is. */
async function prepareSubmission(
  context: SubmitContext,
  key: AccountKey,
  submission: Submission,
  noted: Noted,
): Promise<PreparedSubmission | { earlier: Video }> {
  const judged = await judgeRequest(context, key, submission.request, (unsized) =>
    lookFirst(context, key, submission, unsized),
  )
  const image = await fitImage(context, judged)
  const requestHash = hashRequest(submission, image?.sha256)
  noted.requestHash = requestHash
  if (waitsOutside(context, submission)) {
    // The first look, without the lock: a repeat must not call moderation or the refiner again.
    const earlier = await findEarlier(context, null, { ...submission, key, requestHash })
    if (earlier !== null) return { earlier }
  }
  const prompt = await preparePrompt(context, submission, image)
  const generation = generationToStore(submission, judged, prompt, image)
  const { model, resolution } = judged
  const videoId = newId('video')
  noted.videoId = videoId
  const sized = { model, generation, resolution }
  const { request } = submission
  const promised = await promiseTime(context, key, { ...sized, videoId, request })
  await image?.store(videoId)
  return { ...submission, ...sized, videoId, key, requestHash, prompt, image, promised }
}

/** Makes the video, whose image is stored: nothing waits for the store while its account is locked. */
async function makeVideo(context: SubmitContext, prepared: PreparedSubmission): Promise<Video> {
  const { image, videoId } = prepared
  try {
    const { video, isNew } = await context.submissionGroups.join(prepared)
    context.forecaster.endPromising(videoId, isNew ? 'queued' : 'refused')
    if (!isNew) await image?.drop()
    return video
  } catch (error) {
    context.repeats.noteAnswer(videoId, 'lost')
    await image?.drop()
    throw error
  }
}

async function fitImage(
  context: Context,
  { image, generation }: JudgedRequest,
): Promise<PendingInputImage | null> {
  return image === null ? null : new PendingInputImage(context, await image.fit(generation))
}

/** What the runner gets: of a retry exactly what the first video's got, with its prompt and image. */
function generationToStore(
  { retriedFrom }: Submission,
  judged: JudgedRequest,
  { prompt }: PreparedPrompt,
  image: PendingInputImage | null,
): Video['request'] {
  const generation = { ...(retriedFrom?.request ?? judged.generation), prompt }
  return image === null ? generation : { ...generation, reference_sha256: image.sha256 }
}
