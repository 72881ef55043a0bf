import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { readConfig } from '../../apps/api/src/config/config.ts'
import { startApi } from '../../apps/api/src/start-api.ts'
import { startTestApi } from '../support/start-api.ts'
import { type PrivateRedis, startPrivateRedis } from '../support/start-redis.ts'
import { createTestDatabase } from '../support/test-database.ts'

let redis: PrivateRedis
beforeAll(async () => {
  redis = await startPrivateRedis()
})
afterAll(() => redis?.close())

test('an API that is started with a Redis that refuses it names REDIS_URL, and has made nothing', async () => {
  await using database = await createTestDatabase()
  const folder = mkdtempSync(join(tmpdir(), 'sluice-unfit-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const config = readConfig({
    PORT: '0',
    SLUICE_DATA_DIR: join(folder, 'data'),
    SLUICE_DATABASE_URL: database.databaseUrl,
    REDIS_URL: `redis://nobody:hunter22@127.0.0.1:${redis.port}`,
  })
  const start = startApi(config, { log: pino({ level: 'silent' }) })
  await expect(start).rejects.toThrow(/^REDIS_URL is .*: it refuses the user name or password$/)
  expect(existsSync(join(folder, 'data'))).toBe(false)
})

test('a Redis that evicts is doubtful in /ready, for the admin key with its policy, and stops nothing', async () => {
  const client = new Redis(redis.url)
  onTestFinished(() => client.disconnect())
  await client.config('SET', 'maxmemory-policy', 'volatile-lru')
  await using api = await startTestApi({ queue: { backend: 'redis', url: redis.url } })
  const doubtful = async (key: string) => (await api.call('GET', '/ready', undefined, { key })).body.doubtful
  expect(await doubtful(api.adminKey)).toEqual([
    { part: 'queue', problem: expect.stringContaining('maxmemory-policy is volatile-lru') },
  ])
  expect(await doubtful(api.key)).toEqual([
    { part: 'queue', problem: 'doubtful; an admin key is told why, and so is the log' },
  ])
  expect((await api.call('POST', '/v1/videos', { prompt: 'a boat', num_frames: 5 })).status).toBe(200)
})
