import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { askServer } from './ask-servers.ts'

export interface TestDatabase extends AsyncDisposable {
  name: string
  /** Role `sluice`, which owns the database (LOGIN, CREATEROLE): what the API gets as SLUICE_DATABASE_URL. */
  databaseUrl: string
  /** Role `sluice_worker`, which may connect and no more: what a worker gets as SLUICE_QUEUE_URL. */
  queueUrl: string
  /** The superuser in this database. */
  adminUrl: string
  /** Cuts every connection to it and drops it. */
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
  const drop = () => asAdmin(servers.adminUrl, [`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`])
  return {
    name,
    drop,
    adminUrl: inDatabase(servers.adminUrl),
    databaseUrl: inDatabase(servers.databaseUrl),
    queueUrl: inDatabase(servers.queueUrl),
    [Symbol.asyncDispose]: drop,
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
