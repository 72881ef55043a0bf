import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { transaction } from '../../apps/api/src/db/database.ts'
import { schemaText } from '../support/schema-text.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

const SCHEMA_REWRITE = 'npx vitest run --project integration-postgres test/integration/database.test.ts -u'

let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.stop())

test('apps/api/schema.sql is what the migrations make', async () => {
  const client = new pg.Client({ connectionString: api.database.adminUrl })
  await client.connect()
  try {
    await expect(
      `-- What the migrations make; read it, never write it. Rewritten by:\n--   ${SCHEMA_REWRITE}\n\n${await schemaText(client)}`,
      `apps/api/schema.sql is not what the migrations make. Rewrite it with: ${SCHEMA_REWRITE}`,
    ).toMatchFileSnapshot('../../apps/api/schema.sql')
  } finally {
    await client.end()
  }
})

test('a connection that ends in the middle of a transaction fails that transaction and nothing else', async () => {
  const { db } = api.context
  const cut = transaction(db, async (tx) => {
    const { rows } = await tx.query<{ pid: number }>({ text: 'select pg_backend_pid() as pid' })
    await db.query({ text: 'select pg_terminate_backend($1)', values: [rows[0]?.pid] })
    // Until the server's last word has arrived, between two statements.
    await new Promise((resolve) => setImmediate(resolve))
    await tx.query({ text: 'select 1' })
  })
  await expect(cut).rejects.toThrow(/terminat|connection/i)
  expect((await api.call('GET', '/health')).status).toBe(200)
  expect((await api.call('POST', '/v1/videos', { prompt: 'still there', num_frames: 5 })).status).toBe(200)
})
