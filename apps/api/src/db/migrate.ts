import { fileURLToPath } from 'node:url'
import { runner } from 'node-pg-migrate'

const MIGRATIONS_DIR = fileURLToPath(new URL('../../migrations', import.meta.url))

/**
 * Brings the database up to the newest migration, as its owner. Several API processes may call it at once: an
 * advisory lock lets one at a time through. `log` gets warnings and errors.
 */
export async function migrateDatabase(ownerUrl: string, log: (line: string) => void): Promise<void> {
  await runner({
    databaseUrl: ownerUrl,
    dir: MIGRATIONS_DIR,
    direction: 'up',
    migrationsTable: 'migration',
    checkOrder: true,
    singleTransaction: true,
    advisoryLockMode: 'wait',
    logger: { debug: () => {}, info: () => {}, warn: log, error: log },
  })
}
