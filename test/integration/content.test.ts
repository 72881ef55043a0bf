import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { HandWorker } from '../support/hand-worker.ts'
import { type Answer, startTestApi, type TestApi } from '../support/start-api.ts'
import { startS3rver } from '../support/start-s3rver.ts'

const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }
const TYPES = { video: 'video/mp4', thumbnail: 'image/webp', spritesheet: 'image/jpeg' } as const

const contentOf = (
  api: TestApi,
  id: string,
  query = '',
  init: { method?: string; headers?: Record<string, string>; key?: string } = {},
) =>
  fetch(`${api.url}/v1/videos/${id}/content${query}`, {
    redirect: 'manual',
    // Otherwise fetch itself adds no-cache to a request with If-None-Match.
    cache: 'no-cache',
    ...(init.method === undefined ? {} : { method: init.method }),
    headers: { authorization: `Bearer ${init.key ?? api.key}`, ...init.headers },
  })

const jsonOf = async (answer: Response): Promise<Answer['body']> => answer.json()

/** A completed video, its bytes, and the URLs its worker was given. */
async function complete(
  api: TestApi,
): Promise<{ id: string; text: string; uploads: Record<string, string> }> {
  const id: string = (await api.call('POST', '/v1/videos', SMALL)).body.id
  await using worker = new HandWorker(api)
  await worker.heartbeat()
  const attempt = await worker.fetch()
  const { assignment } = await attempt.report({ type: 'taken', slot: 0 })
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  await worker.heartbeat([], { draining: true })
  return { id, text: `mp4 of ${id} ${attempt.claim}`, uploads: { ...assignment?.uploads } }
}

describe('on the disk store', () => {
  let api: TestApi
  let video: { id: string; text: string }
  beforeAll(async () => {
    api = await startTestApi()
    video = await complete(api)
  })
  afterEach(() => {
    vi.useRealTimers()
  })
  afterAll(() => api.stop())

  test('each variant is its own file with its own type', async () => {
    const texts = { video: video.text, thumbnail: 'webp', spritesheet: 'jpeg' }
    for (const [variant, type] of Object.entries(TYPES)) {
      const answer = await contentOf(api, video.id, `?variant=${variant}`)
      expect(answer.status).toBe(200)
      expect(answer.headers.get('content-type')).toBe(type)
      expect(answer.headers.get('x-content-type-options')).toBe('nosniff')
      expect(answer.headers.get('content-disposition')).toBe(
        `attachment; filename="${video.id}.${variant === 'video' ? 'mp4' : { thumbnail: 'webp', spritesheet: 'jpg' }[variant]}"`,
      )
      expect(await answer.text()).toBe(texts[variant as keyof typeof texts])
    }
    expect(await (await contentOf(api, video.id)).text()).toBe(video.text)
  })

  test.each([
    ['bytes=0-3', 0, 4],
    ['bytes=4-9', 4, 10],
    ['bytes=10-', 10, undefined],
    ['bytes=-5', -5, undefined],
    ['bytes=5-99999', 5, undefined],
  ])('%s is a 206 with those bytes', async (range, start, end) => {
    const answer = await contentOf(api, video.id, '', { headers: { range } })
    const expected = video.text.slice(start, end)
    const first = start < 0 ? video.text.length + start : start
    expect(answer.status).toBe(206)
    expect(answer.headers.get('content-range')).toBe(
      `bytes ${first}-${first + expected.length - 1}/${video.text.length}`,
    )
    expect(answer.headers.get('content-length')).toBe(String(expected.length))
    expect(await answer.text()).toBe(expected)
  })

  test('a range beyond the end is a typed 416 that says how long the file is', async () => {
    const answer = await contentOf(api, video.id, '', { headers: { range: 'bytes=100000-' } })
    expect(answer.status).toBe(416)
    expect(answer.headers.get('content-range')).toBe(`bytes */${video.text.length}`)
    expect(await answer.json()).toMatchObject({ error: { code: 'range_not_satisfiable', param: 'Range' } })
  })

  test('HEAD says what GET would, and an unchanged file is a 304', async () => {
    const head = await contentOf(api, video.id, '', { method: 'HEAD' })
    expect(head.status).toBe(200)
    expect(head.headers.get('content-length')).toBe(String(video.text.length))
    expect(head.headers.get('accept-ranges')).toBe('bytes')
    expect(await head.text()).toBe('')
    const etag = head.headers.get('etag') ?? ''
    expect(etag).not.toBe('')
    expect((await contentOf(api, video.id, '', { headers: { 'if-none-match': etag } })).status).toBe(304)
    expect((await contentOf(api, video.id, '', { headers: { 'if-none-match': '"other"' } })).status).toBe(200)
  })

  test('a video that is not completed has no content: 409, and SDKs are told not to retry', async () => {
    const { id } = (await api.call('POST', '/v1/videos', SMALL)).body
    for (const [act, status] of [
      [null, 'queued'],
      ['cancel', 'failed'],
    ] as const) {
      if (act !== null) await api.call('POST', `/v1/videos/${id}/${act}`)
      const answer = await contentOf(api, id)
      expect(answer.status).toBe(409)
      expect(answer.headers.get('x-should-retry')).toBe('false')
      const { error } = await jsonOf(answer)
      expect(error).toMatchObject({
        code: 'state_conflict',
        message: `The video is ${status}: only a completed video has content.`,
      })
    }
  })

  test('another tenant and nobody get nothing', async () => {
    const other = await api.account(1n)
    expect((await contentOf(api, video.id, '', { key: other.key })).status).toBe(404)
    expect((await fetch(`${api.url}/v1/videos/${video.id}/content`)).status).toBe(401)
  })

  test('as JSON it is a URL that works without a key, for this file only, until it expires', async () => {
    const answer = await contentOf(api, video.id, '?variant=thumbnail', {
      headers: { accept: 'application/json' },
    })
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const body = await jsonOf(answer)
    expect(body).toEqual({ object: 'video.content', url: expect.any(String), expires_at: expect.any(Number) })
    const opened = await fetch(body.url)
    expect(opened.status).toBe(200)
    expect(opened.headers.get('content-disposition')).toBe(`attachment; filename="${video.id}.webp"`)
    expect(await opened.text()).toBe('webp')
    expect((await fetch(body.url.replace('thumbnail.webp', 'video.mp4'))).status).toBe(403)
    vi.useFakeTimers({ toFake: ['Date'], now: (body.expires_at - 5) * 1_000 })
    expect((await fetch(body.url)).status).toBe(200)
    vi.setSystemTime((body.expires_at + 5) * 1_000)
    const expired = await fetch(body.url)
    expect(expired.status).toBe(403)
    expect(await expired.json()).toMatchObject({ error: { code: 'url_expired' } })
  })

  test('a worker’s upload URLs are for its own attempt and for PUT', async () => {
    const { uploads, id, text } = await complete(api)
    for (const url of Object.values(uploads)) {
      expect(new URL(url).pathname).toContain(`/videos/${id}/1-`)
      expect((await fetch(url)).status).toBe(403)
    }
    const elsewhere = (uploads.video ?? '').replace(id, video.id)
    expect(
      (await fetch(elsewhere, { method: 'PUT', headers: { 'content-type': 'video/mp4' }, body: 'forged' }))
        .status,
    ).toBe(403)
    expect(await (await contentOf(api, id)).text()).toBe(text)
  })
})

