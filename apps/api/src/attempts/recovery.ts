import { within } from '@sluice/shared/time-limit'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import type { Context } from '../context.ts'
import { type Database, one, transaction } from '../db/database.ts'
import { unansweredCancelEnd } from '../videos/end.ts'
import { noteMissedPromises } from '../videos/missed-promises.ts'
import { endVideo, lockVideo } from '../videos/transition.ts'
import { IS_UNFINISHED_SQL } from '../videos/video.ts'
import { expireVideo, giveUpAttempt } from './give-up.ts'
import { isSilentSql, noteReception } from './reception.ts'

/** Rows of each kind that are read at a time; the others wait for the next reading. */
const BATCH = 200
/**
 * Videos recovered at a time: those whose attempts may have left something in the store, which must be asked,
 * and the others. Each kind has places of its own, so that a store that hangs keeps nobody else waiting. The
 * former spend their time in the store, so they keep few of the internal connections.
 */
const PLACES = { store: 16, database: 2 } as const
/** What a worker still uploads when the time of its video is over gets this long: it is finished work. */
const UPLOAD_SECONDS = 30

type Kind = keyof typeof PLACES
const KINDS = ['store', 'database'] as const satisfies Kind[]

interface DueRow {
  video_id: string
  fence: number
  reason: 'silent' | 'cancel_unanswered' | 'expired'
  /** A worker took its attempt, so something may lie in the store. */
  is_taken: boolean
}

/**
 * Finds what must be recovered and recovers it, each video for itself: with a time limit, after which its
 * place is another's, and beside the others, so that one that hangs or fails keeps none from it.
 */
export class Recovery {
  readonly #context: Context
  readonly #videoMs: number
  /** By kind: video ids under way, and what was read and has no place yet. */
  readonly #underWay: Record<Kind, Map<string, Promise<void>>> = { store: new Map(), database: new Map() }
  readonly #waiting: Record<Kind, DueRow[]> = { store: [], database: [] }

  constructor(context: Context, { videoMs }: { videoMs: number } = TIME_LIMITS.recovery) {
    this.#context = context
    this.#videoMs = videoMs
  }

