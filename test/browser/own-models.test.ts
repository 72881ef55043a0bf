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
      ],
    }),
  )
  service = await startService({
    queue: 'postgres',
    env: {
      SLUICE_CATALOGUE: path,
      SLUICE_MODEL: 'animatic,ink-wash',
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
  expect(await picker.getByRole('option').allTextContents()).toEqual(['animatic', 'ink-wash'])
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