describe('on an S3 store', () => {
  let api: TestApi
  let s3: Awaited<ReturnType<typeof startS3rver>>
  let publicEndpoint: string
  beforeAll(async () => {
    vi.stubEnv('AWS_ACCESS_KEY_ID', 'S3RVER')
    vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'S3RVER')
    s3 = await startS3rver()
    publicEndpoint = s3.endpoint.replace('127.0.0.1', 'localhost')
    const store = {
      kind: 's3',
      endpoint: s3.endpoint,
      publicEndpoint,
      bucket: 'sluice-test',
      region: 'us-east-1',
      forcePathStyle: true,
    } as const
    api = await startTestApi({ store })
  })
  afterAll(async () => {
    await api.stop()
    await s3.close()
    vi.unstubAllEnvs()
  })

  test('content is a redirect to the address that clients see; workers put at the one they see', async () => {
    const { id, text, uploads } = await complete(api)
    for (const url of Object.values(uploads)) {
      expect(new URL(url).origin).toBe(s3.endpoint)
      expect(new URL(url).pathname).toContain(`/sluice-test/videos/${id}/1-`)
    }
    const redirect = await contentOf(api, id)
    expect(redirect.status).toBe(302)
    expect(redirect.headers.get('cache-control')).toBe('no-store')
    const location = redirect.headers.get('location') ?? ''
    expect(new URL(location).origin).toBe(publicEndpoint)
    expect(location).not.toContain(api.key)
    const bytes = await fetch(location)
    expect(bytes.headers.get('content-type')).toBe('video/mp4')
    expect(await bytes.text()).toBe(text)
    const part = await fetch(location, { headers: { range: 'bytes=4-9' } })
    expect([part.status, await part.text()]).toEqual([206, text.slice(4, 10)])
    const { url } = await jsonOf(
      await contentOf(api, id, '?variant=spritesheet', { headers: { accept: 'application/json' } }),
    )
    expect(new URL(url).origin).toBe(publicEndpoint)
    expect(await (await fetch(url)).text()).toBe('jpeg')
    expect(api.context.storeRoutes).toBeNull()
  })

  test('HEAD is answered itself: 200 with length, type, ETag and file name, as the file itself has them', async () => {
    const { id, text } = await complete(api)
    const head = await contentOf(api, id, '', { method: 'HEAD' })
    expect(head.status).toBe(200)
    expect(head.headers.get('content-length')).toBe(String(text.length))
    expect(head.headers.get('content-type')).toBe('video/mp4')
    expect(head.headers.get('content-disposition')).toBe(`attachment; filename="${id}.mp4"`)
    const file = await fetch((await contentOf(api, id)).headers.get('location') ?? '')
    for (const name of ['etag', 'content-length', 'content-type', 'content-disposition'])
      expect(head.headers.get(name), name).toBe(file.headers.get(name))
    await api.call('DELETE', `/v1/videos/${id}`)
    expect((await contentOf(api, id, '', { method: 'HEAD' })).status).toBe(404)
  })

  test('a deleted video leaves no object behind', async () => {
    const { id } = await complete(api)
    expect((await api.call('DELETE', `/v1/videos/${id}`)).status).toBe(200)
    expect(await api.context.store.deletePrefix(`videos/${id}`)).toBe(0)
  })
})