  /**
   * Writes that workers can be heard, and which promises were missed, then starts to recover what is due;
   * what has no place waits for one, or for the next reading. Throws when the database is away.
   */
  async startDue(): Promise<void> {
    await noteReception(this.#context.db)
    await noteMissedPromises(this.#context.db)
    const due = Object.groupBy(await this.#readDue(), kindOf)
    for (const kind of KINDS) {
      this.#waiting[kind] = due[kind] ?? []
      this.#fill(kind)
    }
  }

  /** Takes nothing more up; resolves when what is under way is over. Never rejects. */
  async stop(): Promise<void> {
    for (const kind of KINDS) this.#waiting[kind] = []
    await this.idle()
  }

  /** Resolves when what was read has been recovered, or could not be. Never rejects. */
  async idle(): Promise<void> {
    for (;;) {
      const underWay = KINDS.flatMap((kind) => [...this.#underWay[kind].values()])
      if (underWay.length === 0) return
      await Promise.all(underWay)
    }
  }

  #fill(kind: Kind): void {
    while (this.#underWay[kind].size < PLACES[kind]) {
      const row = this.#waiting[kind].shift()
      if (row === undefined) return
      if (!this.#underWay[kind].has(row.video_id)) this.#start(kind, row)
    }
  }

  #start(kind: Kind, row: DueRow): void {
    const { log } = this.#context
    const tooLate = () => new Error(`not within ${this.#videoMs} ms`)
    const done = within(this.#videoMs, recover(this.#context, row), tooLate)
      .catch((error: unknown) =>
        log.error(
          { err: error, video: row.video_id, fence: row.fence, reason: row.reason },
          'a video cannot be recovered yet',
        ),
      )
      .finally(() => {
        this.#underWay[kind].delete(row.video_id)
        this.#fill(kind)
      })
    this.#underWay[kind].set(row.video_id, done)
  }

  async #readDue(): Promise<DueRow[]> {
    const { db, config } = this.#context
    const { leaseMs, cancelAnswerMs } = config.timings
    const { rows } = await db.query<DueRow>({
      name: 'reconcile-due',
      text: `
        (select id as video_id, fence, 'cancel_unanswered' as reason, true as is_taken from video
          where status = 'running' and cancel_requested_at < now() - make_interval(secs => $2::float8 / 1000)
            and id <> all ($3::text[])
          limit $4)
        union all
        (select id, fence, 'expired', false from (
            select v.id, v.fence from video v
            where v.${IS_UNFINISHED_SQL} and v.execution_expires_at < now() and v.id <> all ($3)
              and not exists (
                select from attempt a where a.video_id = v.id and a.fence = v.fence and a.ended_at is null
                  and a.claim is not null)
            order by v.execution_expires_at
            limit 10 * $4::int) oldest
          -- so that those that cannot be recovered yet do not fill every batch
          order by random()
          limit $4)
        union all
        (select a.video_id, a.fence, 'expired', true from attempt a
          -- video by video: of those whose time is over most may be queued
          cross join lateral (
            select execution_expires_at from video v
            where v.id = a.video_id and v.fence = a.fence and v.${IS_UNFINISHED_SQL}
            offset 0) v
          where a.ended_at is null and a.claim is not null and a.video_id <> all ($3)
            and v.execution_expires_at < now()
            and (a.released_at is null or v.execution_expires_at < now() - make_interval(secs => $5))
          order by random()
          limit $4)
        union all
        (select a.video_id, a.fence, 'silent', a.claim is not null from attempt a
          where a.ended_at is null and ${isSilentSql('$1::int')} and a.video_id <> all ($3)
          order by a.claim is not null, random()
          limit $4)`,
      values: [leaseMs, cancelAnswerMs, this.#idsUnderWay(), BATCH, UPLOAD_SECONDS],
    })
    return rows
  }

  #idsUnderWay(): string[] {
    return KINDS.flatMap((kind) => [...this.#underWay[kind].keys()])
  }
}

/** Recovers what is due now, once; resolves when each of it was tried. Throws when the database is away. */
export async function recoverDue(context: Context, limits?: { videoMs: number }): Promise<void> {
  const recovery = new Recovery(context, limits)
  await recovery.startDue()
  await recovery.idle()
}

/**
 * How many attempts should have been recovered by now: silent, or their video over, for longer than one try
 * takes. Above 0 for more than moments, something keeps them, such as a store that is away.
 */
export async function countOverdue(db: Database, leaseMs: number): Promise<number> {
  const { videoMs } = TIME_LIMITS.recovery
  const { overdue } = one(
    await db.query<{ overdue: bigint }>({
      name: 'recovery-overdue',
      text: `
        select count(*) as overdue
        from attempt a
        join video v on v.id = a.video_id and v.fence = a.fence
        where a.ended_at is null
          and (${isSilentSql('$1::int')}
            or v.execution_expires_at < now() - $2::int * interval '1 millisecond')`,
      values: [leaseMs + videoMs, UPLOAD_SECONDS * 1_000 + videoMs],
    }),
  )
  return Number(overdue)
}

/** A cancel that nobody answered needs no store: it is charged what was known, finished or not. */
function kindOf(row: DueRow): Kind {
  return row.is_taken && row.reason !== 'cancel_unanswered' ? 'store' : 'database'
}

async function recover(context: Context, { video_id, fence, reason }: DueRow): Promise<void> {
  switch (reason) {
    case 'silent':
      return giveUpAttempt(context, video_id, fence, { silentMs: context.config.timings.leaseMs })
    case 'cancel_unanswered':
      return endUnansweredCancel(context, video_id)
    case 'expired':
      return expireVideo(context, video_id, fence)
    default:
      reason satisfies never
  }
}

async function endUnansweredCancel(context: Context, videoId: string): Promise<void> {
  await transaction(context.db, async (db) => {
    const video = await lockVideo(db, videoId)
    if (video?.status !== 'running' || video.cancel_requested_at === null) return
    await endVideo(db, video, unansweredCancelEnd(video, video.step), context.systemAccounts)
  })
  context.wakeGate()
}
