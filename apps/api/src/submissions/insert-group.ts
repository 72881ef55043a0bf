import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { sayCrossings } from '../accounts/balance-alerts.ts'
import type { Config } from '../config/config.ts'
import type { Context, QueuedVideo } from '../context.ts'
import { type Database, together, transaction } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { toldHead } from '../gate/told-head.ts'
import { type BudgetTake, readOpenBudgets, takeFromBudgets } from '../keys/budget.ts'
import { lockOwned, lockOwnedThatAreFree, type OwnedAccounts } from '../ledger/accounts.ts'
import { postAll } from '../ledger/post.ts'
import { type Purse, purseOf, readDated } from '../ledger/purse.ts'
import { readMarket } from '../prices/price.ts'
import type { Video } from '../videos/video.ts'
import { insertVideos, type NewVideo } from '../videos/video-store.ts'
import { QueueLimits } from './check-queue.ts'
import { expiresSecondsOf, serviceTierOf } from './create-request.ts'
import { type Accepted, decide, type Standing } from './decide.ts'
import { findEarlier, readByIdempotencyKeys, requireSameRequest } from './find-earlier.ts'
import type { PreparedSubmission } from './prepared.ts'
import { insertOpenAnswers, type Repeats } from './repeats.ts'
import { type Manner, type Outcome, TENANT_BUSY, type Turn, type TurnWork } from './tenant-groups.ts'
import { waitForTurn } from './turn.ts'

/** The video of a submission, new or made by an earlier submission of the same request. */
export interface SubmittedVideo {
  video: Video
  isNew: boolean
}

type GroupContext = Context & { repeats: Repeats }

/** An accepted submission, and its place in the group. */
interface Decided extends Accepted {
  at: number
  submission: PreparedSubmission
}

/**
 * Others wait for whom a group has locked, so it waits for nothing long; for its account apart, a moment. One
 * that is `patient` holds up nobody but its account, and has a call's limits.
 */
const HURRY: Record<Manner, { lockMs: number; idleMs: number } | null> = {
  together: { lockMs: TIME_LIMITS.database.groupRowMs, idleMs: TIME_LIMITS.database.groupIdleMs },
  apart: { lockMs: TIME_LIMITS.database.turnMs, idleMs: TIME_LIMITS.database.groupIdleMs },
  patient: null,
}

/** Ten times what a turn takes from its lock to its last write. */
const SLOW_TURN_MS = 60

/**
 * Makes the videos of submissions that arrived together, in one transaction: with the money of all their
 * accounts locked, each is decided in its turn by what those before it leave, as if it had come alone. One
 * that is refused changes nothing for the others. Submissions of accounts that another transaction has locked
 * are to come again; those of one account, `apart` or `patient`, wait for it. Throws when nothing was stored:
 * HeldUpError when that was for what somebody else has locked, unless it is `patient`.
 */
export function insertGroup(
  context: GroupContext,
  submissions: readonly PreparedSubmission[],
  manner: Manner,
): Promise<Outcome<SubmittedVideo>[]> {
  return insertTaken(context, async () => submissions, manner)
}

/**
 * As `insertGroup`, of what `take` gives once no group of another process is in its turn. Throws without
 * taking when the turn does not come soon.
 */
export async function insertGroupInTurn(
  context: GroupContext,
  take: (turn: Turn) => readonly PreparedSubmission[],
): Promise<TurnWork<SubmittedVideo>> {
  let startedMs = 0
  let tookMs = 0
  const outcomes = await insertTaken(
    context,
    async (db) => {
      const turn = await waitForTurn(db)
      startedMs = performance.now()
      return take(turn)
    },
    'together',
    () => {
      // Without the commit, which is as slow for everybody.
      tookMs = performance.now() - startedMs
    },
  )
  return { outcomes, wasSlow: tookMs > SLOW_TURN_MS }
}

