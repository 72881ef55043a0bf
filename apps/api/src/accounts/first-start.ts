import { join } from 'node:path'
import { makeFolder } from '@sluice/shared/make-folder'
import type { Context } from '../context.ts'
import { type Database, transaction } from '../db/database.ts'
import { setFirstPrices } from '../prices/first-prices.ts'
import { setUpKeys, setUpWorkerToken } from './first-keys.ts'

/** How long a first start waits for that of another API process on the same database. */
const OTHER_START_MS_MAX = 30_000

/**
 * Makes what an installation needs and is not there yet: prices, a first account with trial credit and its
 * key, an admin key and a worker token, with `keys.json` and `worker-token` in the data dir. `baseUrl` is
 * this process's public address.
 */
export async function setUpInstallation(context: Context, baseUrl: string): Promise<void> {
  const { dataDir } = context.config
  await makeFolder(dataDir, 0o700)
  const setUp = async (db: Database) => {
    await db.query({ text: `set local lock_timeout = ${OTHER_START_MS_MAX}` })
    // Conflicts with itself alone. No advisory lock: the role of GPU hosts could hold it.
    await db.query({ text: 'lock table account in share update exclusive mode' })
    await setFirstPrices(context)
    await setUpWorkerToken(context, join(dataDir, 'worker-token'))
    await setUpKeys(context, join(dataDir, 'keys.json'), baseUrl)
  }
  await transaction(context.db, setUp, { limitMs: OTHER_START_MS_MAX })
}
