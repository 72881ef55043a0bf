import type { Database } from '../db/database.ts'

/*
 * Silence of a worker means something only while it could have been heard. Each API process writes every
 * second that it is there and has a database; table reception keeps since when somebody did without a gap.
 * All times are the database's, so a pause of the whole machine, a stopped process, a database that was away
 * and a clock that was set all read as what they are: a time in which nobody could be heard.
 */

/** A longer gap is one in which heartbeats may have been lost: a heartbeat comes every 5 s. */
const GAP_MS = 5_000
/** Clocks of transactions that wait for each other differ by less. */
const BACKWARDS_MS = 1_000

const milliseconds = (value: number | string) => `${value} * interval '1 millisecond'`

/**
 * SQL: whether attempt `a` was silent for a whole lease (`leaseMs`: SQL, such as `$1::int`) in which somebody
 * could have heard it. A heartbeat that lies more than a lease ahead was written before the clock was set
 * back, and says nothing.
 */
export function isSilentSql(leaseMs: string): string {
  return `(
    a.heartbeat_at not between now() - ${milliseconds(leaseMs)} and now() + ${milliseconds(leaseMs)}
    and exists (
      select from reception
      where since < now() - ${milliseconds(leaseMs)} and until > now() - ${milliseconds(GAP_MS)}))`
}

/** Writes that this process hears workers now. A crash may lose it: that reads as a gap. */
export async function noteReception(db: Database): Promise<void> {
  await db.query({
    name: 'reception-note',
    text: `
      update reception
      set until = now(),
        since = case
          when until between now() - ${milliseconds(GAP_MS)} and now() + ${milliseconds(BACKWARDS_MS)}
            then since
          else now()
        end
      returning set_config('synchronous_commit', 'off', true)`,
  })
}

/** Writes that an API process has begun. */
export async function noteApiStart(db: Database): Promise<void> {
  await db.query({ text: 'update reception set api_started_at = now()' })
}