async function insertTaken(
  context: GroupContext,
  take: (db: Database) => Promise<readonly PreparedSubmission[]>,
  manner: Manner,
  onWritten: () => void = () => {},
): Promise<Outcome<SubmittedVideo>[]> {
  const takenIds: string[] = []
  const hurry = HURRY[manner]
  const begunAtMs = performance.now()
  try {
    const group = await transaction(
      context.db,
      async (db) => {
        const made = new Group(context, db, { submissions: await take(db), begunAtMs })
        await made.insert({ isApart: manner !== 'together', takenIds })
        onWritten()
        return made
      },
      hurry === null ? {} : { hurry },
    )
    if (group.queued.length > 0) context.wakeGate({ queued: group.queued })
    return group.outcomes
  } catch (error) {
    // What was taken as a repeat's is a repeat's to take again.
    for (const id of takenIds) context.repeats.noteAnswer(id, 'lost')
    throw error
  }
}

interface Insertion {
  /** Of one account, for whose lock it waits. */
  isApart: boolean
  /** Gets the videos that were taken for repeats. */
  takenIds: string[]
}

/** The submissions of one transaction and what becomes of them. */
class Group {
  readonly #context: GroupContext
  readonly #db: Database
  readonly #submissions: readonly PreparedSubmission[]
  /** Just before its transaction began, by the clock of `performance.now()`. */
  readonly #begunAtMs: number
  readonly #outcomes = new Map<number, Outcome<SubmittedVideo>>()
  /** Where the accepted submission of an Idempotency-Key stands in the group. */
  readonly #acceptedUses = new Map<string, number>()
  /** Submissions of a key that another of this group was accepted with, and where that one stands. */
  readonly #sameAs = new Map<number, number>()
  /** The videos that were queued, as the gate is told of them. */
  queued: readonly QueuedVideo[] = []

  constructor(
    context: GroupContext,
    db: Database,
    { submissions, begunAtMs }: { submissions: readonly PreparedSubmission[]; begunAtMs: number },
  ) {
    this.#context = context
    this.#db = db
    this.#submissions = submissions
    this.#begunAtMs = begunAtMs
  }

  get outcomes(): Outcome<SubmittedVideo>[] {
    return this.#submissions.map((_, at) => this.#outcomes.get(at) ?? TENANT_BUSY)
  }

  async insert(how: Insertion): Promise<void> {
    const standing = await this.#read(how)
    const before = new Map(standing.purses)
    const decided = this.#decide(standing)
    if (decided.length > 0) await this.#write(decided)
    await this.#sayCrossings(before, standing)
    for (const [at, first] of this.#sameAs) {
      const outcome = this.#outcomes.get(first)
      if (outcome !== undefined && outcome !== TENANT_BUSY && 'result' in outcome)
        this.#outcomes.set(at, { result: { video: outcome.result.video, isNew: false } })
    }
  }

