import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ALL_ROUTES } from '../../apps/api/src/routes/all-routes.ts'
import { launchChromium } from '../support/chromium.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

const START_MS_MAX = 120_000
let browser: Browser
let api: TestApi
let allowed: string
let other: string
const pages = [1, 2].map(() =>
  createServer((_request, response) => {
    response.setHeader('content-type', 'text/html').end('<!doctype html><title>A page</title>')
  }),
)

beforeAll(async () => {
  const urls = pages.map(async (server) => {
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  const [first = '', second = ''] = await Promise.all(urls)
  allowed = first
  other = second
  api = await startTestApi({ http: { allowedOrigins: new Set([allowed]) } })
  browser = await launchChromium()
}, START_MS_MAX)
afterAll(async () => {
  await browser?.close()
  await api?.stop()
  for (const server of pages) server.close()
}, START_MS_MAX)

/** What a page of `origin` sees of a call: its answer, or the error that fetch throws. */
async function askFrom(
  origin: string,
  path: string,
  init: { method?: string; headers?: Record<string, string>; body?: string } = {},
) {
  const page = await browser.newPage()
  try {
    await page.goto(origin)
    return await page.evaluate(
      async ([url, request]) => {
        try {
          const answer = await fetch(url, request)
          return {
            status: answer.status,
            headers: Object.fromEntries(answer.headers),
            text: await answer.text(),
          }
        } catch (error) {
          return { error: String(error) }
        }
      },
      [api.url + path, init] as const,
    )
  } finally {
    await page.close()
  }
}

test('a page of an allowed origin submits, reads errors, headers, events and files; one of another origin cannot', async () => {
  const authorization = `Bearer ${api.key}`
  const submission = {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json', 'idempotency-key': 'one' },
    body: JSON.stringify({ prompt: 'a paper boat', num_frames: 5 }),
  }
  const made = await askFrom(allowed, '/v1/videos', submission)
  expect(made).toMatchObject({
    status: 200,
    headers: { 'x-request-id': expect.any(String), 'openai-poll-after-ms': expect.any(String) },
  })
  const { id } = JSON.parse(made.text ?? '')
  await using worker = new HandWorker(api)
  await worker.heartbeat()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  const events = await askFrom(allowed, `/v1/videos/${id}/events`, { headers: { authorization } })
  expect(events.text).toContain('event: video.completed')
  const range = { authorization, range: 'bytes=0-2' }
  const file = await askFrom(allowed, `/v1/videos/${id}/content`, { headers: range })
  expect(file).toMatchObject({ status: 206, text: 'mp4', headers: { 'content-range': expect.any(String) } })
  const signed = { authorization, accept: 'application/json' }
  const url = JSON.parse(
    (await askFrom(allowed, `/v1/videos/${id}/content`, { headers: signed })).text ?? '',
  ).url
  const stored = await askFrom(allowed, url.slice(api.url.length))
  expect(stored).toMatchObject({
    status: 200,
    headers: { 'content-disposition': expect.stringContaining(id) },
  })
  for (const [path, headers, status] of [
    ['/v1/videos', {}, 401],
    ['/v1/videos/nothing', { authorization }, 404],
    ['/nothing', {}, 404],
  ] as const) {
    const refused = await askFrom(allowed, path, { headers })
    expect(refused).toMatchObject({ status, text: expect.stringContaining('"error"') })
  }
  expect(await askFrom(other, '/v1/videos', submission)).toEqual({
    error: expect.stringContaining('Failed to fetch'),
  })
  expect(await askFrom(other, '/health')).toEqual({ error: expect.stringContaining('Failed to fetch') })
})

test('the preflight of every call is answered for allowed origins only, and answers say what they depend on', async () => {
  for (const route of ALL_ROUTES) {
    const ask = (origin: string) =>
      fetch(api.url + route.path.replaceAll(/\{\w+\}/g, 'nothing'), {
        method: 'OPTIONS',
        headers: {
          origin,
          'access-control-request-method': route.method.toUpperCase(),
          'access-control-request-headers': 'authorization, x-stainless-os',
        },
      })
    const answer = await ask(allowed)
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([204, allowed])
    expect(answer.headers.get('access-control-allow-methods')).toContain(route.method.toUpperCase())
    expect(answer.headers.get('access-control-allow-headers')).toBe('authorization, x-stainless-os')
    expect(answer.headers.get('access-control-allow-credentials')).toBeNull()
    const refused = await ask(other)
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([405, null])
    expect(refused.headers.get('vary')).toContain('Origin')
  }
})

test('without the setting no page of another origin is allowed, with * every page is', async () => {
  for (const [allowedOrigins, expected] of [
    [new Set<string>(), null],
    ['*', '*'],
  ] as const) {
    const replica = await api.replica({ http: { allowedOrigins } })
    const answer = await fetch(`${replica.url}/health`, { headers: { origin: other } })
    expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([200, expected])
    await replica.stop()
  }
})
