import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { openDatabase, transaction } from '../../apps/api/src/db/database.ts'
import { DatabaseUnavailableError } from '../../apps/api/src/errors.ts'
import { removePendingInput } from '../../apps/api/src/inputs/input-store.ts'
import { eventually } from '../support/eventually.ts'
import { type FaultyLink, startFaultyLink } from '../support/faulty-link.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { quadrants } from '../support/images.ts'
import { callJson, startTestApi, type TestApi } from '../support/start-api.ts'
import { startS3rver } from '../support/start-s3rver.ts'

let s3: Awaited<ReturnType<typeof startS3rver>>
let link: FaultyLink
let api: TestApi
const image = async () =>
  `data:image/png;base64,${(await quadrants(64, 64).png().toBuffer()).toString('base64')}`
const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 2 }

beforeAll(async () => {
  for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) vi.stubEnv(name, 'S3RVER')
  s3 = await startS3rver()
  link = await startFaultyLink({ host: '127.0.0.1', port: Number(new URL(s3.endpoint).port) })
  const bucket = { bucket: 'sluice-test', region: 'us-east-1', forcePathStyle: true } as const
  const endpoint = `http://127.0.0.1:${link.port}`
  api = await startTestApi({ store: { kind: 's3', endpoint, publicEndpoint: s3.endpoint, ...bucket } })
})
afterAll(async () => {
  await api.stop()
  await link.close()
  await s3.close()
  vi.unstubAllEnvs()
})

test('a store that never answers holds no connection and no account: others go on, and so does its own tenant', async () => {
  const [crowd, other] = [await api.account(1_000_000_000n), await api.account(1_000_000_000n)]
  link.state = 'silent'
  const body = { ...SMALL, input_reference: await image() }
  const asked = Array.from({ length: 20 }, () => callJson(api.url, crowd.key, 'POST', '/v1/videos', body))
  const pending = async () =>
    (await api.context.internal.db.query({ text: 'select from pending_input' })).rowCount
  await eventually(pending, (count) => (count ?? 0) > 0)
  for (const { key } of [crowd, other]) {
    expect((await callJson(api.url, key, 'GET', '/v1/videos')).status).toBe(200)
    expect((await callJson(api.url, key, 'GET', '/v1/credits')).status).toBe(200)
  }
  expect((await callJson(api.url, other.key, 'POST', '/v1/videos', SMALL)).status).toBe(200)
  await using worker = new HandWorker(api)
  await worker.heartbeat()
  const { rows } = await api.context.internal.db.query<{ count: bigint }>({
    text: `select count(*) from pg_stat_activity
      where datname = current_database() and state like 'idle in transaction%'`,
  })
  expect(rows[0]?.count).toBe(0n)
  link.state = 'pass'
  const answers = await Promise.all(asked)
  for (const { status } of answers) expect([200, 503]).toContain(status)
}, 60_000)

test('an image whose submission died before its video was there is removed by the sweep', async () => {
  const { db, store } = api.context
  await store.put('inputs/video_lost/reference.png', Buffer.from('png'), 'image/png')
  await db.query({ text: `insert into pending_input values ('video_lost', now() - interval '16 minutes')` })
  await eventually(
    async () => store.head('inputs/video_lost/reference.png'),
    (found) => found === null,
  )
  await eventually(
    async () =>
      (await db.query({ text: `select from pending_input where video_id = 'video_lost'` })).rowCount,
    (count) => count === 0,
  )
})

test('an image is not taken for abandoned while the commit that makes it a video’s own is under way', async () => {
  const { db, store } = api.context
  const key = 'inputs/video_slow/reference.png'
  await store.put(key, Buffer.from('png'), 'image/png')
  await db.query({ text: `insert into pending_input values ('video_slow')` })
  await transaction(db, async (keeping) => {
    await keeping.query({ text: `delete from pending_input where video_id = 'video_slow'` })
    const impatient = openDatabase({
      url: api.config.database.url,
      connectionsMax: 1,
      limits: { lockMs: 50 },
      onError: () => {},
    })
    const removed = removePendingInput({ ...api.context, db: impatient }, 'video_slow')
    await expect(removed).rejects.toBeInstanceOf(DatabaseUnavailableError)
    await impatient.end()
  })
  await removePendingInput(api.context, 'video_slow')
  expect(await store.head(key)).not.toBeNull()
})

test('nothing outside can be asked from within a transaction', async () => {
  const { db, store, producer } = api.context
  await expect(transaction(db, () => store.head('x'))).rejects.toThrow('asked inside a transaction')
  await expect(transaction(db, () => producer.ping())).rejects.toThrow('asked inside a transaction')
})
