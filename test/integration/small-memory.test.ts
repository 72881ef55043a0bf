import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { callJson } from '../support/start-api.ts'
import { createTestDatabase } from '../support/test-database.ts'
import { createTestRedis, testBackend } from '../support/test-redis.ts'

const API_MAIN = fileURLToPath(new URL('../../apps/api/src/main.ts', import.meta.url))
const SETTINGS = fileURLToPath(new URL('../../docs/settings.md', import.meta.url))
const dataDir = mkdtempSync(join(tmpdir(), 'sluice-small-'))

let stop: () => Promise<void> = async () => {}
afterAll(async () => {
  await stop()
  rmSync(dataDir, { recursive: true })
})
beforeAll(() => {
  expect(documentedMib).toBeGreaterThan(0)
})

/** What docs/settings.md calls the least memory of the API's container. */
const documentedMib = Number(/at least \*\*(\d+) MiB\*\*/.exec(readFileSync(SETTINGS, 'utf8'))?.[1])

test('in a container of the least memory that is documented, the API takes, lists and cancels videos', async () => {
  const database = await createTestDatabase()
  const port = await freePort()
  // What Node gives itself there: half of it.
  const child = spawn(process.execPath, [`--max-old-space-size=${documentedMib / 2}`, API_MAIN], {
    env: {
      PATH: process.env.PATH ?? '',
      PORT: String(port),
      SLUICE_DATABASE_URL: database.databaseUrl,
      SLUICE_DATA_DIR: dataDir,
      SLUICE_LOG: 'silent',
      ...(testBackend() === 'redis' ? { REDIS_URL: await createTestRedis() } : {}),
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  stop = async () => {
    if (child.exitCode === null && child.signalCode === null) {
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    }
    await database.drop()
  }
  const url = `http://127.0.0.1:${port}`
  const isUp = () =>
    fetch(`${url}/health`).then(
      (answer) => answer.ok,
      () => false,
    )
  await eventually(isUp, Boolean, 60_000)
  const { key, admin_key: adminKey } = JSON.parse(readFileSync(join(dataDir, 'keys.json'), 'utf8'))
  const body = { prompt: 'a paper boat', num_frames: 5, num_steps: 2 }
  for (let round = 0; round < 4; round += 1) {
    const submitted = Array.from({ length: 20 }, () => callJson(url, key, 'POST', '/v1/videos', body))
    const videos = await Promise.all(submitted)
    expect(videos.map(({ status }) => status)).toEqual(videos.map(() => 200))
    expect((await callJson(url, key, 'GET', '/v1/videos?limit=100')).status).toBe(200)
    expect((await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${adminKey}` } })).status).toBe(
      200,
    )
    const cancelled = await Promise.all(
      videos.map(({ body: { id } }) => callJson(url, key, 'POST', `/v1/videos/${id}/cancel`)),
    )
    expect(cancelled.map(({ status }) => status)).toEqual(cancelled.map(() => 200))
  }
  expect(child.exitCode).toBeNull()
})
