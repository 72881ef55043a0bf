import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Context } from '../context.ts'
import { setFirstPrices } from '../prices/first-prices.ts'
import { setUpKeys, setUpWorkerToken } from './first-keys.ts'

/** Serialises first starts of several API processes on one database. */
const FIRST_START_LOCK = 0x66697273

/**
 * Makes what an installation needs and is not there yet: prices, a first account with trial credit and its
 * key, an admin key and a worker token, with `keys.json` and `worker-token` in the data dir. `baseUrl` is
 * this process's public address.
 */
export async function setUpInstallation(context: Context, baseUrl: string): Promise<void> {
  const { dataDir } = context.config
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const client = await context.db.connect()
  try {
    await client.query('select pg_advisory_lock($1)', [FIRST_START_LOCK])
    await setFirstPrices(context)
    await setUpWorkerToken(context, join(dataDir, 'worker-token'))
    await setUpKeys(context, join(dataDir, 'keys.json'), baseUrl)
  } finally {
    await client.query('select pg_advisory_unlock($1)', [FIRST_START_LOCK])
    client.release()
  }
}
