import { randomBytes } from 'node:crypto'
import type { Assignment } from '@sluice/shared/attempt-contract'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { StoreUnavailableError } from '../../apps/api/src/storage/object-store.ts'
import { Sweeper } from '../../apps/api/src/videos/sweep.ts'
import { eventually } from '../support/eventually.ts'
import { type HandAttempt, HandWorker } from '../support/hand-worker.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'
import { startS3rver } from '../support/start-s3rver.ts'
import { storeWith } from '../support/store-with.ts'

const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }
const PUT_TYPES = { video: 'video/mp4', thumbnail: 'image/webp', checkpoint: 'application/octet-stream' }

let api: TestApi
let worker: HandWorker

const startWorker = async () => {
  worker = new HandWorker(api)
  await worker.heartbeat()
}
afterEach(() => worker.heartbeat())

/** A new video on the worker, and the URLs that its attempt was given. */
async function taken(): Promise<{ id: string; attempt: HandAttempt; uploads: Assignment['uploads'] }> {
  const { id } = (await api.call('POST', '/v1/videos', SMALL)).body
  const attempt = await worker.fetch()
  const { assignment } = await attempt.report({ type: 'taken', slot: 0 })
  if (assignment === undefined) throw new Error('no assignment')
  return { id, attempt, uploads: assignment.uploads }
}

const finish = async (attempt: HandAttempt) =>
  attempt.report({ type: 'finished', result: await attempt.upload() })

const put = async (url: string, name: keyof typeof PUT_TYPES, body: string): Promise<number> =>
  (await fetch(url, { method: 'PUT', body, headers: { 'content-type': PUT_TYPES[name] } })).status

const textOf = async (id: string): Promise<string> => {
  const answer = await fetch(`${api.url}/v1/videos/${id}/content`, {
    headers: { authorization: `Bearer ${api.key}` },
  })
  return answer.text()
}

/** As if a video had ended so long ago that none of its signed URLs is good any more. */
const age = (id: string, swept: string, ago = '1 hour') =>
  api.context.db.query({
    text: `
      update video set ended_at = now() - $2::interval, ${swept}
      where id = $1`,
    values: [id, ago],
  })

const column = async (id: string, name: string): Promise<unknown> =>
  (await api.context.db.query({ text: `select ${name} as it from video where id = $1`, values: [id] }))
    .rows[0]?.it

/** How many objects of the video `keep` leaves. Removes them. */
const objectsOf = (id: string) => api.context.store.deletePrefix(`videos/${id}`)

function sharedTests(): void {
  test('whatever lies below an ended video is removed, also what no attempt is known to have put there', async () => {
    const { store } = api.context
    const { id, attempt } = await taken()
    const strangers = [
      `videos/${id}/7-${randomBytes(16).toString('hex')}/video.mp4`,
      `videos/${id}/7-${randomBytes(16).toString('hex')}/checkpoint/latest.bin`,
    ]
    for (const key of strangers)
      await store.put(key, Buffer.from('x'), key.endsWith('mp4') ? 'video/mp4' : PUT_TYPES.checkpoint)
    await finish(attempt)
    const text = await textOf(id)
    await age(id, 'swept_at = null, swept_for_good_at = null')
    await eventually(
      () => column(id, 'swept_at'),
      (sweptAt) => sweptAt !== null,
    )
    for (const key of strangers) expect(await store.head(key)).toBeNull()
    expect(await textOf(id)).toBe(text)
    expect(await objectsOf(id)).toBe(3)
  })

  test('an ended video is swept once more when no URL of its attempts is good any more, and not while one may be good', async () => {
    const { store } = api.context
    const { id, attempt } = await taken()
    await finish(attempt)
    const text = await textOf(id)
    await age(id, 'swept_at = now(), swept_for_good_at = now()')
    const late = `videos/${id}/1-${attempt.claim}/checkpoint/latest.bin`
    await store.put(late, Buffer.from('late'), PUT_TYPES.checkpoint)
    await age(id, 'swept_for_good_at = null', '20 minutes')
    await new Sweeper(api.context).sweep()
    expect(await store.head(late)).not.toBeNull()
    await age(id, 'swept_for_good_at = null')
    await eventually(
      () => store.head(late),
      (info) => info === null,
    )
    expect(await textOf(id)).toBe(text)
  })
}

