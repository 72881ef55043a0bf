import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { launchChromium } from '../support/chromium.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

const START_MS_MAX = 120_000
let browser: Browser
let api: TestApi
let page: Page

beforeAll(async () => {
  api = await startTestApi()
  browser = await launchChromium()
  page = await browser.newPage({ viewport: { width: 1280, height: 1400 } })
}, START_MS_MAX)
afterAll(async () => {
  await browser?.close()
  await api?.stop()
}, START_MS_MAX)

const open = async () => {
  await page.goto(`${api.url}/docs`)
  await page.locator('.opblock').first().waitFor()
}

test('the reference shows the calls in the order in which people need them, without those of workers', async () => {
  await open()
  const calls = await page
    .locator('.opblock-summary')
    .evaluateAll((all) =>
      all.map((one) =>
        ['.opblock-summary-method', '.opblock-summary-path']
          .map((part) => one.querySelector(part)?.textContent?.replaceAll('\u200b', '').trim())
          .join(' '),
      ),
    )
  expect(calls.slice(0, 3)).toEqual(['POST /v1/videos', 'GET /v1/videos', 'POST /v1/videos/quote'])
  expect(calls.slice(-4).every((call) => /edits|extensions|characters/.test(call))).toBe(true)
  expect(calls.filter((call) => call.includes('/internal/'))).toEqual([])
  const tags = await page
    .locator('.opblock-tag-section h3')
    .evaluateAll((all) => all.map((one) => one.getAttribute('data-tag')))
  expect(tags).toEqual(['videos', 'account', 'payments', 'webhooks', 'admin', 'service', 'not there'])
  if (process.env.SLUICE_SCREENSHOTS !== undefined)
    await page.screenshot({ path: `${process.env.SLUICE_SCREENSHOTS}/docs.png` })
})

test('the examples are values that could be real', async () => {
  await open()
  await page.locator('#operations-videos-retrieveVideo .opblock-summary').click()
  const shown = page.locator('#operations-videos-retrieveVideo .responses-table .response').first()
  await shown.locator('.highlight-code').first().waitFor()
  const example = JSON.parse((await shown.locator('.highlight-code code').first().textContent()) ?? '')
  expect(example).toMatchObject({
    id: expect.stringMatching(/^video_/),
    model: 'open-sora-2',
    prompt: 'a paper boat in the rain',
    created_at: 1_790_000_000,
    size: '336x192',
    status: 'completed',
    progress: 100,
    refinement: null,
    error: null,
    cost: { amount: '0.08316', currency: 'USD', state: 'charged' },
  })
  if (process.env.SLUICE_SCREENSHOTS !== undefined)
    await page.screenshot({ path: `${process.env.SLUICE_SCREENSHOTS}/docs-video.png`, fullPage: false })
  const all = await fetch(`${api.url}/openapi.json`).then((answer) => answer.text())
  expect(all).not.toContain('-9007199254740991')
})

test('a key is given once: after a reload calls are still made with it', async () => {
  await open()
  await page.getByRole('button', { name: 'Authorize' }).click()
  await page.locator('.auth-container input').fill(api.key)
  await page.locator('.auth-btn-wrapper .authorize').click()
  await page.reload()
  const call = page.locator('#operations-account-readKey')
  await call.locator('.opblock-summary-path').click()
  await call.getByRole('button', { name: 'Try it out' }).click()
  await call.getByRole('button', { name: 'Execute' }).click()
  const status = call.locator('.live-responses-table .response .response-col_status')
  await status.waitFor()
  expect(await status.textContent()).toContain('200')
})
