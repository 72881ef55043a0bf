import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type RunningApi, startApi } from '../../apps/api/src/start-api.ts'
import { openEvents } from '../support/event-stream.ts'
import { freePort } from '../support/free-port.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { runProgram } from '../support/run-program.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'
import { ask, PROXY_KINDS, startTlsProxy, type TlsProxy } from '../support/tls-proxy.ts'

const IMAGE_BYTES_MAX = 10 * 1024 * 1024
/** A fresh machine installs Debian's package first. */
const INSTALL_MS = 300_000
const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }

describe.each(PROXY_KINDS)('behind %s as docs/proxy.md sets it up', (kind) => {
  let api: TestApi
  let behind: RunningApi
  let proxy: TlsProxy
  const log: string[] = []

  beforeAll(async () => {
    api = await startTestApi({ timings: { watchEveryMs: 50 } })
    const port = await freePort()
    const publicUrl = `https://localhost:${port}`
    const { config } = api
    const store = config.store.kind === 'disk' ? { ...config.store, publicBaseUrl: publicUrl } : config.store
    const sink = new Writable({
      write: (chunk, _encoding, done) => {
        log.push(String(chunk))
        done()
      },
    })
    behind = await startApi(
      { ...config, http: { ...config.http, port: 0, publicUrl, trustedProxies: 1 }, store },
      { log: pino({ level: 'debug' }, sink) },
    )
    proxy = await startTlsProxy(kind, port, Number(new URL(behind.url).port))
  }, INSTALL_MS)
  afterAll(async () => {
    await proxy?.[Symbol.asyncDispose]()
    await behind?.stop()
    await api?.stop()
  })

  const authorized = (more: Record<string, string> = {}) => ({ authorization: `Bearer ${api.key}`, ...more })
  const call = async (method: string, path: string, body?: unknown, headers: Record<string, string> = {}) => {
    const sent = body === undefined ? {} : { body: JSON.stringify(body) }
    const typed: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
    const answer = await ask(proxy.url + path, {
      ca: proxy.ca,
      method,
      headers: authorized({ ...typed, ...headers }),
      ...sent,
    })
    return { ...answer, json: JSON.parse(answer.body.toString()) }
  }
  const upload = async (image: Buffer) => {
    const form = new FormData()
    for (const [name, value] of Object.entries(SMALL)) form.append(name, String(value))
    form.append('input_reference', new Blob([new Uint8Array(image)]), 'noise.png')
    const { headers, body } = new Request('http://form', { method: 'POST', body: form })
    const bytes = Buffer.from(await new Response(body).arrayBuffer())
    const type = { 'content-type': headers.get('content-type') ?? '', 'content-length': String(bytes.length) }
    return ask(`${proxy.url}/v1/videos`, {
      ca: proxy.ca,
      method: 'POST',
      headers: authorized(type),
      body: bytes,
    })
  }

  test('an image of just under 10 MiB goes in, and one that is larger is told so', async () => {
    const [width, height] = [1860, 1870]
    const noise = await sharp(randomBytes(width * height * 3), { raw: { width, height, channels: 3 } })
      .png({ compressionLevel: 0 })
      .toBuffer()
    expect(noise.length).toBeGreaterThan(IMAGE_BYTES_MAX * 0.99)
    expect(noise.length).toBeLessThanOrEqual(IMAGE_BYTES_MAX)
    const taken = await upload(noise)
    expect(JSON.parse(taken.body.toString())).toMatchObject({ object: 'video', mode: 'i2v' })
    const refused = await upload(Buffer.concat([noise, Buffer.alloc(256 * 1024)]))
    expect({ status: refused.status, ...JSON.parse(refused.body.toString()) }).toMatchObject({
      status: 413,
      error: { code: 'body_too_large', param: 'input_reference' },
    })
  })

  test('events come as they happen, the file comes whole and in parts, from the public address', async () => {
    const { json: video } = await call('POST', '/v1/videos', SMALL)
    await using worker = new HandWorker(api)
    await worker.heartbeat()
    let attempt = await worker.fetch()
    while (attempt.job.video !== video.id) {
      await attempt.report({ type: 'failed', code: 'bad_input', message: 'no', retryable: false, step: 0 })
      attempt = await worker.fetch()
    }
    await using reader = await openEvents(proxy.url, api.key, video.id, undefined, proxy.ca)
    for (const step of [2, 5]) {
      await attempt.report({ type: 'progress', phase: 'denoise', step, remaining_ms: 500 })
      // A proxy that collected events would pass none of these on before the stream ends.
      await reader.until(({ events }) => events.at(-1)?.data.steps_done === step, 5_000)
    }
    await attempt.report({ type: 'finished', result: await attempt.upload() })
    await worker.heartbeat([], { draining: true })
    await reader.until(({ isClosed }) => isClosed)
    expect(reader.names().at(-1)).toBe('video.completed')

    const path = `/v1/videos/${video.id}/content`
    const whole = await ask(proxy.url + path, { ca: proxy.ca, headers: authorized() })
    expect(whole.body.toString()).toBe(`mp4 of ${video.id} ${attempt.claim}`)
    const part = await ask(proxy.url + path, { ca: proxy.ca, headers: authorized({ range: 'bytes=4-5' }) })
    expect(part).toMatchObject({
      status: 206,
      headers: { 'content-range': `bytes 4-5/${whole.body.length}` },
    })
    expect(part.body.toString()).toBe('of')
    const signed = await call('GET', path, undefined, { accept: 'application/json' })
    expect(new URL(signed.json.url).origin).toBe(proxy.url)
    expect((await ask(signed.json.url, { ca: proxy.ca })).body).toEqual(whole.body)
  })

  test('a client’s own X-Forwarded-For, Host and the like are not believed; the document names the public address; browsers are told to stay with TLS', async () => {
    const forged = {
      'x-forwarded-for': '6.6.6.6',
      'x-forwarded-host': 'evil.example',
      'x-forwarded-proto': 'http',
      forwarded: 'for=6.6.6.6',
    }
    const { json, headers } = await call('GET', '/openapi.json', undefined, forged)
    expect(json.servers).toEqual([{ url: proxy.url }])
    expect(headers['strict-transport-security']).toMatch(/max-age=\d{7,}/)
    const seen = log.map((line) => JSON.parse(line)).filter(({ req }) => req?.path === '/openapi.json')
    expect(seen.map(({ req }) => req.client)).toEqual(['127.0.0.1'])
  })

  test('the OpenAI SDK works through it, given the certificate', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'sluice-test-sdk-'))
    try {
      await symlink(fileURLToPath(new URL('../../node_modules', import.meta.url)), join(dir, 'node_modules'))
      await writeFile(
        join(dir, 'program.mjs'),
        `import OpenAI from 'openai'
        const client = new OpenAI()
        const video = await client.videos.create({ prompt: 'a paper boat', num_frames: 5 })
        const { status } = await client.videos.retrieve(video.id)
        await client.videos.delete(video.id)
        console.log(status)`,
      )
      const env = {
        PATH: process.env.PATH ?? '',
        NODE_EXTRA_CA_CERTS: proxy.caPath,
        OPENAI_BASE_URL: `${proxy.url}/v1`,
        OPENAI_API_KEY: api.key,
      }
      expect(
        await runProgram(process.execPath, ['program.mjs'], { cwd: dir, env, withinMs: 30_000 }),
      ).toContain('queued')
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })
})
