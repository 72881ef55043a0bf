import { cp, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, test } from 'vitest'
import { type DatabasePool, openDatabase, transaction } from '../../apps/api/src/db/database.ts'
import { migrateDatabase } from '../../apps/api/src/db/migrate.ts'
import { runSql } from '../../bench/rig/accounts.ts'
import { eventually } from '../support/eventually.ts'
import { createTestDatabase } from '../support/test-database.ts'

/** One connection, as an API has several, or so many. */
function openPool(url: string, connectionsMax = 1): DatabasePool & AsyncDisposable {
  const db = openDatabase({ url, connectionsMax, onError: () => {} })
  return Object.assign(db, { [Symbol.asyncDispose]: () => db.end() })
}

test('statements that an API prepared before a migration go on after it', async () => {
  await using database = await createTestDatabase()
  await migrateDatabase(database.databaseUrl)
  await using db = openPool(database.databaseUrl)
  await readAll(db)
  await using newer = await newerMigrations('alter table account add column newer integer')
  await migrateDatabase(database.databaseUrl, { dir: newer.dir })
  // The session that was ended may be asked once more before its end is known.
  await eventually(() => readAll(db).then(Boolean, () => false), Boolean)
})

/** The migrations, and one more that the API does not know. */
async function newerMigrations(sql: string): Promise<{ dir: string } & AsyncDisposable> {
  const dir = await mkdtemp(path.join(tmpdir(), 'sluice-migrations-'))
  await cp('apps/api/migrations', dir, { recursive: true })
  await writeFile(path.join(dir, '9999-newer.sql'), `-- Up Migration\n${sql};\n`)
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true }) }
}

function readAll(db: DatabasePool): Promise<unknown> {
  return transaction(db, (tx) => tx.query({ name: 'all', text: 'select * from account' }))
}

test('a worker that an API of the version before notes reads the queue of its pool', async () => {
  await using database = await createTestDatabase()
  await migrateDatabase(database.databaseUrl)
  await runSql(database.adminUrl, [
    `insert into api_key (id, hash, prefix, scopes) values ('key_1', sha256('x'), 'sk', array['worker'])`,
  ])
  await using db = openPool(database.databaseUrl)
  const { rows } = await db.query<{ queue: string }>({
    text: `
      insert into worker (
        id, key_id, boot, pool, slots, device, devices_per_slot, vram_bytes, models, frames_max, pixels_max,
        draining, modes, sequence_devices, heartbeat_at)
      values ('w', 'key_1', 'b', 'p', 1, 'cpu', 1, 0, '{}', 1, 1, false, '{}', 1, now())
      on conflict (id) do update set boot = excluded.boot
      returning queue`,
  })
  expect(rows).toEqual([{ queue: 'p' }])
})

test('a database in use is migrated: what its program does meanwhile, in whatever order, is no deadlock', async () => {
  await using database = await createTestDatabase()
  await using older = await migrationsBefore('0028')
  await migrateDatabase(database.databaseUrl, { dir: older.dir })
  await using db = openPool(database.databaseUrl, 4)
  const isOver = new AbortController()
  const goOn = async (...statements: readonly string[]) => {
    while (!isOver.signal.aborted) {
      // Its sessions are renewed.
      await transaction(db, async (tx) => {
        for (const text of statements) await tx.query({ text })
      }).catch(() => {})
    }
  }
  const lockOne = 'select from video limit 1 for update'
  const change = 'update video set step = step where false'
  const post = 'delete from entry where false'
  const inUse = [goOn(lockOne, change), goOn(lockOne, change), goOn(post, change), goOn(change, post)]
  try {
    await migrateDatabase(database.databaseUrl)
  } finally {
    isOver.abort()
    await Promise.all(inUse)
  }
})

test('what expired of a credit before that was kept is kept from then on', async () => {
  await using database = await createTestDatabase()
  await using older = await migrationsBefore('0043')
  await migrateDatabase(database.databaseUrl, { dir: older.dir })
  const expiry = (number: number) => `
    insert into transfer (id, idempotency_key, kind)
      values ('t${number}', 'expiry:credit:${number}', 'expiry');
    insert into entry (transfer_id, ledger_account_id, amount)
      select 't${number}', id, case when kind = 'trial' then -${number} else ${number} end
      from ledger_account
      where credit_id = 'credit' or kind = 'promotion'`
  await runSql(database.adminUrl, [
    `insert into account (id, name) values ('account', 'x')`,
    `insert into credit (id, account_id, kind, granted_micros, expires_at)
    select id, 'account', 'promotional', 9, now() from unnest(array['credit', 'other']) id`,
    `insert into ledger_account (kind, currency) values ('promotion', 'USD')`,
    `insert into ledger_account (kind, account_id, currency, balance, credit_id)
    select 'trial', account_id, 'USD', 0, id from credit`,
    expiry(3),
    expiry(4),
  ])
  await migrateDatabase(database.databaseUrl)
  await runSql(database.adminUrl, [expiry(1)])
  await using db = openPool(database.databaseUrl)
  const { rows } = await db.query({
    text: 'select id, expiries, expired_micros::integer as micros from credit order by id',
  })
  expect(rows).toEqual([
    { id: 'credit', expiries: 3, micros: 8 },
    { id: 'other', expiries: 0, micros: 0 },
  ])
})

/** The migrations that came before the first of these names. */
async function migrationsBefore(name: string): Promise<{ dir: string } & AsyncDisposable> {
  const dir = await mkdtemp(path.join(tmpdir(), 'sluice-migrations-'))
  await cp('apps/api/migrations', dir, { recursive: true })
  for (const file of await readdir(dir)) if (file >= name) await rm(path.join(dir, file))
  return { dir, [Symbol.asyncDispose]: () => rm(dir, { recursive: true }) }
}
