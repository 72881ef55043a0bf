import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { pino } from 'pino'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readConfig } from '../../apps/api/src/config/config.ts'
import { type RunningApi, startApi } from '../../apps/api/src/start-api.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { callJson, startTestApi, type TestApi } from '../support/start-api.ts'

const PUBLIC_URL = 'https://video.example.com'
let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.stop())

/** The address each request is taken to come from, as the log has it. */
async function clientsSeen(trustedProxies: number, forwardedFor: readonly string[]): Promise<string[]> {
  const lines: string[] = []
  const sink = new Writable({
    write: (chunk, _encoding, done) => {
      lines.push(String(chunk))
      done()
    },
  })
  const running: RunningApi = await startApi(
    { ...api.config, http: { ...api.config.http, port: 0, trustedProxies } },
    { log: pino({ level: 'debug' }, sink) },
  )
  try {
    for (const header of forwardedFor)
      await fetch(`${running.url}/health`, { headers: header === '' ? {} : { 'x-forwarded-for': header } })
  } finally {
    await running.stop()
  }
  return lines
    .map((line) => JSON.parse(line))
    .flatMap(({ req }) => (req?.path === '/health' ? [req.client] : []))
}

test('X-Forwarded-For is believed from as many proxies as there are, never from the client', async () => {
  const headers = ['', '203.0.113.9', '6.6.6.6, 203.0.113.9', '6.6.6.6, 203.0.113.9, 198.51.100.1']
  expect(await clientsSeen(0, headers)).toEqual(['127.0.0.1', '127.0.0.1', '127.0.0.1', '127.0.0.1'])
  expect(await clientsSeen(1, headers)).toEqual(['127.0.0.1', '203.0.113.9', '203.0.113.9', '198.51.100.1'])
  expect(await clientsSeen(2, headers)).toEqual(['127.0.0.1', '203.0.113.9', '6.6.6.6', '203.0.113.9'])
})

test('every address in an answer is the public one, whatever the headers say', async () => {
  const { config } = api
  const store = config.store.kind === 'disk' ? { ...config.store, publicBaseUrl: PUBLIC_URL } : config.store
  const proxied = await api.replica({ http: { publicUrl: PUBLIC_URL, trustedProxies: 1 }, store })
  const forwarded = {
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'http',
    'x-forwarded-for': '203.0.113.9',
    forwarded: 'host=evil.example',
  }
  await using worker = new HandWorker(api)
  await worker.heartbeat()
  const { body } = await callJson(
    proxied.url,
    api.key,
    'POST',
    '/v1/videos',
    { prompt: 'rain', num_frames: 5, num_steps: 5 },
    forwarded,
  )
  const attempt = await worker.fetch()
  const { assignment } = await attempt.report({ type: 'taken', slot: 0 })
  // Workers go where they know the API, not around by the proxy.
  expect(new URL(assignment?.uploads.video ?? '').origin).not.toBe(PUBLIC_URL)
  await attempt.report({ type: 'finished', result: await attempt.upload() })

  const accept = { ...forwarded, accept: 'application/json' }
  const signed = await callJson(
    proxied.url,
    api.key,
    'GET',
    `/v1/videos/${body.id}/content`,
    undefined,
    accept,
  )
  expect(new URL(signed.body.url).origin).toBe(PUBLIC_URL)
  // What a proxy does with it: the same path and query at the API's own address.
  const { pathname, search } = new URL(signed.body.url)
  expect((await fetch(proxied.url + pathname + search)).status).toBe(200)
  const document = await callJson(proxied.url, api.key, 'GET', '/openapi.json', undefined, forwarded)
  expect(document.body.servers).toEqual([{ url: PUBLIC_URL }])
  expect(JSON.parse(readFileSync(join(api.dataDir, 'keys.json'), 'utf8')).base_url).toBe(`${PUBLIC_URL}/v1`)
  const page = await fetch(`${proxied.url}/health`, { headers: forwarded })
  expect(page.headers.get('strict-transport-security')).toMatch(/max-age=/)
  expect(page.headers.get('content-security-policy')).toContain(`media-src 'self' blob: ${PUBLIC_URL}`)
  expect(
    (await fetch(`${api.url}/health`, { headers: forwarded })).headers.get('strict-transport-security'),
  ).toBeNull()
})

test('the settings say how many proxies there are and where people reach the service, or what is wrong with them', () => {
  const read = (settings: Record<string, string>) =>
    readConfig({ SLUICE_DATABASE_URL: 'postgres://x', SLUICE_SECRET: 'x'.repeat(32), ...settings })
  expect(read({})).toMatchObject({
    http: { trustedProxies: 0, publicUrl: 'http://127.0.0.1:3000' },
    retentionSeconds: null,
    moderation: null,
    refiner: null,
  })
  expect(read({ SLUICE_TRUST_PROXY: '2', SLUICE_PUBLIC_URL: `${PUBLIC_URL}/` })).toMatchObject({
    http: { trustedProxies: 2, publicUrl: PUBLIC_URL },
  })
  expect(read({ SLUICE_RETENTION_DAYS: '30' }).retentionSeconds).toBe(2_592_000)
  expect(read({ SLUICE_MODERATION_URL: 'http://10.0.0.7/check' }).moderation).toEqual({
    url: 'http://10.0.0.7/check',
    key: undefined,
    takesImages: false,
    failOpen: false,
    timeoutMs: 5_000,
  })
  expect(
    read({ SLUICE_REFINER_URL: 'http://10.0.0.7/v1', SLUICE_REFINER_MODEL: 'm', SLUICE_REFINER_KEY: 'k' })
      .refiner,
  ).toEqual({ url: 'http://10.0.0.7/v1', model: 'm', key: 'k', timeoutMs: 10_000 })
  expect(() => read({ SLUICE_TRUST_PROXY: 'yes' })).toThrow(
    'SLUICE_TRUST_PROXY is "yes": allowed is a whole number from 0 to 10',
  )
  expect(() => read({ SLUICE_PUBLIC_URL: 'video.example.com' })).toThrow('SLUICE_PUBLIC_URL')
  expect(() => read({ SLUICE_RETENTION_DAYS: '0' })).toThrow(
    'SLUICE_RETENTION_DAYS is "0": allowed is a whole number from 1 to 10000',
  )
  expect(() => read({ SLUICE_REFINER_URL: 'http://x' })).toThrow('SLUICE_REFINER_MODEL is not set')
  expect(() => read({ SLUICE_MODERATION_URL: 'http://x', SLUICE_MODERATION_FAIL_OPEN: 'maybe' })).toThrow(
    'SLUICE_MODERATION_FAIL_OPEN',
  )
})