describe('on the disk store', () => {
  beforeAll(async () => {
    api = await startTestApi()
    await startWorker()
  })
  afterAll(async () => {
    await worker.close()
    await api.stop()
  })

  sharedTests()

  test('an ended attempt’s URLs are worth nothing: a PUT after completion or deletion is a 410 and changes nothing', async () => {
    const { id, attempt, uploads } = await taken()
    expect(await put(uploads.checkpoint, 'checkpoint', 'while it lasts')).toBe(200)
    await finish(attempt)
    const text = await textOf(id)
    for (const name of ['video', 'thumbnail', 'checkpoint'] as const)
      expect(await put(uploads[name], name, 'forged')).toBe(410)
    expect(await textOf(id)).toBe(text)
    expect((await api.call('DELETE', `/v1/videos/${id}`)).status).toBe(200)
    expect(await put(uploads.video, 'video', 'forged')).toBe(410)
    expect(await objectsOf(id)).toBe(0)
  })

  test('a store that is away fails no delete, and its files are removed when it is back', async () => {
    const { id, attempt } = await taken()
    await finish(attempt)
    const { internal } = api.context
    const { store } = api.context
    const away = storeWith(store, {
      deletePrefix: async () => {
        throw new StoreUnavailableError('away', 'not mounted')
      },
      ping: async () => {
        throw new StoreUnavailableError('away', 'not mounted')
      },
    })
    api.context.store = away
    internal.store = away
    try {
      expect((await api.call('DELETE', `/v1/videos/${id}`)).status).toBe(200)
      await api.context.db.query({
        text: `
          update video
          set ended_at = ended_at - interval '2 minutes', deleted_at = now() - interval '2 minutes'
          where id = $1`,
        values: [id],
      })
    } finally {
      api.context.store = store
      internal.store = store
    }
    await eventually(
      () => column(id, 'swept_at'),
      (sweptAt) => sweptAt !== null,
    )
    expect(await objectsOf(id)).toBe(0)
  })
})

describe('on an S3 store', () => {
  let s3: Awaited<ReturnType<typeof startS3rver>>
  beforeAll(async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'S3RVER')
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'S3RVER')
    s3 = await startS3rver()
    const bucket = { bucket: 'late-files', region: 'us-east-1', forcePathStyle: true } as const
    api = await startTestApi({ store: { kind: 's3', endpoint: s3.endpoint, ...bucket } })
    await startWorker()
  })
  afterAll(async () => {
    await worker.close()
    await api.stop()
    await s3.close()
    vi.unstubAllEnvs()
  })

  sharedTests()

  test('a PUT after completion changes nothing that the owner gets, and is swept', async () => {
    const { id, attempt, uploads } = await taken()
    await finish(attempt)
    const text = await textOf(id)
    await age(id, 'swept_at = now(), swept_for_good_at = now()')
    for (const name of ['video', 'thumbnail'] as const)
      expect(await put(uploads[name], name, 'forged')).toBe(200)
    expect(await textOf(id)).toBe(text)
    await age(id, 'swept_for_good_at = null')
    await eventually(
      () => column(id, 'swept_for_good_at'),
      (sweptAt) => sweptAt !== null,
    )
    expect(await textOf(id)).toBe(text)
    expect(await objectsOf(id)).toBe(3)
  })

  test('a PUT after deletion does not bring a file back for good', async () => {
    const { id, attempt, uploads } = await taken()
    await finish(attempt)
    expect((await api.call('DELETE', `/v1/videos/${id}`)).status).toBe(200)
    await age(id, 'swept_at = now(), swept_for_good_at = now()')
    expect(await put(uploads.video, 'video', 'forged')).toBe(200)
    expect((await api.call('GET', `/v1/videos/${id}/content`)).status).toBe(404)
    await age(id, 'swept_for_good_at = null')
    await eventually(
      () => column(id, 'swept_for_good_at'),
      (sweptAt) => sweptAt !== null,
    )
    expect(await objectsOf(id)).toBe(0)
  })
})
