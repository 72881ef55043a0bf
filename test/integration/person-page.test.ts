import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestApi, type TestApi } from '../support/start-api.ts'

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api?.stop())

const ask = (path: string, headers: Record<string, string> = {}) =>
  fetch(api.url + path, { headers, redirect: 'manual' })

const codeOf = async (answer: Response) => ((await answer.json()) as { error: { code: string } }).error.code

test('a person who opens an address without a page is told so and led on; a program keeps its JSON', async () => {
  for (const path of ['/videos', '/nothing/here', '/<script>alert(1)</script>']) {
    const page = await ask(path, { accept: BROWSER })
    expect([page.status, page.headers.get('content-type')]).toEqual([404, 'text/html; charset=utf-8'])
    const html = await page.text()
    expect(html).toContain('href="/"')
    expect(html).toContain('href="/docs"')
    expect(html).not.toContain('<script')
    for (const accept of ['application/json', '*/*']) {
      const answer = await ask(path, { accept })
      expect([answer.status, await codeOf(answer)]).toEqual([404, 'unknown_route'])
    }
  }
  expect(await (await ask('/videos', { accept: BROWSER })).text()).toContain('The base URL ends with /v1.')
})

test('a program that asks for HTML as well gets JSON from a call of the API', async () => {
  // As Java's old client asks.
  const java = await ask('/v1/videos', { accept: 'text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2' })
  expect(await codeOf(java)).toBe('missing_api_key')
})

test('the icon that browsers ask for is there', async () => {
  const icon = await ask('/favicon.ico', { accept: 'image/*' })
  expect([icon.status, icon.headers.get('location')]).toEqual([302, '/favicon.svg'])
})
