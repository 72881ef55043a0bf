import { readFile } from 'node:fs/promises'
import type { Browser, BrowserContext, Locator, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { launchChromium } from '../support/chromium.ts'
import { startService } from '../support/start-service.ts'

const START_MS_MAX = 120_000
const VIDEO_MS_MAX = 90_000

let service: Awaited<ReturnType<typeof startService>>
let browser: Browser
let context: BrowserContext
let page: Page
/** What the browser complained about: script errors, failed loads, violations of the CSP. */
let complaints: string[]

beforeAll(async () => {
  service = await startService({ queue: 'postgres' })
  browser = await launchChromium()
}, START_MS_MAX)

afterAll(async () => {
  await browser?.close()
  await service?.stop()
}, START_MS_MAX)

beforeEach(async () => {
  complaints = []
  context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true })
  page = await context.newPage()
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
  })
})

afterEach(async () => {
  await context?.close()
})

/** The page's URL with the key in its fragment, as `npm start` prints it. */
function studioUrl(key: string): string {
  return new URL(`/#key=${key}`, service.baseUrl).href
}

/** The card of the video with that prompt. */
function card(prompt: string): Locator {
  return page.getByRole('article', { name: prompt, exact: true })
}

/** Types a sentence and presses Enter. Returns the video's card. */
async function submit(prompt: string): Promise<Locator> {
  const box = page.getByRole('textbox', { name: 'What the video shows' })
  await box.fill(prompt)
  await box.press('Enter')
  await card(prompt).waitFor()
  return card(prompt)
}

/** What the API says about the video of that card. */
async function askApi(
  shown: Locator,
): Promise<{ status: string; size: string; error: { code: string } | null }> {
  const id = await shown.getAttribute('data-video')
  const response = await fetch(new URL(`/v1/videos/${id}`, service.baseUrl), {
    headers: { authorization: `Bearer ${service.key}` },
  })
  return response.json() as Promise<{ status: string; size: string; error: { code: string } | null }>
}

test(
  'a sentence typed into the page becomes a video that plays there and can be downloaded',
  async () => {
    await page.goto(studioUrl(service.key))
    const shown = await submit('A paper boat in the rain, seen by a browser')

    const bar = shown.getByRole('progressbar')
    const percent = async () => Number(await bar.getAttribute('aria-valuenow'))
    const poll = { interval: 50, timeout: VIDEO_MS_MAX }
    await expect.poll(percent, poll).toBeGreaterThan(0)
    const early = await percent()
    await expect.poll(percent, poll).toBeGreaterThan(early)

    const video = shown.locator('video')
    await video.waitFor({ timeout: VIDEO_MS_MAX })
    expect(await bar.count()).toBe(0)
    const size = (await askApi(shown)).size
    await expect
      .poll(() => video.evaluate((element: { currentTime: number }) => element.currentTime), poll)
      .toBeGreaterThan(0.2)
    const picture = await video.evaluate((element: { videoWidth: number; videoHeight: number }) => [
      element.videoWidth,
      element.videoHeight,
    ])
    expect(picture.join('x')).toBe(size)
    expect(size).toBe('336x192')

    const downloading = page.waitForEvent('download')
    await shown.getByRole('link', { name: 'Download' }).click()
    const download = await downloading
    expect(download.suggestedFilename()).toBe('a-paper-boat-in-the-rain-seen-by-a-browser.mp4')
    const bytes = await readFile(await download.path())
    expect(bytes.subarray(4, 8).toString('latin1')).toBe('ftyp')
    expect(complaints).toEqual([])
  },
  VIDEO_MS_MAX,
)

test(
  'a video cancelled on the page ends as cancelled, on the page and in the API',
  async () => {
    await page.goto(studioUrl(service.key))
    const shown = await submit('A lighthouse that nobody waits for')
    await shown.getByRole('button', { name: 'Cancel' }).click()
    await shown.getByText('Cancelled', { exact: true }).waitFor({ timeout: VIDEO_MS_MAX })
    expect(await askApi(shown)).toMatchObject({ status: 'failed', error: { code: 'cancelled' } })
    expect(complaints).toEqual([])
  },
  VIDEO_MS_MAX,
)

test('the key leaves the address bar at once and is still known after a reload', async () => {
  await page.goto(studioUrl(service.key))
  await page.getByText('Balance').waitFor()
  expect(page.url()).toBe(new URL('/', service.baseUrl).href)
  await page.reload()
  await page.getByText('Balance').waitFor()
  expect(complaints).toEqual([])
})

test('a key that is not accepted is forgotten, and the page says so', async () => {
  await page.goto(studioUrl('sk-of-nobody'))
  await page.getByRole('alert').getByText('not accepted').waitFor()
  await page.reload()
  await page.getByLabel('API key').fill(service.key)
  await page.getByRole('button', { name: 'Open' }).click()
  await page.getByText('Balance').waitFor()
})

test('what the API refuses is said beside the field at fault, and nothing is submitted', async () => {
  await page.goto(studioUrl(service.key))
  await page.getByRole('button', { name: /^Options/ }).click()
  await page.getByLabel('Seed').fill('9007199254740991')
  const box = page.getByRole('textbox', { name: 'What the video shows' })
  await box.fill('A seed too large for anyone')
  await box.press('Enter')
  await page
    .locator('.setting', { has: page.getByLabel('Seed') })
    .getByRole('alert')
    .waitFor()
  expect(await card('A seed too large for anyone').count()).toBe(0)
  expect(await box.inputValue()).toBe('A seed too large for anyone')
})

test(
  'a page that loses the service says so, keeps what it shows, and goes on by itself',
  async () => {
    await page.goto(studioUrl(service.key))
    const shown = await submit('A ferry crosses while the line is cut')
    await context.setOffline(true)
    await page.getByRole('status').getByText('Reconnecting').waitFor()
    expect(await shown.count()).toBe(1)
    await context.setOffline(false)
    await page.getByRole('status').getByText('Reconnecting').waitFor({ state: 'detached' })
    await shown.locator('video').waitFor({ timeout: VIDEO_MS_MAX })
  },
  VIDEO_MS_MAX,
)
