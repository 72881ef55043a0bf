import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  DatabaseAwayError,
  judgeDatabase,
  judgeSessions,
  judgeVersion,
  UnfitDatabaseError,
} from '@sluice/shared/judge-database'
import pg from 'pg'
import { expect, onTestFinished, test } from 'vitest'
import { migrateDatabase } from '../apps/api/src/db/migrate.ts'
import { checkDatabase } from '../apps/cli/src/doctor/check-services.ts'
import { requireProgram } from './support/debian-package.ts'
import { eventually } from './support/eventually.ts'
import { freePort } from './support/free-port.ts'
import { createTestDatabase, type TestDatabase } from './support/test-database.ts'

const API_MAIN = fileURLToPath(new URL('../apps/api/src/main.ts', import.meta.url))
const MIGRATIONS_DIR = fileURLToPath(new URL('../apps/api/migrations', import.meta.url))

async function asAdmin(database: TestDatabase, ...statements: string[]): Promise<void> {
  const client = new pg.Client({ connectionString: database.adminUrl })
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}

/** How the API's own process ends on this database: its exit code, and all that it said. */
async function startOn(url: string): Promise<{ code: unknown; said: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-unfit-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const env = {
    PATH: process.env.PATH,
    PORT: String(await freePort()),
    SLUICE_DATABASE_URL: url,
    SLUICE_DATA_DIR: dir,
  }
  return new Promise((resolve) => {
    execFile(process.execPath, [API_MAIN], { env, timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ code: error?.code ?? 0, said: stdout + stderr })
    })
  })
}

async function startPgBouncer(database: TestDatabase, settings: string): Promise<string> {
  const program = await requireProgram(['pgbouncer'], 'pgbouncer')
  const dir = await mkdtemp(join(tmpdir(), 'sluice-pgbouncer-'))
  const port = await freePort()
  const { hostname, port: serverPort, username, password } = new URL(database.databaseUrl)
  await writeFile(join(dir, 'users'), `"${username}" "${decodeURIComponent(password)}"\n`)
  await writeFile(
    join(dir, 'pgbouncer.ini'),
    `[databases]
${database.name} = host=${hostname} port=${serverPort}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = plain
auth_file = ${join(dir, 'users')}
${settings}
`,
  )
  await chmod(dir, 0o755)
  // It refuses to be root.
  const asNobody = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const child: ChildProcess = spawn(program, [...asNobody, join(dir, 'pgbouncer.ini')], { stdio: 'ignore' })
  onTestFinished(async () => {
    const exited = once(child, 'exit')
    if (child.exitCode === null) {
      child.kill('SIGKILL')
      await exited
    }
    await rm(dir, { recursive: true, force: true })
  })
  const url = new URL(database.databaseUrl)
  url.port = String(port)
  await eventually(
    async () => judgeDatabase(url.href, MIGRATIONS_DIR).catch((error: Error) => error),
    (outcome) => !(outcome instanceof DatabaseAwayError),
  )
  return url.href
}

test.for([
  ['in transaction mode', 'pool_mode = transaction', 'refuses the options of connections'],
  [
    'in transaction mode, told to drop what it does not know',
    'pool_mode = transaction\nignore_startup_parameters = options,extra_float_digits',
    'drops the options of connections',
  ],
  [
    'in session mode, told to drop what it does not know',
    'pool_mode = session\nignore_startup_parameters = options,extra_float_digits',
    'drops the options of connections',
  ],
] as const)('a PgBouncer %s is refused', async ([, settings, what]) => {
  await using database = await createTestDatabase()
  const url = await startPgBouncer(database, settings)
  const verdict = await judgeDatabase(url, MIGRATIONS_DIR).catch((error: Error) => error)
  expect(verdict).toBeInstanceOf(UnfitDatabaseError)
  expect(String(verdict)).toMatch(/SLUICE_DATABASE_URL.*PgBouncer/)
  expect(String(verdict)).toContain(what)
  expect(await checkDatabase(url)).toMatchObject({
    state: 'fail',
    text: expect.stringContaining('PgBouncer'),
  })
})

