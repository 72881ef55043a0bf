import { once } from 'node:events'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../../../test/support/eventually.ts'
import { startTcpProxy, type TcpProxy } from '../../../test/support/tcp-proxy.ts'
import { createTestDatabase, type TestDatabase } from '../../../test/support/test-database.ts'
import { BoundedClient, openPool, SilentServerError } from './postgres-client.ts'

let database: TestDatabase
let proxy: TcpProxy

beforeAll(async () => {
  database = await createTestDatabase()
  proxy = await startTcpProxy(database.databaseUrl)
})
afterAll(async () => {
  await proxy[Symbol.asyncDispose]()
  await database.drop()
})

const LIMITS = { answerMs: 200, listenAskEveryMs: 50, listenAnswerMs: 100 }

test('a query without an answer fails, and neither its connection nor an idle one is handed out again', async () => {
  const pool = openPool({ connectionString: proxy.url, max: 3, idleTimeoutMillis: 0, ...LIMITS })
  try {
    const clients = await Promise.all([pool.connect(), pool.connect(), pool.connect()])
    for (const client of clients) client.release()
    proxy.silenceOpen()
    await expect(pool.query('select 1')).rejects.toThrow(SilentServerError)
    await eventually(
      async () => pool.idleCount,
      (idle) => idle === 0,
      5_000,
    )
    expect((await pool.query('select 2 as two')).rows).toEqual([{ two: 2 }])
  } finally {
    await pool.end()
  }
})

test('a transaction whose connection goes silent fails within one limit, its rollback included', async () => {
  const client = new BoundedClient({ connectionString: proxy.url, ...LIMITS })
  await client.connect()
  await client.query('begin')
  proxy.silenceOpen()
  await expect(client.query('select 1')).rejects.toThrow(SilentServerError)
  await expect(client.query('rollback')).rejects.toThrow(/not queryable/)
  await client.end()
})

test('a connection that only listens notices that it went silent', async () => {
  const client = new BoundedClient({ connectionString: proxy.url, ...LIMITS })
  await client.connect()
  await client.query('listen something')
  proxy.silenceOpen()
  const [error] = await once(client, 'error')
  expect(error).toBeInstanceOf(SilentServerError)
  await client.end()
}, 10_000)

test('a slow answer within the limit is an answer, and a statement may ask for a longer one', async () => {
  const client = new BoundedClient({ connectionString: database.databaseUrl, ...LIMITS })
  await client.connect()
  expect((await client.query({ text: 'select 1 as one, pg_sleep(0.1)' })).rows).toMatchObject([{ one: 1 }])
  const patient = { text: 'select 1 as one, pg_sleep(0.3)', limitMs: 5_000 }
  expect((await client.query(patient)).rows).toMatchObject([{ one: 1 }])
  await client.end()
})

test('a connection is closed although its server does not take leave', async () => {
  const client = new BoundedClient({ connectionString: proxy.url, ...LIMITS })
  await client.connect()
  proxy.silenceOpen()
  await client.end()
}, 10_000)
