import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import type { Attempt } from '../videos/attempt.ts'

/** Who wants to bind an attempt: a worker, and the token its report came with. */
export interface Claimant {
  workerId: string
  keyId: string
}

/**
 * The boot of a worker that may bind the attempt: it is of the attempt's pool, and spoke with the same token,
 * as its heartbeats say. Null for anyone else, who is told nothing of the video. Throws SluiceError
 * `unavailable` for a worker that was not heard of within the lease: after its next heartbeat it may ask
 * again.
 */
export async function bootOfClaimant(
  db: Database,
  { pool }: Attempt,
  { workerId, keyId }: Claimant,
  leaseMs: number,
): Promise<string | null> {
  const { rows } = await db.query<{ key_id: string; pool: string; boot: string; lives: boolean }>({
    name: 'claimant-read',
    text: `
      select key_id, pool, boot, heartbeat_at > now() - $2::int * interval '1 millisecond' as lives
      from worker
      where id = $1`,
    values: [workerId, leaseMs],
  })
  const worker = rows[0]
  if (worker === undefined || !worker.lives)
    throw new SluiceError('unavailable', 'No heartbeat of this worker was heard lately: send one first.')
  return worker.key_id === keyId && worker.pool === pool ? worker.boot : null
}
