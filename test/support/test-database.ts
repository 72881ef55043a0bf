import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { API_APPLICATION } from '../../apps/api/src/db/database.ts'
import { askServer } from './ask-servers.ts'
import { eventually } from './eventually.ts'

export interface TestDatabase extends AsyncDisposable {
  name: string
  /** Role `sluice`, which owns the database (LOGIN, CREATEROLE): what the API gets as SLUICE_DATABASE_URL. */
  databaseUrl: string
  /** Role `sluice_worker`, which may connect and no more: what a worker gets as SLUICE_QUEUE_URL. */
  queueUrl: string
  /** The superuser in this database. */
  adminUrl: string
  /** Drops it with whatever is connected to it. Throws when a connection pool of the API is still open. */
  drop(): Promise<void>
}

/**
 * Makes an empty database on the run's PostgreSQL (fsync off), or a copy of the database `template`, to which
 * nothing may be connected. Roles belong to the cluster: all databases share them and their passwords.
 */
export async function createTestDatabase(options: { template?: string } = {}): Promise<TestDatabase> {
  const servers = await askServer('postgres')
  const name = `test_${randomBytes(8).toString('hex')}`
  const inDatabase = (url: string): string => {
    const at = new URL(url)
    at.pathname = `/${name}`
    return at.href
  }
  const template = options.template === undefined ? '' : ` TEMPLATE ${pg.escapeIdentifier(options.template)}`
  await asAdmin(servers.adminUrl, [
    `CREATE DATABASE ${name} OWNER sluice${template}`,
    `REVOKE ALL ON DATABASE ${name} FROM PUBLIC`,
    `GRANT CONNECT ON DATABASE ${name} TO sluice_worker`,
  ])
  await asAdmin(inDatabase(servers.adminUrl), ['REVOKE ALL ON SCHEMA public FROM PUBLIC'])
  const drop = async () => {
    const leaked = await withoutApi(servers.adminUrl, name).catch((error: Error) => error)
    await asAdmin(servers.adminUrl, [`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`])
    if (leaked !== undefined) throw leaked
  }
  return {
    name,
    drop,
    adminUrl: inDatabase(servers.adminUrl),
    databaseUrl: inDatabase(servers.databaseUrl),
    queueUrl: inDatabase(servers.queueUrl),
    [Symbol.asyncDispose]: drop,
  }
}

/** How long the server may take to notice that a connection was closed, or its process killed. */
const CLOSED_MS_MAX = 5_000

/**
 * Resolves when no pool of the API is connected to the database. Throws when one still is: it was never
 * closed.
 */
async function withoutApi(adminUrl: string, database: string): Promise<undefined> {
  const client = new pg.Client({ connectionString: adminUrl })
  await client.connect()
  const readOpen = async () =>
    (
      await client.query<{ last: string }>(
        'select query as last from pg_stat_activity where datname = $1 and application_name = $2',
        [database, API_APPLICATION],
      )
    ).rows
  try {
    await eventually(readOpen, (open) => open.length === 0, CLOSED_MS_MAX)
  } catch (error) {
    throw new Error(`a test left a connection pool of the API open on ${database}`, { cause: error })
  } finally {
    await client.end()
  }
}

async function asAdmin(url: string, statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}
