import { randomUUID } from 'node:crypto'
import { readdirSync } from 'node:fs'
import pg from 'pg'
import { BoundedClient, startupOptions } from './postgres-client.ts'
import { SettingError } from './settings.ts'
import { TIME_LIMITS } from './time-limits.ts'

const SETTING = 'SLUICE_DATABASE_URL'
const { statementMs, lockMs } = TIME_LIMITS.database
const JUDGE_SETTINGS = { statement_timeout: statementMs, lock_timeout: lockMs }
/** pg_has_role knows the right to SET a role from here on, and the migrations ask for it. */
const POSTGRES_VERSION_MIN = 16

/** The database answers and cannot be used as it is: somebody has to change the setting, or the database. */
export class UnfitDatabaseError extends SettingError {
  constructor(problem: string, todo: string) {
    super(SETTING, undefined, todo)
    this.message = `${SETTING}: ${problem}: ${todo}`
  }
}

/** The database does not answer now; it may later. */
export class DatabaseAwayError extends Error {
  override readonly name = 'DatabaseAwayError'

  constructor(cause: Error) {
    const code = (cause as NodeJS.ErrnoException).code
    super(
      `${SETTING}: the database cannot be reached (${cause.message || code || cause.name}): ` +
        'start it, or correct the URL',
      { cause },
    )
  }
}

/** What was found out about a database that can be used. */
export interface JudgedDatabase {
  version: string
  /** Its schema lacks migrations that this program has. */
  isBehind: boolean
  /** No program has ever migrated it. */
  isFresh: boolean
}

/**
 * Judges whether the programs can work on the database, by trying what they rely on. Throws
 * UnfitDatabaseError or DatabaseAwayError. Changes nothing.
 */
export async function judgeDatabase(url: string, migrationsDir: string): Promise<JudgedDatabase> {
  const mark = randomUUID()
  const clients = [0, 1].map(
    () =>
      new BoundedClient({
        connectionString: url,
        options: startupOptions({ ...JUDGE_SETTINGS, 'sluice.judged': mark }),
      }),
  )
  const [client, other] = clients as [pg.Client, pg.Client]
  try {
    await client.connect()
    const version = await judgeServer(client)
    await judgeOptions(client, mark)
    await other.connect()
    await judgeSessions(client, other)
    const { isBehind, isFresh } = await judgeSchema(client, migrationsDir)
    await judgeRights(client, { isBehind })
    return { version, isBehind, isFresh }
  } catch (error) {
    throw asVerdict(error)
  } finally {
    await Promise.all(clients.map((each) => each.end().catch(() => {})))
  }
}

async function judgeServer(client: pg.Client): Promise<string> {
  const { rows } = await client.query<Record<'version' | 'encoding', string> & Record<'num', number>>(
    `select current_setting('server_version') as version, current_setting('server_encoding') as encoding,
      current_setting('server_version_num')::int as num`,
  )
  const { encoding, ...server } = rows[0] as (typeof rows)[0]
  const version = judgeVersion(server)
  if (encoding !== 'UTF8') {
    throw new UnfitDatabaseError(
      `the database's encoding is ${encoding}`,
      'create one with encoding UTF8, since prompts may hold any character',
    )
  }
  return version
}

/** `num` as in server_version_num. Returns the version as people write it. */
export function judgeVersion({ num, version }: { num: number; version: string }): string {
  if (num >= POSTGRES_VERSION_MIN * 10_000) return version
  throw new UnfitDatabaseError(
    `it is PostgreSQL ${version}`,
    `use PostgreSQL ${POSTGRES_VERSION_MIN} or later, or unset it for the embedded one`,
  )
}

/** Without the startup options the API would work with its owner's rights. */
async function judgeOptions(client: pg.Client, mark: string): Promise<void> {
  if ((await readSetting(client, 'sluice.judged')) !== mark) throw pooler('drops the options of connections')
}

/**
 * A pooler that hands a connection to somebody else after each transaction loses what the API relies on: its
 * role, its locks, LISTEN and prepared statements.
 */