test('a pooler that shares sessions is refused, whatever it does with options', async () => {
  await using database = await createTestDatabase()
  const url = await startPgBouncer(
    database,
    'pool_mode = transaction\nignore_startup_parameters = options,extra_float_digits',
  )
  const clients = [
    new pg.Client({ connectionString: url }),
    new pg.Client({ connectionString: url }),
  ] as const
  try {
    await Promise.all(clients.map((client) => client.connect()))
    await expect(judgeSessions(...clients)).rejects.toThrow(/PgBouncer.*shares one session among several/)
  } finally {
    await Promise.all(clients.map((client) => client.end()))
  }
})

test('a schema newer than the program ends the API with exit code 2 and one line', async () => {
  await using database = await createTestDatabase()
  await migrateDatabase(database.databaseUrl)
  await asAdmin(database, `insert into migration (name, run_on) values ('9999-from-the-future', now())`)
  const { code, said } = await startOn(database.databaseUrl)
  expect(code).toBe(2)
  expect(said).toMatch(/^SLUICE_DATABASE_URL: .*9999-from-the-future.*\n$/)
  expect(await checkDatabase(database.databaseUrl)).toMatchObject({ state: 'fail' })
})

test('a role that may not do what the migrations do is refused with the statement that mends it', async () => {
  await using database = await createTestDatabase()
  await using migrated = await createTestDatabase()
  await migrateDatabase(migrated.databaseUrl)
  const role = `weak_${database.name}`
  await asAdmin(
    database,
    `create role ${role} login password 'weak'`,
    `grant connect on database ${database.name} to ${role}`,
  )
  const url = new URL(database.databaseUrl)
  url.username = role
  url.password = 'weak'
  const judged = () => judgeDatabase(url.href, MIGRATIONS_DIR).then(() => 'fit', String)
  try {
    // Roles belong to the cluster, so they are there once any test has migrated.
    expect(await judged()).toContain(`GRANT sluice_app TO "${role}"`)
    await asAdmin(database, `grant sluice_app to ${role}`)
    expect(await judged()).toContain(`GRANT CREATE ON DATABASE "${database.name}" TO "${role}"`)
    await asAdmin(database, `grant create on database ${database.name} to ${role}`)
    expect(await judged()).toContain(`GRANT CREATE ON SCHEMA public TO "${role}"`)
    await asAdmin(database, `grant usage, create on schema public to ${role}`)
    expect(await judged()).toBe('fit')
  } finally {
    await asAdmin(database, `drop owned by ${role}`, `drop role ${role}`)
  }
})

test('a wrong password is refused, and the error does not show it', async () => {
  await using database = await createTestDatabase()
  const url = new URL(database.databaseUrl)
  url.password = 'not-the-password'
  const { code, said } = await startOn(url.href)
  expect(code).toBe(2)
  expect(said).toMatch(/^SLUICE_DATABASE_URL: password authentication failed.*\n$/)
  expect(said).not.toContain('not-the-password')
})

test('a database that is away is waited for, and then given up with one line that names the setting', async () => {
  const url = `postgres://sluice@127.0.0.1:${await freePort()}/sluice`
  let waits = 0
  const given = migrateDatabase(url, { waitMs: 600, onWaiting: () => (waits += 1) })
  await expect(given).rejects.toThrow(
    /^SLUICE_DATABASE_URL: the database cannot be reached \(.*ECONNREFUSED.*\)/,
  )
  await expect(given).rejects.toThrow(DatabaseAwayError)
  expect(waits).toBe(1)
})

test('PostgreSQL before 16 is refused by its version, and 16 is not', () => {
  expect(() => judgeVersion({ num: 150_018, version: '15.18' })).toThrow(
    'SLUICE_DATABASE_URL: it is PostgreSQL 15.18: use PostgreSQL 16 or later',
  )
  expect(judgeVersion({ num: 160_000, version: '16.0' })).toBe('16.0')
})

test('a database in another encoding than UTF-8 is refused', async () => {
  await using database = await createTestDatabase()
  const latin = `${database.name}_latin`
  await asAdmin(
    database,
    `create database ${latin} owner sluice encoding 'LATIN1' locale 'C' template template0`,
  )
  try {
    const url = new URL(database.databaseUrl)
    url.pathname = `/${latin}`
    await expect(judgeDatabase(url.href, MIGRATIONS_DIR)).rejects.toThrow(/encoding is LATIN1/)
  } finally {
    await asAdmin(database, `drop database ${latin} with (force)`)
  }
})
