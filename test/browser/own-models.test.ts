import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { launchChromium } from '../support/chromium.ts'
import { adminView, isEnded, ledgerCheck, submit, videoWhen } from '../support/service-videos.ts'
import { startService } from '../support/start-service.ts'

const START_MS_MAX = 120_000
const folder = mkdtempSync(join(tmpdir(), 'sluice-own-models-'))
let service: Awaited<ReturnType<typeof startService>>
let browser: Browser

beforeAll(async () => {
  const path = join(folder, 'models.json')
  writeFileSync(
    path,
    JSON.stringify({
      models: [
        {
          id: 'ink-wash',
          base: 'animatic',
          description: 'Painted in ink',
          prices: { '256px': '0.5' },
          resolutions: ['256px'],
          weights: { lora: { path: '/models/ink.safetensors' } },
        },
        { id: 'wan-2.2-5b' },
        {
          id: 'flat-1',
          base: 'wan-2.2-5b',
          description: 'Eight steps, one size',
          modes: ['t2v'],
          resolutions: ['480p'],
          sizes: { '480p': ['448x256'] },
          steps: { min: 8, max: 8, default: 8 },
          guidance: null,
        },
      ],
    }),
  )
  service = await startService({
    queue: 'postgres',
    env: {
      SLUICE_CATALOGUE: path,
      SLUICE_MODEL: 'animatic,ink-wash,wan-2.2-5b,flat-1',
      SLUICE_ANIMATIC_MODELS: 'animatic,ink-wash,wan-2.2-5b,flat-1',
      SLUICE_ANIMATIC_SWITCH_MS: '100',
      SLUICE_ANIMATIC_STEP_MS: '20',
    },
  })
  browser = await launchChromium()
}, START_MS_MAX)

afterAll(async () => {
  await browser?.close()
  await service?.stop()
  rmSync(folder, { recursive: true })
}, START_MS_MAX)

test('an own model is chosen on the page, made by a worker that serves it, and has its price', async () => {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } })
  await page.goto(new URL(`/#key=${service.key}`, service.baseUrl).href)
  await page.getByRole('button', { name: /^Options/ }).click()
  const picker = page.getByRole('combobox', { name: 'Model' })
  await picker.waitFor()
  expect(await picker.getByRole('option').allTextContents()).toEqual([
    'animatic',
    'ink-wash',
    'wan-2.2-5b',
    'flat-1',
  ])
  expect(await picker.inputValue()).toBe('animatic')
  await page.getByText('768px', { exact: true }).click()
  await picker.selectOption('ink-wash')
  await page.getByText('Painted in ink').waitFor()
  // It makes no other.
  expect(await page.getByRole('group', { name: 'Resolution' }).locator('label').allTextContents()).toEqual([
    '256px',
  ])
  await page.getByRole('textbox', { name: 'What the video shows' }).fill('A heron in the reeds')
  await page.keyboard.press('Enter')
  const card = page.getByRole('article', { name: 'A heron in the reeds', exact: true })
  await card.locator('video').waitFor({ timeout: 90_000 })
  const id = (await card.getAttribute('data-video')) ?? ''
  const video = (await service.call('GET', `/v1/videos/${id}`)).body
  expect(video).toMatchObject({
    model: 'ink-wash',
    size: '336x192',
    status: 'completed',
    usage: { generated_tokens: 415_800 },
  })
  // 415,800 tokens at 0.50 per million.
  expect(video.cost).toEqual({ amount: '0.2079', currency: 'USD', state: 'charged' })
  const [attempt] = (await adminView(service, id)).attempts
  // A timer may be early by a fraction of a millisecond.
  expect(attempt.timings.load).toBeGreaterThan(0.09)
  await page.close()
})

test('everything that the page offers is what the chosen model makes, and a wish outlives the choice', async () => {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } })
  await page.goto(new URL(`/#key=${service.key}`, service.baseUrl).href)
  await page.getByRole('button', { name: /^Options/ }).click()
  const picker = page.getByRole('combobox', { name: 'Model' })
  const length = page.getByRole('slider', { name: 'Length' })
  const steps = page.getByRole('slider', { name: 'Steps' })
  const classes = page.getByRole('group', { name: 'Resolution' }).locator('label')
  const shapes = page.getByRole('group', { name: 'Shape' }).locator('label')
  await picker.waitFor()
  await steps.fill('30')
  await length.fill('97')
  await picker.selectOption('wan-2.2-5b')
  await page.getByText('121 frames').waitFor({ state: 'detached' })
  expect(await classes.allTextContents()).toEqual(['480p', '720p'])
  expect(await shapes.allTextContents()).toEqual(['16:9', '1:1'])
  // Both models have 24 frames a second, and 4k+1 of them.
  expect(await length.inputValue()).toBe('97')
  expect(await page.getByRole('slider', { name: 'Guidance' }).inputValue()).toBe('5')
  await page.getByText('720p', { exact: true }).click()
  await page.getByText('1280 × 704').waitFor()

  await picker.selectOption('flat-1')
  await page.getByText('448 × 256').waitFor()
  expect(await steps.count()).toBe(0)
  expect(await page.getByRole('slider', { name: 'Guidance' }).count()).toBe(0)
  expect(await page.getByRole('button', { name: 'Portrait' }).count()).toBe(0)
  expect(await page.getByLabel('Add an image').count()).toBe(0)
  await length.press('Home')
  await page.getByRole('textbox', { name: 'What the video shows' }).fill('A flat sea')
  await page.keyboard.press('Enter')
  const card = page.getByRole('article', { name: 'A flat sea', exact: true })
  await card.locator('video').waitFor({ timeout: 90_000 })
  const video = (await service.call('GET', `/v1/videos/${await card.getAttribute('data-video')}`)).body
  expect(video).toMatchObject({
    model: 'flat-1',
    size: '448x256',
    num_frames: 5,
    num_steps: 8,
    guidance: null,
    // Two latent frames of 8 by 14 patches, at 0.10 per million.
    usage: { video_tokens: 224, generated_tokens: 1_792 },
    cost: { amount: '0.00018', state: 'charged' },
  })

  await page.getByRole('button', { name: /^Options/ }).click()
  await picker.selectOption('wan-2.2-5b')
  await page.getByText('1280 × 704').waitFor()
  expect(await steps.inputValue()).toBe('30')
  await page.close()
})

test('a video of the model that is loaded needs no switch; one of another model needs one', async () => {
  const loads: boolean[] = []
  for (const model of ['ink-wash', 'ink-wash', 'animatic']) {
    const id = await submit(service, { prompt: 'x', model, num_frames: 5, num_steps: 2 })
    expect(await videoWhen(service, id, isEnded)).toMatchObject({ status: 'completed', model })
    loads.push((await adminView(service, id)).attempts[0].timings.load !== undefined)
  }
  expect(loads.slice(1)).toEqual([false, true])
  expect(await ledgerCheck(service)).toMatchObject({ ok: true })
})
