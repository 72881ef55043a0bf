import { fileURLToPath } from 'node:url'
import { DatabaseAwayError, type JudgedDatabase, judgeDatabase } from '@sluice/shared/judge-database'
import { pause } from '@sluice/shared/pause'
import { BoundedClient, startupOptions } from '@sluice/shared/postgres-client'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { runner } from 'node-pg-migrate'
import type pg from 'pg'
import { API_APPLICATION } from './database.ts'

const MIGRATIONS_DIR = fileURLToPath(new URL('../../migrations', import.meta.url))
const RETRY_MS = 500
const { migrateMs } = TIME_LIMITS.database

interface MigrateOptions {
  /** How long a database that is away is waited for. */
  waitMs?: number
  /** Gets a line when the wait begins. */
  onWaiting?: (error: DatabaseAwayError) => void
  /** The folder of the migrations; tests set it. */
  dir?: string
}

/**
 * Judges the database and brings it up to the newest migration, as its owner. Several API processes may call
 * it at once: one at a time migrates. Throws UnfitDatabaseError, or DatabaseAwayError after `waitMs`.
 */
export async function migrateDatabase(ownerUrl: string, options: MigrateOptions = {}): Promise<void> {
  const { dir = MIGRATIONS_DIR } = options
  const { isBehind, isFresh } = await judgeWhenThere(ownerUrl, dir, options)
  if (!isBehind) return
  await withOwner(ownerUrl, async (client) => {
    if (isFresh) {
      await runMigrations(client, { dir, noLock: false })
      return
    }
    // Where there is a schema there may be GPU hosts, whose role can take any advisory lock but not this.
    await withOwner(ownerUrl, async (locker) => {
      await locker.query('begin')
      await locker.query('lock table migration in share update exclusive mode')
      const hasChanged = await runMigrations(client, { dir, noLock: true })
      await locker.query('commit')
      if (hasChanged) await renewOtherSessions(client)
    })
  })
}

async function judgeWhenThere(url: string, dir: string, options: MigrateOptions): Promise<JudgedDatabase> {
  const { waitMs = TIME_LIMITS.database.startMs, onWaiting = () => {} } = options
  const deadlineMs = performance.now() + waitMs
  let isWaiting = false
  for (;;) {
    try {
      return await judgeDatabase(url, dir)
    } catch (error) {
      if (!(error instanceof DatabaseAwayError) || performance.now() > deadlineMs) throw error
      if (!isWaiting) onWaiting(error)
      isWaiting = true
      await pause(RETRY_MS)
    }
  }
}

async function withOwner(url: string, work: (client: pg.Client) => Promise<void>): Promise<void> {
  const client = new BoundedClient({
    connectionString: url,
    options: startupOptions({
      timezone: 'UTC',
      statement_timeout: migrateMs,
      lock_timeout: migrateMs,
      idle_in_transaction_session_timeout: migrateMs,
    }),
    answerMs: migrateMs,
  })
  await client.connect()
  try {
    await work(client)
  } finally {
    await client.end()
  }
}

/**
 * An API of the version before, which goes on while a new one is rolled out, has statements prepared for the
 * old columns: each would fail in its session for good ("cached plan must not change result type"). It opens
 * new sessions.
 */
async function renewOtherSessions(client: pg.Client): Promise<void> {
  await client.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and usename = session_user and application_name = $1`,
    [API_APPLICATION],
  )
}

/**
 * Returns whether there was anything to do. Nothing is logged: node-pg-migrate shows a failed migration's
 * whole SQL, and the error says why.
 */
async function runMigrations(
  dbClient: pg.Client,
  { dir, noLock }: { dir: string; noLock: boolean },
): Promise<boolean> {
  const done = await runner({
    dbClient,
    dir,
    direction: 'up',
    migrationsTable: 'migration',
    checkOrder: true,
    singleTransaction: true,
    noLock,
    advisoryLockMode: 'wait',
    logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
  })
  return done.length > 0
}
