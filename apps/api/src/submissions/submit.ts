import { newId } from '@sluice/shared/ids'
import type { Context } from '../context.ts'
import { type Database, transaction } from '../db/database.ts'
import { PendingInputImage } from '../inputs/input-store.ts'
import type { AccountKey } from '../keys/authenticate.ts'
import { takeFromBudget } from '../keys/budget.ts'
import { lockOwned, type OwnedAccounts } from '../ledger/accounts.ts'
import { BalanceTooSmallError, hold } from '../ledger/hold.ts'
import { inTurn } from '../places.ts'
import { type Priced, priceVideo } from '../prices/price.ts'
import type { Video } from '../videos/video.ts'
import { insertVideo, type NewVideo } from '../videos/video-store.ts'
import { balanceTooSmall } from './balance-too-small.ts'
import { checkCeilings } from './ceilings.ts'
import { checkQueue } from './check-queue.ts'
import { expiresSecondsOf, serviceTierOf } from './create-request.ts'
import { findEarlier } from './find-earlier.ts'
import type { SizedGeneration } from './generation-of.ts'
import { type JudgedRequest, judgeRequest } from './judge-request.ts'
import { lookFirst } from './look-first.ts'
import { type PreparedPrompt, preparePrompt } from './prompt.ts'
import { insertOpenAnswer, type Repeats } from './repeats.ts'
import { hashRequest } from './request-hash.ts'
import type { Submission } from './submission.ts'

/** A submission that may become a video, should money, budget and queue allow it. */
interface PreparedSubmission extends Submission, SizedGeneration {
  key: AccountKey
  requestHash: Buffer
  prompt: PreparedPrompt
  image: PendingInputImage | null
}

/** What submissions work with. */
export type SubmitContext = Context & { repeats: Repeats }

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
  const { tryNumber, keyHash } = submission
  let requestHash: Buffer | null = null
  try {
    const judged = await judgeRequest(context, key, submission.request, (unsized) =>
      lookFirst(context, key, submission, unsized),
    )
    const image = await fitImage(context, judged)
    requestHash = hashRequest(submission, image?.sha256)
    // The first look, without the lock: a repeat must not call moderation or the refiner again.
    const earlier = await findEarlier(context, null, { ...submission, key, requestHash })
    if (earlier !== null) return earlier
    const prompt = await preparePrompt(context, submission, image)
    const generation = generationToStore(submission, judged, prompt, image)
    const { model, resolution } = judged
    return await makeVideo(context, {
      ...submission,
      key,
      requestHash,
      prompt,
      image,
      model,
      generation,
      resolution,
    })
  } catch (error) {
    if (tryNumber !== null) context.repeats.noteRefused(error, { keyHash, requestHash, tryNumber })
    throw error
  }
}

/**
 * Stores the image and then the video, which never waits for the store: no other submission of the account,
 * and no connection, waits with it.
 */
async function makeVideo(context: SubmitContext, prepared: PreparedSubmission): Promise<Video> {
  const videoId = newId('video')
  const { image, key } = prepared
  try {
    await image?.store(videoId)
    const { video, isNew } = await inTurn(context.places.calls, key.accountId, () =>
      transaction(context.db, (db) => insertOrFind(context, db, { ...prepared, videoId })),
    )
    if (isNew) context.wakeGate()
    else await image?.drop()
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

async function insertOrFind(
  context: SubmitContext,
  db: Database,
  prepared: PreparedSubmission & { videoId: string },
): Promise<{ video: Video; isNew: boolean }> {
  const { key, request, model, generation, resolution, image, videoId } = prepared
  const { currency } = context.config
  const clip = { ...generation, model, resolution }
  const priced = await priceVideo(db, clip, serviceTierOf(request), context.config)
  // Locks the account's money: from here on submissions of one account come one after the other.
  const accounts = await lockOwned(db, key.accountId, currency)
  // The second look, under the lock: the same request may have been submitted since the first.
  const earlier = await findEarlier(context, db, prepared)
  if (earlier !== null) return { video: earlier, isNew: false }

  checkCeilings(request, priced, currency)
  await checkQueue(db, key)
  const budgetStartsAt = await takeFromBudget(db, key, priced.tokens)
  await holdCost(db, videoId, { accounts, costMicros: priced.costMicros, currency })
  const video = await insertVideo(db, {
    ...newVideoOf(prepared, priced),
    id: videoId,
    currency,
    budget_starts_at: budgetStartsAt,
    retention_seconds: context.config.retentionSeconds,
  })
  await image?.keep(db)
  await noteOpenAnswer(context, db, prepared)
  return { video, isNew: true }
}

/**
 * Without an Idempotency-Key a caller that is gone gets no video: it would not know that it has one. What an
 * SDK sends may be sent again, so its answer is followed.
 */
async function noteOpenAnswer(
  { repeats }: SubmitContext,
  db: Database,
  prepared: PreparedSubmission & { videoId: string },
): Promise<void> {
  const { key, idempotencyKey, tryNumber, requestHash, videoId, callerGone } = prepared
  if (idempotencyKey !== null) return
  if (tryNumber !== null) {
    repeats.noteOpen(videoId)
    await insertOpenAnswer(db, { videoId, keyId: key.id, requestHash, tryNumber })
  }
  callerGone.throwIfAborted()
}

/**
 * Throws SluiceError `insufficient_balance` when the accounts, which must be locked, do not cover the cost.
 */
async function holdCost(
  db: Database,
  videoId: string,
  { accounts, costMicros, currency }: { accounts: OwnedAccounts; costMicros: bigint; currency: string },
): Promise<void> {
  try {
    await hold(db, videoId, costMicros, accounts)
  } catch (error) {
    if (!(error instanceof BalanceTooSmallError)) throw error
    throw balanceTooSmall(error.neededMicros, error.availableMicros, currency)
  }
}

function newVideoOf(
  prepared: PreparedSubmission,
  priced: Priced,
): Omit<NewVideo, 'id' | 'currency' | 'budget_starts_at' | 'retention_seconds'> {
  const { key, request, generation, resolution, prompt } = prepared
  return {
    account_id: key.accountId,
    key_id: key.id,
    service_tier: serviceTierOf(request),
    resolution,
    request: generation,
    metadata: request.metadata ?? {},
    remixed_from_video_id: prepared.remixedFromVideoId,
    retried_from_video_id: prepared.retriedFrom?.id ?? null,
    webhook_url: request.webhook_url ?? null,
    refinement: prompt.refinement,
    original_prompt: prompt.originalPrompt,
    idempotency_key: prepared.idempotencyKey,
    request_hash: prepared.requestHash,
    video_tokens: priced.videoTokens,
    price_micros_per_million: priced.priceMicrosPerMillion,
    multiplier_bps: priced.multiplierBps,
    hold_micros: priced.costMicros,
    input_kept: prepared.image !== null,
    expires_after_seconds: expiresSecondsOf(request),
  }
}
