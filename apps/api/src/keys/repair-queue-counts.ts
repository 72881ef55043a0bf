import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { recordChange } from '../audit/record-change.ts'
import type { Context } from '../context.ts'
import { type Database, transaction } from '../db/database.ts'

/** A count that was not what the videos say, and by how much it was too high. */
export interface CountDrift {
  account_id: string
  /** Empty: the count of the account. */
  key_id: string
  service_tier: string
  queued: bigint
  in_flight: bigint
}

/**
 * Makes all counts of queued and running videos what the videos say, records that in the audit, and returns
 * those that were not. `adminKeyId` is the admin key that asks. Nobody waits for it: what is wrong is the
 * same for every transaction, whatever else it changes meanwhile, so it is added in a row of its own.
 */
export function repairQueueCounts(
  { db: pool }: Pick<Context, 'db'>,
  adminKeyId: string,
): Promise<CountDrift[]> {
  return transaction(
    pool,
    async (db) => {
      const drifts = await addMissing(db)
      if (drifts.length > 0) {
        await recordChange(db, {
          keyId: adminKeyId,
          action: 'queue_counts.repaired',
          subject: 'queue',
          details: { counts: drifts.length },
        })
      }
      return drifts
    },
    { limitMs: TIME_LIMITS.database.sumMs },
  )
}

/** Counts and videos are read in one statement, so as of one moment. */
async function addMissing(db: Database): Promise<CountDrift[]> {
  const { rows } = await db.query<CountDrift>({
    text: `
      with drift as materialized (select * from queue_count_drift),
      repaired as (
        insert into queue_count as c (account_id, key_id, service_tier, writer, queued, in_flight)
        select account_id, key_id, service_tier, 'repair', -queued, -in_flight from drift
        on conflict (account_id, key_id, service_tier, writer) do update
          set queued = c.queued + excluded.queued, in_flight = c.in_flight + excluded.in_flight)
      select * from drift order by account_id, key_id, service_tier`,
  })
  return rows
}
