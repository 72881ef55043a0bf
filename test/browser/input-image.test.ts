import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { launchChromium } from '../support/chromium.ts'
import { farthest, quadrantMeans, quadrants } from '../support/images.ts'
import { contentOf } from '../support/service-videos.ts'
import { startService } from '../support/start-service.ts'
import { frameAt } from '../support/video-frame.ts'

const START_MS_MAX = 120_000
const VIDEO_MS_MAX = 90_000

let service: Awaited<ReturnType<typeof startService>>
let browser: Browser
let context: BrowserContext
let page: Page
let complaints: string[]

beforeAll(async () => {
  service = await startService({ queue: 'postgres', env: { SLUICE_ANIMATIC_STEP_MS: '20' } })
  browser = await launchChromium()
}, START_MS_MAX)

afterAll(async () => {
  await browser?.close()
  await service?.stop()
}, START_MS_MAX)

beforeEach(async () => {
  complaints = []
  context = await browser.newContext({ viewport: { width: 1280, height: 900 } })
  page = await context.newPage()
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) complaints.push(message.text())
  })
  await page.goto(new URL(`/#key=${service.key}`, service.baseUrl).href)
})

afterEach(() => context?.close())

const picker = () => page.getByLabel('Add an image')
const preview = () => page.getByRole('figure')
const shot = async (name: string) => {
  const folder = process.env.SLUICE_TEST_SHOTS
  if (folder !== undefined) await page.screenshot({ path: `${folder}/${name}.png` })
}

test(
  'a picked image is shown, gives the video its shape, and is what the video starts with',
  async () => {
    const buffer = await quadrants(400, 600).jpeg({ quality: 95 }).toBuffer()
    await shot('without')
    await picker().setInputFiles({ name: 'boat.jpg', mimeType: 'image/jpeg', buffer })
    await preview().getByRole('img', { name: 'boat.jpg' }).waitFor()
    await expect
      .poll(() => page.getByRole('radio', { name: '2:3, 208 by 304 pixels' }).isChecked())
      .toBe(true)
    const box = page.getByRole('textbox', { name: 'What the video shows' })
    await box.fill('.')
    await shot('with')
    await box.press('Enter')
    const card = page.getByRole('article', { name: '.', exact: true })
    await card.locator('video').waitFor({ timeout: VIDEO_MS_MAX })
    expect(await preview().count()).toBe(0)
    const id = (await card.getAttribute('data-video')) ?? ''
    expect((await service.call('GET', `/v1/videos/${id}`)).body).toMatchObject({
      mode: 'i2v',
      size: '208x304',
    })
    expect(farthest(await quadrantMeans(await frameAt(await contentOf(service, id), 0)))).toBeLessThan(40)
    expect(complaints).toEqual([])
  },
  VIDEO_MS_MAX,
)

test('an image can be dropped, pasted and taken away again; what is no image is said', async () => {
  const bytes = [...(await quadrants(320, 320).png().toBuffer())]
  for (const kind of ['drop', 'paste'] as const) {
    // A string, since this file is checked without the types of the DOM.
    const script = `(() => {
      const file = new File([new Uint8Array(${JSON.stringify(bytes)})], 'square.png', { type: 'image/png' })
      const transfer = new DataTransfer()
      transfer.items.add(file)
      const target = document.querySelector('.prompt-box textarea')
      target.dispatchEvent(${
        kind === 'drop'
          ? "new DragEvent('drop', { dataTransfer: transfer, bubbles: true, cancelable: true })"
          : "new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true, cancelable: true })"
      })
    })()`
    await page.evaluate(script)
    await preview().getByRole('img').waitFor()
    await expect.poll(() => page.getByRole('radio', { name: /^1:1/ }).isChecked()).toBe(true)
    await preview().getByRole('button', { name: 'Remove' }).click()
    expect(await preview().count()).toBe(0)
  }
  await picker().setInputFiles({ name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('no image') })
  await page.getByRole('alert').getByText('notes.txt is no PNG, JPEG or WebP image.').waitFor()
  await picker().setInputFiles({ name: 'broken.png', mimeType: 'image/png', buffer: Buffer.from('no image') })
  await page.getByRole('alert').getByText('It may be damaged').waitFor()
  expect(complaints).toEqual([])
})

test('an image that comes before the models are known gives the video its shape as well', async () => {
  const { promise: isKnown, resolve: tell } = Promise.withResolvers<void>()
  await page.route('**/v1/models', async (route) => {
    await isKnown
    await route.continue()
  })
  await page.reload()
  const buffer = await quadrants(320, 320).png().toBuffer()
  await picker().setInputFiles({ name: 'square.png', mimeType: 'image/png', buffer })
  await preview().getByRole('img').waitFor()
  tell()
  await expect.poll(() => page.getByRole('radio', { name: /^1:1/ }).isChecked()).toBe(true)
})
