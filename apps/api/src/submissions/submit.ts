import { createHash } from 'node:crypto'
import { newId } from '@sluice/shared/ids'
import { formatMicros, parseMicros } from '@sluice/shared/money'
import type { ServiceTier } from '@sluice/shared/service-tier'
import type { Context } from '../context.ts'
import { type Database, one, transaction } from '../db/database.ts'
import { invalidValue, SluiceError } from '../errors.ts'
import { PendingInput } from '../inputs/input-store.ts'
import type { SourceImage } from '../inputs/source-image.ts'
import { type AccountKey, requireModel } from '../keys/authenticate.ts'
import { takeFromBudget } from '../keys/budget.ts'
import { lockOwned } from '../ledger/accounts.ts'
import { BalanceTooSmallError, hold } from '../ledger/hold.ts'
import { checkOutgoingUrl } from '../outgoing/guarded-fetch.ts'
import { type Priced, priceVideo } from '../prices/price.ts'
import type { Video } from '../videos/video.ts'
import type { CreateRequest } from './create-request.ts'
import { type Generating, generationOf } from './generation-of.ts'
import { offerTo } from './offer.ts'
import { type PreparedPrompt, preparePrompt } from './prompt.ts'
import { openRequestImage } from './request-image.ts'

/** How long a video that says nothing else may take, by tier. */
export const DEFAULT_EXPIRY_SECONDS: Record<ServiceTier, number> = {
  priority: 86_400,
  standard: 86_400,
  flex: 259_200,
}
/** A retry an SDK sent by itself is recognised for this long. */
const RETRY_WINDOW_SECONDS = 600

export interface Submission {
  request: CreateRequest
  idempotencyKey: string | null
  /** The SDK says that it repeats a request whose answer it never saw. */
  isRepeat: boolean
  remixedFromVideoId: string | null
  /** The video this one is to make again, exactly as it was given to a runner. */
  retriedFrom?: Video
}

/**
 * Takes a video in: checks what was asked, prices it, sets the money aside and queues it, in one transaction. The same
 * request again (same Idempotency-Key, or a retry an SDK sent by itself) answers the first video. Throws SluiceError;
 * then nothing is held, stored or queued.
 */
export async function submitVideo(context: Context, key: AccountKey, submission: Submission): Promise<Video> {
  const { request, retriedFrom } = submission
  const { judged, image } = await judgeRequest(context, key, request)
  const input = image === null ? null : new PendingInput(context, await image.fit(judged.generation))
  const requestHash = hashRequest(submission, input?.sha256)
  // Nobody outside is asked again about a video that is there.
  const earlier = await findEarlier(context.db, key, submission, requestHash)
  if (earlier !== null) return earlier
  const wording = await preparePrompt(context, request, retriedFrom)
  const generation = {
    ...(retriedFrom?.request ?? judged.generation),
    prompt: wording.prompt,
    ...(input === null ? {} : { reference_sha256: input.sha256 }),
  }
  const taken: Taken = { requestHash, generating: { ...judged, generation }, wording, input }
  try {
    const result = await transaction(context.db, (db) => insertOrFind(context, db, key, submission, taken))
    if (result.isNew) context.wakeGate()
    return result.video
  } catch (error) {
    await input?.drop()
    throw error
  }
}

/** Everything that can be judged of a request before any money is looked at. Throws SluiceError. */
export async function judgeRequest(
  context: Context,
  key: AccountKey,
  request: CreateRequest,
): Promise<{ judged: Generating; image: SourceImage | null }> {
  if (request.refine_prompt === true && context.config.refiner === null) {
    throw invalidValue('refine_prompt', true, 'false, since this service has no refiner (SLUICE_REFINER_URL)')
  }
  if (request.webhook_url !== undefined) {
    await checkOutgoingUrl(request.webhook_url, 'webhook_url', {
      allowHosts: context.config.webhookAllowHosts,
    })
  }
  const image = await openRequestImage(context, key, request)
  const judged = generationOf(request, offerTo(context, key), context.randomSeed(), image)
  requireModel(key, judged.generation.model)
  return { judged, image }
}

