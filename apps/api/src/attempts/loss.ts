import { one } from '../db/database.ts'
import type { LockedAttempt } from './locked-attempt.ts'

/** What is known of an attempt that ended without a word of its own worker process. */
export interface Loss {
  isTaken: boolean
  /** Its runner had begun, and its device was not free yet. */
  isOnDevice: boolean
  /** Its worker has been started again since it took it. */
  hasRestarted: boolean
  /** Its worker was heard of within the lease. */
  lives: boolean
  /** Attempts at other videos were lost in the same moment. */
  hasCompany: boolean
  /** The API or the database was away, or began anew, after its last sign of life. */
  isDisturbed: boolean
}

/**
 * Whether the video may have brought down its worker: the process died while this video, and nothing else,
 * was on a device, and the installation around it went on. A host that lost its power, an operator who
 * restarted everything, a worker that forgot a video say nothing about the video.
 */
export function mayBeItsDoing(loss: Loss): boolean {
  const hasDied = loss.hasRestarted || !loss.lives
  return loss.isTaken && loss.isOnDevice && hasDied && !loss.hasCompany && !loss.isDisturbed
}

/** What happened, as an operator reads it. */
export function lossMessage({ isTaken, hasRestarted, lives }: Loss): string {
  if (!isTaken) return 'No worker took it in time.'
  if (hasRestarted) return 'Its worker was started again and came back without it.'
  return lives ? 'Its worker no longer names it.' : 'Its worker fell silent.'
}

/**
 * Reads what is known, under the video's lock. Others count as lost in the same moment when their last sign
 * of life lies within half a lease of this one's, and since then they were given up, or their worker was
 * started again or was not heard of for as long.
 */
export async function readLoss({ db, attempt, context }: LockedAttempt): Promise<Loss> {
  const row = one(
    await db.query<{ has_restarted: boolean; lives: boolean; has_company: boolean; is_disturbed: boolean }>({
      name: 'attempt-loss',
      text: `
        with lost as (
          select a.*, $3::float8 * interval '1 millisecond' as lease
          from attempt a where a.video_id = $1 and a.fence = $2)
        select
          coalesce(w.boot <> l.boot, false) as has_restarted,
          coalesce(w.heartbeat_at > now() - l.lease, false) as lives,
          exists (
            select from attempt o
            left join worker ow on ow.id = o.worker_id
            where o.video_id <> l.video_id and o.claim is not null
              and o.started_at is not null and o.released_at is null
              -- Of all attempts there have been, only the newest are read.
              and (o.ended_at is null or (o.outcome = 'lost' and o.ended_at > l.heartbeat_at - l.lease / 2))
              and o.heartbeat_at between l.heartbeat_at - l.lease / 2 and l.heartbeat_at + l.lease / 2
              and (o.outcome = 'lost' or o.worker_id = l.worker_id or ow.boot <> o.boot
                or ow.heartbeat_at < now() - l.lease / 2)
          ) as has_company,
          greatest(r.since, r.api_started_at, pg_postmaster_start_time()) > l.heartbeat_at as is_disturbed
        from lost l
        left join worker w on w.id = l.worker_id
        cross join reception r`,
      values: [attempt.video_id, attempt.fence, context.config.timings.leaseMs],
    }),
  )
  return {
    isTaken: attempt.claim !== null,
    isOnDevice: attempt.started_at !== null && attempt.released_at === null,
    hasRestarted: row.has_restarted,
    lives: row.lives,
    hasCompany: row.has_company,
    isDisturbed: row.is_disturbed,
  }
}
