import pg from 'pg'
import { openAccountWithKey } from '../../apps/api/src/accounts/open-account.ts'
import { createServices } from '../../apps/api/src/compose.ts'
import { readConfig } from '../../apps/api/src/config/config.ts'

/** More than any run can spend. */
const TRIAL_MICROS = 1_000_000_000_000n

/**
 * Makes accounts with credit and no limit of queued videos, each with a key. The API must have been started
 * once.
 */
export async function createBenchAccounts(
  databaseUrl: string,
  dataDir: string,
  count: number,
): Promise<{ accountId: string; key: string }[]> {
  const env = {
    SLUICE_DATABASE_URL: databaseUrl,
    SLUICE_DATA_DIR: dataDir,
    SLUICE_LOG: 'silent',
    SLUICE_DATABASE_CONNECTIONS: '8',
  }
  const context = await createServices(readConfig(env))
  try {
    const made = []
    for (let index = 0; index < count; index += 1) {
      made.push(await openAccountWithKey(context, { name: `bench ${index}`, trialMicros: TRIAL_MICROS }))
    }
    await runSql(databaseUrl, ['update account set queued_max = 100000000'])
    return made
  } finally {
    await context.close()
  }
}

/** Runs statements one by one. */
export async function runSql(databaseUrl: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}
