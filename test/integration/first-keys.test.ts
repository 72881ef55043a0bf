import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { beforeEach, expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../apps/api/src/config/config.ts'
import { type RunningApi, startApi } from '../../apps/api/src/start-api.ts'
import { callJson } from '../support/start-api.ts'
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts'

const OWN_KEY = 'd41f08b7a95c4e6f8c22e07b31aa64f5'
const OWN_TOKEN = '7a1b03e9f48d4c5db6e2c8a0f91d5e37'

let database: TestDatabase
let folder: string
let logged: string

beforeEach(async () => {
  database = await createTestDatabase()
  folder = mkdtempSync(join(tmpdir(), 'sluice-first-keys-'))
  logged = ''
  onTestFinished(async () => {
    rmSync(folder, { recursive: true })
    await database.drop()
  })
})

/** Starts an API on the database with a data dir of that name, uses it and stops it. */
async function during<T>(
  dataDir: string,
  settings: Record<string, string>,
  use: (api: RunningApi) => Promise<T> | T,
): Promise<T> {
  const env = { PORT: '0', SLUICE_DATABASE_URL: database.databaseUrl, SLUICE_DATA_DIR: join(folder, dataDir) }
  const log = pino(
    { level: 'warn' },
    {
      write: (line: string) => {
        logged += line
      },
    },
  )
  const api = await startApi(readConfig({ ...env, ...settings }), { log })
  try {
    return await use(api)
  } finally {
    await api.stop()
  }
}

const keysOf = (dataDir: string) => JSON.parse(readFileSync(join(folder, dataDir, 'keys.json'), 'utf8'))

interface StoredKey {
  id: string
  scopes: string[]
}

const list = async (api: RunningApi, path: string, key: string) =>
  (await callJson(api.url, key, 'GET', `${path}?limit=100`)).body.data

test('what the first start makes is in the audit, with no key that asked for it and without its secret', async () => {
  await during('first', {}, async (api) => {
    const { key, admin_key } = keysOf('first')
    const changes = await list(api, '/v1/admin/audit', admin_key)
    const operators: StoredKey[] = await list(api, '/v1/admin/keys', admin_key)
    expect(operators.length).toBe(3)
    const ids = changes.map(({ subject }: { subject: string }) => subject)
    for (const { id } of operators) expect(ids).toContain(id)
    expect(changes.map(({ action }: { action: string }) => action).toSorted()).toEqual([
      'account.created',
      'key.created',
      'key.created',
      'key.created',
    ])
    for (const change of changes) expect(change).toMatchObject({ key_id: null, key_name: null })
    for (const secret of [key, admin_key]) expect(JSON.stringify(changes)).not.toContain(secret)
  })
})

test('a start with an empty data dir makes no key of an installation that has some, and says so', async () => {
  await during('first', {}, () => {})
  const { admin_key } = keysOf('first')
  const keysNow = (api: RunningApi) => list(api, '/v1/admin/keys', admin_key)
  const before = await during('first', {}, keysNow)
  expect(logged).toBe('')
  for (const round of ['second', 'third']) expect(await during(round, {}, keysNow)).toEqual(before)
  for (const file of ['keys.json', 'worker-token']) {
    expect(existsSync(join(folder, 'second', file))).toBe(false)
    expect(logged).toContain(`${join(folder, 'second', file)} is not there`)
  }
  expect(logged).toMatch(/set SLUICE_WORKER_TOKEN/)
  expect(logged).toMatch(/set SLUICE_ADMIN_KEY/)
})

test('secrets that the operator chose work from any data dir, once in the audit', async () => {
  await during('first', {}, () => {})
  const own = { SLUICE_ADMIN_KEY: OWN_KEY, SLUICE_WORKER_TOKEN: OWN_TOKEN }
  for (const dataDir of ['second', 'third']) {
    await during(dataDir, own, async (api) => {
      const changes = await list(api, '/v1/admin/audit', OWN_KEY)
      expect(changes.filter(({ action }: { action: string }) => action === 'key.created').length).toBe(5)
    })
    expect(readFileSync(join(folder, dataDir, 'worker-token'), 'utf8').trim()).toBe(OWN_TOKEN)
  }
  expect(logged).toBe('')
})

test('a first start with a chosen admin key makes no other', async () => {
  const keys = await during('first', { SLUICE_ADMIN_KEY: OWN_KEY }, (api) =>
    list(api, '/v1/admin/keys', OWN_KEY),
  )
  expect(keys.filter(({ scopes }: StoredKey) => scopes.includes('admin')).length).toBe(1)
  expect(keysOf('first').admin_key).toBe(OWN_KEY)
})

test('a revoked key is not made again, and its keys.json stays', async () => {
  await during('first', {}, () => {})
  const before = keysOf('first')
  await during('first', { SLUICE_ADMIN_KEY: OWN_KEY }, async (api) => {
    const keys: StoredKey[] = await list(api, '/v1/admin/keys', OWN_KEY)
    const changes = await list(api, '/v1/admin/audit', OWN_KEY)
    const admins = keys.filter(({ scopes }) => scopes.includes('admin')).map(({ id }) => id)
    const first = changes.findLast(({ subject }: { subject: string }) => admins.includes(subject)).subject
    expect((await callJson(api.url, OWN_KEY, 'DELETE', `/v1/admin/keys/${first}`)).status).toBe(200)
  })
  await during('first', {}, (api) =>
    callJson(api.url, before.admin_key, 'GET', '/v1/admin/keys').then(({ status }) =>
      expect(status).toBe(401),
    ),
  )
  expect(keysOf('first').admin_key).toBe(before.admin_key)
  expect(logged).toContain('has an admin key that is not valid here')
})

test('one secret is not both worker token and admin key', () => {
  const env = {
    SLUICE_DATABASE_URL: 'postgres://h/d',
    SLUICE_WORKER_TOKEN: OWN_KEY,
    SLUICE_ADMIN_KEY: OWN_KEY,
  }
  expect(() => readConfig(env)).toThrow(/^SLUICE_ADMIN_KEY is "\(the worker token\)"/)
})
