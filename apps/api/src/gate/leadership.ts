import { type Database, one } from '../db/database.ts'

/**
 * A leader that is silent for so long is frozen, or out of reach: the server ends its session, and the
 * leadership with it.
 */
export const LEADER_SILENT_MS_MAX = 5_000
/**
 * A leader renews its leadership every second. Longer than its session may be idle before the server ends it,
 * so that whoever takes over after this time knows that the former leader can dispatch nothing more.
 */
export const LEASE_MS = 10_000

/** A leadership that was won. */
export interface Leadership {
  holder: string
  term: bigint
}

/** Another gate took the leadership over. */
class LeadershipLostError extends Error {
  override readonly name = 'LeadershipLostError'
}

/** The leader's session has ended, or has been silent for too long. */
const IS_FREE_SQL = `(holder is null
  or renewed_at < clock_timestamp() - interval '${LEASE_MS} milliseconds'
  or server_started_at <> pg_postmaster_start_time()
  or not exists (select from pg_stat_activity a where a.pid = gate_leader.pid))`

/**
 * Takes the leadership for the session of `db`, unless another gate has it; null then. `holder` names one
 * gate: it gets its own leadership back at once, since it has given up the session that had it.
 */
export async function winLeadership(db: Database, holder: string): Promise<Leadership | null> {
  const { rows } = await db.query<{ term: bigint }>({
    name: 'gate-win',
    text: `update gate_leader set
      term = term + 1,
      holder = $1,
      pid = pg_backend_pid(),
      server_started_at = pg_postmaster_start_time(),
      renewed_at = clock_timestamp()
    -- Of several that see it free, the first raises the term, and the others find none of theirs.
    where term = (select term from gate_leader) and (holder = $1 or ${IS_FREE_SQL})
    returning term`,
    values: [holder],
  })
  const [row] = rows
  return row === undefined ? null : { holder, term: row.term }
}

/** Throws LeadershipLostError when another gate has it. */
export async function renewLeadership(db: Database, { holder, term }: Leadership): Promise<void> {
  const { rowCount } = await db.query({
    name: 'gate-renew',
    text: 'update gate_leader set renewed_at = clock_timestamp() where holder = $1 and term = $2',
    values: [holder, term],
  })
  if (rowCount === 0) throw new LeadershipLostError('another process leads the gate')
}

/** Whether any process leads the gate now. */
export async function isGateLed(db: Database): Promise<boolean> {
  return !one(
    await db.query<{ is_free: boolean }>({ text: `select ${IS_FREE_SQL} as is_free from gate_leader` }),
  ).is_free
}