  /** Locks the accounts' money, and reads what else counts once it is locked. */
  async #read({ isApart, takenIds }: Insertion): Promise<Standing> {
    const db = this.#db
    const keys = this.#submissions.map(({ key }) => key)
    const accountIds = [...new Set(keys.map(({ accountId }) => accountId))]
    const budgeted = keys.flatMap(({ id, limits }) => (limits.tokenBudget === null ? [] : [id]))
    const uses = this.#submissions.flatMap(({ key: { accountId }, idempotencyKey }) =>
      idempotencyKey === null ? [] : [{ accountId, idempotencyKey }],
    )
    // Sent together: each statement sees what was committed when the one before it had ended, so all but the
    // first see what stands once the accounts are locked.
    const [owned, market, queues, budgets, earlier] = await together([
      this.#lock(accountIds, { isApart }),
      readMarket(
        db,
        this.#submissions.map((one) => ({ priceable: one, tier: serviceTierOf(one.request) })),
        this.#context.config,
      ),
      QueueLimits.read(db, keys),
      readOpenBudgets(db, [...new Set(budgeted)]),
      readByIdempotencyKeys(db, uses),
    ])
    this.#noteEarlier(earlier, owned)
    await this.#findRepeats(owned, takenIds)
    const dated = await readDated(db, queues.withDatedCredit(), this.#context.config.currency)
    const purses = new Map(
      [...owned].map(([accountId, accounts]) => [accountId, purseOf(accountId, accounts, dated)]),
    )
    return { purses, market, queues, budgets }
  }

  async #lock(
    accountIds: readonly string[],
    { isApart }: Pick<Insertion, 'isApart'>,
  ): Promise<Map<string, OwnedAccounts>> {
    const { currency } = this.#context.config
    const [first] = accountIds
    return isApart && first !== undefined
      ? new Map([[first, await lockOwned(this.#db, first, currency)]])
      : lockOwnedThatAreFree(this.#db, accountIds, currency)
  }

  /** Notes the videos of Idempotency-Keys that were used before. */
  #noteEarlier(videos: readonly Video[], owned: ReadonlyMap<string, OwnedAccounts>): void {
    if (videos.length === 0) return
    const earlier = new Map(videos.map((video) => [useOf(video.account_id, video.idempotency_key), video]))
    for (const [at, { key, idempotencyKey, requestHash }] of this.#submissions.entries()) {
      const video = earlier.get(useOf(key.accountId, idempotencyKey))
      if (video === undefined || !owned.has(key.accountId)) continue
      try {
        requireSameRequest(video, { requestHash })
        this.#outcomes.set(at, { result: { video, isNew: false } })
      } catch (error) {
        this.#outcomes.set(at, { error })
      }
    }
  }

  /** Finds the videos of calls that an SDK repeats: seldom, so one by one. */
  async #findRepeats(owned: ReadonlyMap<string, OwnedAccounts>, takenIds: string[]): Promise<void> {
    for (const [at, submission] of this.#submissions.entries()) {
      const { idempotencyKey, tryNumber, key } = submission
      if (idempotencyKey !== null || (tryNumber ?? 0) === 0 || !owned.has(key.accountId)) continue
      const video = await findEarlier(this.#context, this.#db, submission)
      if (video === null) continue
      takenIds.push(video.id)
      this.#outcomes.set(at, { result: { video, isNew: false } })
    }
  }

  /** Decides one after the other. */
  #decide(standing: Standing): Decided[] {
    const decided: Decided[] = []
    for (const [at, submission] of this.#submissions.entries()) {
      if (this.#outcomes.has(at) || !standing.purses.has(submission.key.accountId)) continue
      try {
        const first = this.#firstOfKey(submission)
        if (first === null) {
          decided.push({ at, submission, ...decide(standing, submission) })
          this.#noteUse(submission, at)
        } else this.#sameAs.set(at, first)
      } catch (error) {
        this.#outcomes.set(at, { error })
      }
    }
    return decided
  }

  /**
   * Where the accepted submission with the same Idempotency-Key stands; null when there is none. Throws
   * SluiceError `idempotency_conflict` when that was another request.
   */
  #firstOfKey({ key, idempotencyKey, requestHash }: PreparedSubmission): number | null {
    const first =
      idempotencyKey === null ? undefined : this.#acceptedUses.get(useOf(key.accountId, idempotencyKey))
    const submission = first === undefined ? undefined : this.#submissions[first]
    if (first === undefined || submission === undefined) return null
    requireSameRequest({ request_hash: submission.requestHash, deleted_at: null }, { requestHash })
    return first
  }

  #noteUse({ key, idempotencyKey }: PreparedSubmission, at: number): void {
    if (idempotencyKey !== null) this.#acceptedUses.set(useOf(key.accountId, idempotencyKey), at)
  }

  /** Stores videos, holds and what was taken of budgets: a handful of statements, sent together. */
  async #write(decided: readonly Decided[]): Promise<void> {
    const db = this.#db
    const { repeats } = this.#context
    const open = decided.flatMap(
      ({ submission: { videoId, key, requestHash, tryNumber, idempotencyKey } }) =>
        tryNumber === null || idempotencyKey !== null
          ? []
          : [{ videoId, keyId: key.id, requestHash, tryNumber }],
    )
    for (const { videoId } of open) repeats.noteOpen(videoId)
    const [inserted] = await together([
      insertVideos(
        db,
        decided.map((one) => newVideoOf(one, this.#context.config)),
      ),
      postAll(
        db,
        decided.map(({ hold }) => hold),
      ),
      takeFromBudgets(db, takesOf(decided)),
      insertOpenAnswers(db, open),
      ...decided.flatMap(({ submission: { image } }) => (image === null ? [] : [image.keep(db)])),
    ])
    for (const [index, { at }] of decided.entries()) {
      const video = inserted[index]?.video
      if (video !== undefined) this.#outcomes.set(at, { result: { video, isNew: true } })
    }
    this.queued = inserted.flatMap(({ video, standing }) =>
      video.waits_for === null
        ? { id: video.id, known: { row: toldHead(video, standing), readAtMs: this.#begunAtMs } }
        : [],
    )
  }

  /** Says which balances got low or ran out, by what was held or refused. */
  async #sayCrossings(purses: ReadonlyMap<string, Purse>, standing: Standing): Promise<void> {
    const refused = new Set(
      this.#submissions.flatMap(({ key }, at) =>
        isWantOfBalance(this.#outcomes.get(at)) ? [key.accountId] : [],
      ),
    )
    for (const [accountId, before] of purses) {
      const after = standing.purses.get(accountId) ?? before
      const wasRefused = refused.has(accountId)
      if (after === before && !wasRefused) continue
      await sayCrossings(
        this.#db,
        { accountId, before, after, wasRefused },
        standing.queues.alertsOf(accountId),
        this.#context.config.currency,
      )
    }
  }
}

/** Whether a submission was refused for want of balance. */
function isWantOfBalance(outcome: Outcome<SubmittedVideo> | undefined): boolean {
  return (
    typeof outcome === 'object' &&
    'error' in outcome &&
    outcome.error instanceof SluiceError &&
    outcome.error.code === 'insufficient_balance'
  )
}

function useOf(accountId: string, idempotencyKey: string | null): string {
  return `${accountId} ${idempotencyKey}`
}

/** What is taken of each key's budget together. */
function takesOf(decided: readonly Decided[]): BudgetTake[] {
  const takes = new Map<string, BudgetTake>()
  for (const { submission, budget, priced } of decided) {
    if (budget === null) continue
    const keyId = submission.key.id
    takes.set(keyId, { keyId, budget, tokens: (takes.get(keyId)?.tokens ?? 0n) + priced.tokens })
  }
  return [...takes.values()]
}

function newVideoOf({ submission, priced, start, budget }: Decided, config: Config): NewVideo {
  const { key, request, generation, resolution, prompt } = submission
  return {
    id: submission.videoId,
    account_id: key.accountId,
    key_id: key.id,
    service_tier: serviceTierOf(request),
    resolution,
    request: generation,
    metadata: request.metadata ?? {},
    remixed_from_video_id: submission.remixedFromVideoId,
    retried_from_video_id: submission.retriedFrom?.id ?? null,
    webhook_url: request.webhook_url ?? null,
    refinement: prompt.refinement,
    original_prompt: prompt.originalPrompt,
    idempotency_key: submission.idempotencyKey,
    request_hash: submission.requestHash,
    video_tokens: priced.videoTokens,
    currency: config.currency,
    price_micros_per_million: priced.priceMicrosPerMillion,
    multiplier_bps: priced.multiplierBps,
    hold_micros: priced.costMicros,
    max_price_micros: priced.maxPriceMicros,
    not_before: request.not_before === undefined ? null : new Date(request.not_before * 1_000),
    waits_for: start.waitsFor,
    budget_starts_at: budget === null ? null : budget.startsAt,
    input_kept: submission.image !== null,
    retention_seconds: config.retentionSeconds,
    expires_after_seconds: expiresSecondsOf(request),
    promised: submission.promised,
  }
}