/** A request judged, with its prompt as a runner gets it. */
interface Taken {
  requestHash: Buffer
  generating: Generating
  wording: PreparedPrompt
  input: PendingInput | null
}

async function insertOrFind(
  context: Context,
  db: Database,
  key: AccountKey,
  submission: Submission,
  { requestHash, generating, wording, input }: Taken,
): Promise<{ video: Video; isNew: boolean }> {
  const { currency } = context.config
  const { request } = submission
  const { generation, resolution } = generating
  const tier = request.service_tier ?? 'standard'
  const priced = await priceVideo(db, generating, tier, context.config)
  // Locks the account's money: from here on submissions of one account come one after the other.
  const accounts = await lockOwned(db, key.accountId, currency)
  const earlier = await findEarlier(db, key, submission, requestHash)
  if (earlier !== null) return { video: earlier, isNew: false }

  checkCeilings(request, priced, currency)
  await checkQueue(db, key)
  const budgetStartsAt = await takeFromBudget(db, key, priced.tokens)

  const expiresAfterSeconds = request.execution_expires_after ?? DEFAULT_EXPIRY_SECONDS[tier]
  const videoId = newId('video')
  try {
    await hold(db, videoId, priced.costMicros, accounts)
  } catch (error) {
    if (!(error instanceof BalanceTooSmallError)) throw error
    throw new SluiceError(
      'insufficient_balance',
      `This video costs ${formatMicros(error.neededMicros)} ${currency}, the balance is ${formatMicros(error.availableMicros)} ${currency}.`,
    )
  }
  const inserted = await db.query<Video>({
    name: 'video-insert',
    text: `with active as (update account set last_submitted_at = now() where id = $2)
    insert into video (id, account_id, key_id, model, service_tier, resolution, width, height, num_frames, num_steps, request, metadata,
      remixed_from_video_id, idempotency_key, request_hash, video_tokens, currency, price_micros_per_million, multiplier_bps, hold_micros,
      execution_expires_at, budget_starts_at, retried_from_video_id, refinement, original_prompt,
      webhook_url, retention_seconds)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, now() + make_interval(secs => $21), $22, $23, $24,
      $25, $26, $27)
    returning *`,
    values: [
      videoId,
      key.accountId,
      key.id,
      generation.model,
      tier,
      resolution,
      generation.width,
      generation.height,
      generation.num_frames,
      generation.num_steps,
      generation,
      request.metadata ?? {},
      submission.remixedFromVideoId,
      submission.idempotencyKey,
      requestHash,
      priced.videoTokens,
      currency,
      priced.priceMicrosPerMillion,
      priced.multiplierBps,
      priced.costMicros,
      expiresAfterSeconds,
      budgetStartsAt,
      submission.retriedFrom?.id ?? null,
      wording.refinement,
      wording.originalPrompt,
      request.webhook_url ?? null,
      context.config.retentionSeconds,
    ],
  })
  await input?.keep(db, videoId)
  return { video: one(inserted), isNew: true }
}

async function findEarlier(
  db: Database,
  key: AccountKey,
  submission: Submission,
  requestHash: Buffer,
): Promise<Video | null> {
  if (submission.idempotencyKey !== null) {
    const { rows } = await db.query<Video>({
      name: 'video-idempotent',
      text: 'select * from video where account_id = $1 and idempotency_key = $2',
      values: [key.accountId, submission.idempotencyKey],
    })
    const earlier = rows[0]
    if (earlier === undefined) return null
    if (!earlier.request_hash.equals(requestHash)) {
      throw new SluiceError(
        'idempotency_conflict',
        'This Idempotency-Key was used for another request.',
        'Idempotency-Key',
      )
    }
    return earlier
  }
  if (!submission.isRepeat) return null
  const { rows } = await db.query<Video>({
    name: 'video-retried',
    text: `select * from video where key_id = $1 and request_hash = $2 and created_at > now() - make_interval(secs => $3)
    and idempotency_key is null order by created_at desc limit 1`,
    values: [key.id, requestHash, RETRY_WINDOW_SECONDS],
  })
  return rows[0] ?? null
}

