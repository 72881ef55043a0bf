import { type Database, one } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import type { AccountKey } from '../keys/authenticate.ts'

interface QueueRow {
  queued: bigint
  queued_max: number
  in_flight: bigint
  unfinished_max: number | null
  queued_of_key: bigint
}

/**
 * Throws SluiceError `queue_full` when account or key have as many videos queued or unfinished as they may.
 * Call it while the account's money is locked: then submissions of one account come one after the other, and
 * none is counted twice.
 */
export async function checkQueue(db: Database, key: AccountKey): Promise<void> {
  const { queued, queued_max, in_flight, unfinished_max, queued_of_key } = await readQueue(db, key)
  const { queuedMax } = key.limits
  if (queuedMax !== null && queued_of_key >= BigInt(queuedMax))
    throw queueFull(`This key has ${queued_of_key} videos queued`, queuedMax)
  if (queued >= BigInt(queued_max)) throw queueFull(`This account has ${queued} videos queued`, queued_max)
  const unfinished = queued + in_flight
  if (unfinished_max !== null && unfinished >= BigInt(unfinished_max))
    throw queueFull(`This account has ${unfinished} videos queued or running`, unfinished_max)
}

/** Counts only what a limit of the account or key asks for. */
async function readQueue(db: Database, { id, accountId, limits }: AccountKey): Promise<QueueRow> {
  return one(
    await db.query<QueueRow>({
      name: 'queue-check',
      text: `
        select queued_max, unfinished_max,
          (select count(*) from video where account_id = $1 and status = 'queued') as queued,
          case when unfinished_max is null then 0
            else (
              select count(*) from video
              where account_id = $1 and status in ('dispatched', 'running')) end as in_flight,
          case when $3::int is null then 0
            else (
              select count(*) from video
              where account_id = $1 and key_id = $2 and status = 'queued') end as queued_of_key
        from account
        where id = $1`,
      values: [accountId, id, limits.queuedMax],
    }),
  )
}

function queueFull(state: string, max: number): SluiceError {
  return new SluiceError('queue_full', `${state}; at most ${max} are allowed. Wait for some to finish.`)
}
