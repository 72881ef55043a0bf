import type { Context } from '../context.ts'
import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import type { AccountKey } from '../keys/authenticate.ts'
import type { Video } from '../videos/video.ts'
import { readVideo } from '../videos/video-store.ts'
import type { Repeats } from './repeats.ts'
import type { Submission } from './submission.ts'

/** What two submissions of one request have in common. */
export interface RequestIdentity extends Pick<Submission, 'idempotencyKey' | 'tryNumber'> {
  key: Pick<AccountKey, 'id' | 'accountId'>
  requestHash: Buffer
}

/**
 * The video of an earlier submission of the same request: by its Idempotency-Key, or else of an earlier try
 * of the same call, when its SDK says that there was one. Null when there is none. `db` is the transaction
 * that holds the account's lock, or null before it. Throws SluiceError `idempotency_conflict` when the key
 * was used for another request.
 */
export async function findEarlier(
  context: Context & { repeats: Repeats },
  db: Database | null,
  identity: RequestIdentity,
): Promise<Video | null> {
  const { idempotencyKey, tryNumber, key, requestHash } = identity
  if (idempotencyKey !== null) return findByKey(db ?? context.db, identity, idempotencyKey)
  if (tryNumber === null || tryNumber === 0) return null
  const call = { keyId: key.id, requestHash, tryNumber }
  const found =
    db === null ? await context.repeats.find(context.db, call) : await context.repeats.findUnderLock(db, call)
  if (found === null) return null
  try {
    return await readVideo(db ?? context.db, key.accountId, found)
  } catch (error) {
    context.repeats.noteAnswer(found, 'lost')
    throw error
  }
}

async function findByKey(
  db: Database,
  { key, requestHash }: RequestIdentity,
  idempotencyKey: string,
): Promise<Video | null> {
  const { rows } = await db.query<Video>({
    name: 'video-idempotent',
    text: 'select * from video where account_id = $1 and idempotency_key = $2',
    values: [key.accountId, idempotencyKey],
  })
  const earlier = rows[0] ?? null
  if (earlier !== null && !earlier.request_hash.equals(requestHash)) {
    throw conflict('This Idempotency-Key was used for another request.')
  }
  if (earlier?.deleted_at instanceof Date)
    throw conflict('This Idempotency-Key was used for a video that has been deleted. Send another key.')
  return earlier
}

function conflict(message: string): SluiceError {
  return new SluiceError('idempotency_conflict', message, 'Idempotency-Key')
}
