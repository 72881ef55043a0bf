import { TIME_LIMITS } from '@sluice/shared/time-limits'
import pg from 'pg'
import { settlesWithin } from '../processes/stop-process.ts'
import type { Passwords } from './cluster-files.ts'

export const DATABASE = 'sluice'
/** Owns the database; the API connects as it. */
export const OWNER_ROLE = 'sluice'
/**
 * A GPU host connects as it: it may log in, and sees only what the API's migrations grant it (schema bullmq).
 */
export const WORKER_ROLE = 'sluice_worker'

/**
 * Creates both roles and the database when they are missing, and revokes from PUBLIC what would let the
 * worker's role see more.
 * Safe to repeat.
 */
export async function createRoles(superuserUrl: string, passwords: Passwords): Promise<void> {
  await withClient(superuserUrl, async (client) => {
    // A statement that fails would stand in PostgreSQL's log with its password.
    await client.query('SET log_min_error_statement = panic')
    const roles = await client.query<{ rolname: string }>(
      'SELECT rolname FROM pg_roles WHERE rolname = ANY($1)',
      [[OWNER_ROLE, WORKER_ROLE]],
    )
    for (const role of [OWNER_ROLE, WORKER_ROLE] as const) {
      if (roles.rows.some((row) => row.rolname === role)) continue
      const rights = role === OWNER_ROLE ? 'LOGIN CREATEROLE' : 'LOGIN'
      await client.query(`CREATE ROLE ${role} ${rights} PASSWORD ${client.escapeLiteral(passwords[role])}`)
    }
    // The owner may change the password of the worker's role, but never act as it.
    await client.query(`GRANT ${WORKER_ROLE} TO ${OWNER_ROLE} WITH ADMIN TRUE, INHERIT FALSE, SET FALSE`)
    const database = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [DATABASE])
    if (database.rowCount === 0) await client.query(`CREATE DATABASE ${DATABASE} OWNER ${OWNER_ROLE}`)
    for (const name of [DATABASE, 'postgres', 'template1']) {
      await client.query(`REVOKE ALL ON DATABASE ${name} FROM PUBLIC`)
    }
    await client.query(`GRANT CONNECT ON DATABASE ${DATABASE} TO ${WORKER_ROLE}`)
  })
  const url = new URL(superuserUrl)
  url.pathname = `/${DATABASE}`
  await withClient(url.href, (client) => client.query('REVOKE ALL ON SCHEMA public FROM PUBLIC'))
}

async function withClient(url: string, use: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const { connectMs, statementMs } = TIME_LIMITS.embeddedPostgres
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: connectMs,
    query_timeout: statementMs,
  })
  client.on('error', () => {})
  await client.connect()
  try {
    await use(client)
  } finally {
    await settlesWithin(connectMs, client.end())
  }
}