function checkCeilings(request: CreateRequest, priced: Priced, currency: string): void {
  const exceeded = exceededCeiling(request, priced)
  if (exceeded === 'max_tokens') {
    throw new SluiceError(
      'max_tokens_too_small',
      `max_tokens is ${request.max_tokens}: this video generates ${priced.tokens} tokens. Raise it, or ask for fewer frames, steps or pixels.`,
      exceeded,
    )
  }
  if (exceeded === 'max_cost') {
    throw new SluiceError(
      'max_cost_too_small',
      `max_cost is ${request.max_cost}: this video costs ${formatMicros(priced.costMicros)} ${currency}. Raise it, or ask for fewer frames, steps or pixels.`,
      exceeded,
    )
  }
}

/** The request's own ceiling that a video of this price would break, or null. */
export function exceededCeiling(
  request: Pick<CreateRequest, 'max_tokens' | 'max_cost'>,
  priced: Pick<Priced, 'tokens' | 'costMicros'>,
): 'max_tokens' | 'max_cost' | null {
  if (request.max_tokens !== undefined && priced.tokens > BigInt(request.max_tokens)) return 'max_tokens'
  const ceilingMicros = request.max_cost === undefined ? null : parseMicros(request.max_cost)
  return ceilingMicros !== null && priced.costMicros > ceilingMicros ? 'max_cost' : null
}

/** Judges what is queued, in a transaction that holds the account's money: submissions of one account come one after the other. */
async function checkQueue(db: Database, { id, accountId, limits }: AccountKey): Promise<void> {
  const { queued, queued_max, in_flight, unfinished_max, queued_of_key } = one(
    await db.query<{
      queued: bigint
      queued_max: number
      in_flight: bigint
      unfinished_max: number | null
      queued_of_key: bigint
    }>({
      name: 'queue-check',
      text: `select queued_max, (select count(*) from video where account_id = $1 and status = 'queued') as queued,
        unfinished_max, case when unfinished_max is null then 0
          else (select count(*) from video where account_id = $1 and status in ('dispatched', 'running')) end as in_flight,
        case when $3::int is null then 0
          else (select count(*) from video where account_id = $1 and key_id = $2 and status = 'queued') end as queued_of_key
      from account where id = $1`,
      values: [accountId, id, limits.queuedMax],
    }),
  )
  if (limits.queuedMax !== null && queued_of_key >= BigInt(limits.queuedMax)) {
    throw new SluiceError(
      'queue_full',
      `This key has ${queued_of_key} videos queued; at most ${limits.queuedMax} are allowed. Wait for some to finish.`,
    )
  }
  if (queued >= BigInt(queued_max)) {
    throw new SluiceError(
      'queue_full',
      `This account has ${queued} videos queued; at most ${queued_max} are allowed. Wait for some to finish.`,
    )
  }
  if (unfinished_max !== null && queued + in_flight >= BigInt(unfinished_max)) {
    throw new SluiceError(
      'queue_full',
      `This account has ${queued + in_flight} videos queued or running; at most ${unfinished_max} are allowed. Wait for some to finish.`,
    )
  }
}

/** Parsed fields in a fixed order, so that a retry with another multipart boundary or key order hashes the same. An image counts as its SHA-256. */
function hashRequest(
  { request, remixedFromVideoId, retriedFrom }: Submission,
  input_reference: string | undefined,
): Buffer {
  const fields = Object.entries({
    ...request,
    input_reference,
    remixed_from_video_id: remixedFromVideoId,
    retried_from: retriedFrom?.id,
  })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [name, name === 'metadata' ? Object.entries(value as object).sort() : value])
    .sort(([a], [b]) => String(a).localeCompare(String(b)))
  return createHash('sha256').update(JSON.stringify(fields)).digest()
}
