import type { Database } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import type { AccountKey } from '../keys/authenticate.ts'
import type { Video } from '../videos/video.ts'
import type { Submission } from './submission.ts'

/** A repeat that an SDK sends by itself is recognised for this long. */
const REPEAT_WINDOW_SECONDS = 600

/** What two submissions of one request have in common. */
export interface RequestIdentity extends Pick<Submission, 'idempotencyKey' | 'isRepeat'> {
  key: Pick<AccountKey, 'id' | 'accountId'>
  requestHash: Buffer
}

/**
 * The video of an earlier submission of the same request: by its Idempotency-Key, or else by its hash when it
 * says that it is a repeat. Null when there is none. Throws SluiceError `idempotency_conflict` when the key
 * was used for another request.
 */
export async function findEarlier(db: Database, identity: RequestIdentity): Promise<Video | null> {
  const { idempotencyKey, isRepeat, key, requestHash } = identity
  if (idempotencyKey === null) return isRepeat ? findRepeated(db, key.id, requestHash) : null
  const { rows } = await db.query<Video>({
    name: 'video-idempotent',
    text: 'select * from video where account_id = $1 and idempotency_key = $2',
    values: [key.accountId, idempotencyKey],
  })
  const earlier = rows[0] ?? null
  if (earlier !== null && !earlier.request_hash.equals(requestHash)) {
    throw new SluiceError(
      'idempotency_conflict',
      'This Idempotency-Key was used for another request.',
      'Idempotency-Key',
    )
  }
  return earlier
}

async function findRepeated(db: Database, keyId: string, requestHash: Buffer): Promise<Video | null> {
  const { rows } = await db.query<Video>({
    name: 'video-repeated',
    text: `
      select * from video
      where key_id = $1 and request_hash = $2 and idempotency_key is null
        and created_at > now() - make_interval(secs => $3)
      order by created_at desc
      limit 1`,
    values: [keyId, requestHash, REPEAT_WINDOW_SECONDS],
  })
  return rows[0] ?? null
}
