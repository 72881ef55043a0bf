import pg from 'pg'
import { expect, test } from 'vitest'
import { bindInstallation } from '../../apps/api/src/accounts/installation.ts'
import { migrateDatabase } from '../../apps/api/src/db/migrate.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'
import { createTestDatabase } from '../support/test-database.ts'

const VIDEO = { prompt: 'a boat', num_frames: 5, num_steps: 3 }

async function submit(api: TestApi): Promise<string> {
  const { status, body } = await api.call('POST', '/v1/videos', VIDEO)
  expect(status, JSON.stringify(body)).toBe(200)
  return body.id
}

test('of two installations on one queue server each has its own videos, in pools of the same name', async () => {
  await using one = await startTestApi()
  // With Redis it is the same database of the same server; with PostgreSQL another database of the same one.
  await using two = await startTestApi(
    one.config.queue.backend === 'redis' ? { queue: one.config.queue } : {},
  )
  const installations = [
    { api: one, worker: new HandWorker(one) },
    { api: two, worker: new HandWorker(two) },
  ]
  for (let round = 0; round < 2; round += 1) {
    for (const { worker } of installations) await worker.heartbeat()
    const ids = await Promise.all(installations.map(({ api }) => submit(api)))
    for (const [index, { worker }] of installations.entries()) {
      const attempt = await worker.fetch()
      expect(attempt.job.video).toBe(ids[index])
      // The first dispatch of it: nobody lost it.
      expect(attempt.job.fence).toBe(1)
      const result = await attempt.upload()
      await attempt.report({ type: 'finished', result })
    }
  }
  for (const { worker } of installations) await worker.close()
})

test('an installation keeps its name over restarts and in every process, and workers are told', async () => {
  await using original = await startTestApi()
  const { installation } = original.context
  expect((await original.replica()).context.installation).toBe(installation)
  await using worker = new HandWorker(original)
  expect(await worker.heartbeat()).toMatchObject({ installation })
})

test("a copy of an installation's database is another installation", async () => {
  await using source = await createTestDatabase()
  await migrateDatabase(source.databaseUrl)
  const bound = await nameOf(source.databaseUrl)
  expect(await nameOf(source.databaseUrl)).toBe(bound)
  await using copy = await createTestDatabase({ template: source.name })
  expect(await nameOf(copy.databaseUrl)).not.toBe(bound)
})

async function nameOf(databaseUrl: string): Promise<string> {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 })
  try {
    return await bindInstallation(pool, 'USD')
  } finally {
    await pool.end()
  }
}
