import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'

/** SQL: whether worker `w` was heard of within the lease (`leaseMs`: SQL, such as `$1::int`). */
export function isHeardOfSql(leaseMs: string): string {
  return `w.heartbeat_at > now() - ${leaseMs} * interval '1 millisecond'`
}

/** SQL: whether worker `w` is of the pool, and spoke with the same token, as its heartbeats say. */
export function mayBindSql(keyId: string, pool: string): string {
  return `w.key_id = ${keyId} and w.pool = ${pool}`
}

/** Who wants to bind an attempt: a worker, and the token its report came with. */
export interface Claimant {
  workerId: string
  keyId: string
}

/**
 * The boot of a worker that may bind attempts of the pool. Null for anyone else, who is told nothing of the
 * video. Throws SluiceError `unavailable` for a worker that was not heard of within the lease: after its next
 * heartbeat it may ask again.
 */
export async function bootOfClaimant(
  db: Database,
  pool: string,
  { workerId, keyId }: Claimant,
  leaseMs: number,
): Promise<string | null> {
  const { rows } = await db.query<{ boot: string; lives: boolean; may_bind: boolean }>({
    name: 'claimant-read',
    text: `
      select boot, ${isHeardOfSql('$2::int')} as lives, ${mayBindSql('$3', '$4')} as may_bind
      from worker w
      where id = $1`,
    values: [workerId, leaseMs, keyId, pool],
  })
  const worker = rows[0]
  if (worker === undefined || !worker.lives)
    throw new SluiceError('unavailable', 'No heartbeat of this worker was heard lately: send one first.')
  return worker.may_bind ? worker.boot : null
}
