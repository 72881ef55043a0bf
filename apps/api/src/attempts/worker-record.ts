import { RUNNER_FAILURES } from '@sluice/shared/attempt-contract'
import type { LockedAttempt } from './locked-attempt.ts'

/** Longer than the longest rest of a slot and one long video; what was longer ago says nothing of now. */
const RECENT_SECONDS = 3_600

/** What an attempt failed of that was not only its video's, its store's or its customer's fault. */
const TELLING_CODES = [...RUNNER_FAILURES, 'host_failed', 'attempts_exhausted']

/**
 * Whether the attempt's worker failed another video just before, with none made in between: two videos in a
 * row say more about the worker than about either. Of what ended there lately, only what was made or failed
 * in a telling way counts.
 */
export async function failedAnotherBefore({ db, attempt }: LockedAttempt): Promise<boolean> {
  const { rows } = await db.query<{ video_id: string; outcome: string }>({
    name: 'worker-last-outcome',
    text: `
      select video_id, outcome from attempt
      where worker_id = $1 and ended_at > now() - make_interval(secs => $2)
        and (outcome = 'completed' or (outcome = 'failed' and error_code = any($3)))
      order by ended_at desc
      limit 1`,
    values: [attempt.worker_id, RECENT_SECONDS, TELLING_CODES],
  })
  const [last] = rows
  return last !== undefined && last.outcome === 'failed' && last.video_id !== attempt.video_id
}