export async function judgeSessions(client: pg.Client, other: pg.Client): Promise<void> {
  const mark = randomUUID()
  await client.query(`set sluice.session = '${mark}'`)
  await other.query('begin')
  const seenByOther = await readSetting(other, 'sluice.session')
  const seen = await readSetting(client, 'sluice.session')
  await other.query('rollback')
  if (seenByOther === mark || seen !== mark) throw pooler('shares one session among several clients')
}

async function readSetting(client: pg.Client, name: string): Promise<string | null | undefined> {
  const sql = 'select current_setting($1, true) as value'
  return (await client.query<{ value: string | null }>(sql, [name])).rows[0]?.value
}

function pooler(what: string): UnfitDatabaseError {
  return new UnfitDatabaseError(
    `a pooler such as PgBouncer stands before it, which ${what}`,
    'name PostgreSQL itself, or a pool in session mode that passes startup options on',
  )
}

async function judgeSchema(
  client: pg.Client,
  migrationsDir: string,
): Promise<{ isBehind: boolean; isFresh: boolean }> {
  const known = new Set(
    readdirSync(migrationsDir).flatMap((file) => (file.endsWith('.sql') ? [file.slice(0, -4)] : [])),
  )
  const { rows: found } = await client.query<{ is_fresh: boolean }>(
    `select to_regclass('migration') is null as is_fresh`,
  )
  if (found[0]?.is_fresh !== false) return { isBehind: true, isFresh: true }
  const { rows } = await client.query<{ name: string }>('select name from migration order by name')
  const unknown = rows.filter(({ name }) => !known.has(name))
  if (unknown.length > 0) {
    throw new UnfitDatabaseError(
      `a newer version of Sluice has changed its schema (${unknown.at(-1)?.name})`,
      'start that version or a later one; a schema does not go back',
    )
  }
  return { isBehind: rows.length < known.size, isFresh: false }
}

async function judgeRights(client: pg.Client, { isBehind }: { isBehind: boolean }): Promise<void> {
  const { rows } = await client.query<Record<'user' | 'database', string> & Record<string, boolean>>(
    `select current_user as user, current_database() as database,
      rolsuper or rolcreaterole as makes_roles,
      (select count(*) from pg_roles where rolname in ('sluice_app', 'sluice_worker')) = 2 as has_roles,
      -- or may give itself the right
      coalesce((select pg_has_role(current_user, r.oid, 'set, member with admin option')
        from pg_roles r where r.rolname = 'sluice_app'), true) as becomes_app,
      has_database_privilege(current_database(), 'create') as makes_schemas,
      coalesce(has_schema_privilege(current_schema(), 'create'), false) as makes_tables
    from pg_roles where rolname = current_user`,
  )
  const row = rows[0] as (typeof rows)[0]
  const role = pg.escapeIdentifier(row.user)
  const database = pg.escapeIdentifier(row.database)
  const lacks = (what: string, todo: string) =>
    new UnfitDatabaseError(`its role ${row.user} may not ${what}`, `as a superuser: ${todo}`)
  if (!row.becomes_app) throw lacks('work as sluice_app', `GRANT sluice_app TO ${role}`)
  if (!isBehind) return
  if (!row.has_roles && !row.makes_roles) throw lacks('create roles', `ALTER ROLE ${role} CREATEROLE`)
  if (!row.makes_schemas) throw lacks('create schemas', `GRANT CREATE ON DATABASE ${database} TO ${role}`)
  if (!row.makes_tables) throw lacks('create tables', `GRANT CREATE ON SCHEMA public TO ${role}`)
}

/** Refusals that no waiting mends, by their codes. */
const REFUSALS: Readonly<Record<string, string>> = {
  '28000': 'correct its role, its password, or pg_hba.conf',
  '28P01': 'correct its password',
  '3D000': 'create that database, or correct its name',
  '42501': 'give its role the rights that docs/settings.md names',
}

function asVerdict(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof SettingError) return error
  const { code = '' } = error as { code?: string }
  if (/startup parameter/i.test(error.message)) return pooler('refuses the options of connections')
  const todo = REFUSALS[code]
  return todo === undefined ? new DatabaseAwayError(error) : new UnfitDatabaseError(error.message, todo)
}
