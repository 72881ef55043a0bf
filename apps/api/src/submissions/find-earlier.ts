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

/** The account's use of an Idempotency-Key. */
export interface KeyUse {
  accountId: string
  idempotencyKey: string
}

/** Reads the videos that were submitted with these keys. */
export async function readByIdempotencyKeys(db: Database, uses: readonly KeyUse[]): Promise<Video[]> {
  if (uses.length === 0) return []
  const { rows } = await db.query<Video>({
    name: 'videos-idempotent',
    text: `
      select v.*
      from unnest($1::text[], $2::text[]) u (account_id, idempotency_key)
      join video v on v.account_id = u.account_id and v.idempotency_key = u.idempotency_key`,
    values: [uses.map(({ accountId }) => accountId), uses.map(({ idempotencyKey }) => idempotencyKey)],
  })
  return rows
}

/**
 * Throws SluiceError `idempotency_conflict` when the video of this Idempotency-Key was another request's, or
 * has been deleted.
 */
export function requireSameRequest(
  earlier: Pick<Video, 'request_hash' | 'deleted_at'>,
  { requestHash }: Pick<RequestIdentity, 'requestHash'>,
): void {
  if (!earlier.request_hash.equals(requestHash))
    throw conflict('This Idempotency-Key was used for another request.')
  if (earlier.deleted_at !== null)
    throw conflict('This Idempotency-Key was used for a video that has been deleted. Send another key.')
}

async function findByKey(
  db: Database,
  { key, requestHash }: RequestIdentity,
  idempotencyKey: string,
): Promise<Video | null> {
  const [earlier] = await readByIdempotencyKeys(db, [{ accountId: key.accountId, idempotencyKey }])
  if (earlier === undefined) return null
  requireSameRequest(earlier, { requestHash })
  return earlier
}

function conflict(message: string): SluiceError {
  return new SluiceError('idempotency_conflict', message, 'Idempotency-Key')
}
