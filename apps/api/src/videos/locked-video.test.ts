import { expect, test } from 'vitest'
import type { Database } from '../db/database.ts'
import type { SystemAccounts } from '../ledger/accounts.ts'
import { expiredEnd } from './end.ts'
import { yieldedRequeue } from './requeue.ts'
import { endVideo, type LockedVideo, lockVideo, requeueVideo, startVideo } from './transition.ts'
import type { Video } from './video.ts'
import { readVideo, requestCancel } from './video-store.ts'

/** Never called: that it compiles is the proof. An unused `@ts-expect-error` is an error of the compiler. */
async function changesNeedTheLock(db: Database, unlocked: Video, system: SystemAccounts): Promise<void> {
  // @ts-expect-error a row that was only read may have changed since
  await startVideo(db, unlocked)
  // @ts-expect-error
  await requeueVideo(db, unlocked, yieldedRequeue(unlocked))
  // @ts-expect-error
  await endVideo(db, unlocked, expiredEnd(), system)
  // @ts-expect-error
  await requestCancel(db, unlocked)
  // @ts-expect-error
  await startVideo(db, await readVideo(db, unlocked.account_id, unlocked.id))
  const locked: LockedVideo | null = await lockVideo(db, unlocked.id)
  if (locked !== null) await startVideo(db, locked)
}

test('a video that was not locked cannot be started, requeued, ended or cancelled', () => {
  expect(changesNeedTheLock).toBeTypeOf('function')
})
