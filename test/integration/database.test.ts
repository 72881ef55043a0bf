import { afterAll, beforeAll, expect, test } from 'vitest'
import { transaction } from '../../apps/api/src/db/database.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.stop())

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
