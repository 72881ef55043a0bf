import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { launchChromium } from '../support/chromium.ts'
import { eventually } from '../support/eventually.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { quadrants } from '../support/images.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

const START_MS_MAX = 120_000
let api: TestApi
let browser: Browser
let context: BrowserContext
let page: Page

beforeAll(async () => {
  api = await startTestApi()
  browser = await launchChromium()
}, START_MS_MAX)
afterAll(async () => {
  await browser?.close()
  await api?.stop()
}, START_MS_MAX)

beforeEach(async () => {
  context = await browser.newContext({ viewport: { width: 1440, height: 900 } })
  page = await context.newPage()
})
afterEach(() => context?.close())

const studioUrl = (key: string) => `${api.url}/#key=${key}`
const promptBox = () => page.getByRole('textbox', { name: 'What the video shows' })
const card = (prompt: string) => page.getByRole('article', { name: prompt, exact: true })
const shot = async (name: string) => {
  const folder = process.env.SLUICE_TEST_SHOTS
  if (folder !== undefined) await page.screenshot({ path: `${folder}/${name}.png` })
}

/** A new account with a key. */
async function account(): Promise<{ accountId: string; key: string }> {
  return api.account(1_000_000_000n)
}

/** Submits through the API, as another program of the account would. Returns the video's id. */
async function submit(key: string, fields: Record<string, unknown>): Promise<string> {
  const answer = await api.call('POST', '/v1/videos', { num_frames: 5, num_steps: 2, ...fields }, { key })
  if (answer.status !== 200) throw new Error(`submit: ${answer.status} ${JSON.stringify(answer.body)}`)
  return answer.body.id
}

async function videosOf(key: string): Promise<{ id: string; status: string }[]> {
  return (await api.call('GET', '/v1/videos?limit=100', undefined, { key })).body.data
}

test('a key that may not look at videos is told what it may do and which key to use', async () => {
  const { accountId } = await account()
  const writeOnly = await api.call(
    'POST',
    `/v1/admin/accounts/${accountId}/keys`,
    { name: 'w', scopes: ['videos:write'] },
    { key: api.adminKey },
  )
  for (const [key, scope] of [
    [api.adminKey, 'admin'],
    [writeOnly.body.key, 'videos:write'],
  ]) {
    await page.goto('about:blank')
    await page.goto(studioUrl(key))
    await page.getByText(`This key has scope ${scope}; this call needs videos:read.`).waitFor()
    await page.getByText('The studio needs a key of an account').waitFor()
    expect(await page.locator('.skeleton, .video-card').count()).toBe(0)
    await shot(`65-${scope.replace(':', '-')}`)
    await page.getByRole('button', { name: 'Use another key' }).click()
    await page.getByLabel('API key').waitFor()
  }
})

test('a key that may only look makes, cancels and deletes nothing, and the page says so', async () => {
  const { accountId, key } = await account()
  const readOnly = await api.call(
    'POST',
    `/v1/admin/accounts/${accountId}/keys`,
    { name: 'r', scopes: ['videos:read'] },
    { key: api.adminKey },
  )
  const id = await submit(key, { prompt: 'to look at' })
  await api.call('POST', `/v1/videos/${id}/cancel`, undefined, { key })
  await page.goto(studioUrl(readOnly.body.key))
  await page.getByText('may look at videos, but not make any').waitFor()
  await card('to look at').getByText('Cancelled', { exact: true }).waitFor()
  expect(await card('to look at').getByRole('button').allTextContents()).toEqual(['Copy ID'])
  await shot('65-read-only')
})

test('every call that is refused is told in words, with a way on, and none loads for ever', async () => {
  const { key } = await account()
  const id = await submit(key, { prompt: 'known to the API' })
  for (const [status, code, words] of [
    [429, 'rate_limited', 'The page asks again by itself.'],
    [500, 'internal_error', 'a fault of the service, not yours'],
    [403, 'model_not_allowed', 'sign in with another key'],
  ] as const) {
    await page.route('**/v1/**', (route) =>
      route.fulfill({ status, json: { error: { message: 'No.', type: 'x', code, param: null } } }),
    )
    await page.goto('about:blank')
    await page.goto(studioUrl(key))
    const note = page.getByRole('alert').filter({ hasText: 'The videos could not be read.' })
    await note.getByText(words).waitFor()
    await page.getByText('Balance unknown').waitFor()
    await page.getByText('No price yet.').waitFor()
    expect(await page.locator('.skeleton, .skeleton-text').count()).toBe(0)
    await shot(`65-${status}`)
    await page.unroute('**/v1/**')
    await note.getByRole('button', { name: 'Try now' }).click()
    await page.locator(`[data-video="${id}"]`).waitFor()
  }
})

test('clicking on at Cancel buys nothing; clicking on at Delete deletes one video, which can be undone', async () => {
  const { key } = await account()
  await submit(key, { prompt: 'to cancel' })
  await page.goto(studioUrl(key))
  const cancelled = card('to cancel')
  await cancelled.getByRole('button', { name: 'Cancel' }).hover()
  const click = async () => {
    await page.mouse.down()
    await page.mouse.up()
    return cancelled.getByText('Cancelled', { exact: true }).isVisible()
  }
  await eventually(click, (isCancelled) => isCancelled)
  for (let more = 0; more < 12; more++) await click()
  await cancelled.getByText('Nothing was charged.').waitFor()
  await shot('67-cancelled')
  // Past the moment in which a hand clicks on, too: the place of Cancel holds nothing that costs.
  const first = cancelled.locator('.first-place')
  expect(await first.getByRole('button').count()).toBe(0)
  expect((await videosOf(key)).length).toBe(1)

  await submit(key, { prompt: 'the other one' })
  await page.reload()
  await cancelled.getByRole('button', { name: 'Delete' }).click({ clickCount: 4 })
  const undo = cancelled.getByRole('button', { name: 'Undo' })
  await undo.waitFor()
  await shot('67-undo')
  expect((await videosOf(key)).length).toBe(2)
  await undo.click()
  await cancelled.getByRole('button', { name: 'Delete' }).waitFor()
  await cancelled.getByRole('button', { name: 'Delete' }).click()
  await undo.waitFor()
  // Whoever leaves the page does not undo.
  await page.goto('about:blank')
  await eventually(
    () => videosOf(key),
    (videos) => videos.length === 1,
    5_000,
  )
  expect((await videosOf(key)).map(({ status }) => status)).toEqual(['queued'])
})

test('Again repeats everything of a video, its image too, which the card shows', async () => {
  const { key } = await account()
  const png = await quadrants(320, 320).png().toBuffer()
  const asked = {
    prompt: 'with an image',
    input_reference: `data:image/png;base64,${png.toString('base64')}`,
    negative_prompt: 'fog',
    guidance: 5,
    guidance_img: 2,
    service_tier: 'flex',
    i2v_condition: 'tail',
    seed: 7,
  }
  const kept = [
    'negative_prompt',
    'guidance',
    'guidance_img',
    'service_tier',
    'i2v_condition',
    'mode',
    'size',
  ]
  const id = await submit(key, { ...asked, num_steps: 50 })
  // Room for what other tests left queued as well.
  const worker = new HandWorker(api, { slots: 30 })
  await worker.heartbeat()
  let attempt = await worker.fetch()
  while (attempt.job.video !== id) attempt = await worker.fetch()
  const result = await attempt.upload()
  await attempt.report({ type: 'progress', phase: 'denoise', step: 17, remaining_ms: 600 })
  await page.goto(studioUrl(key))
  await card('with an image').getByText('34%').waitFor()
  // The fill is where the number is, from the moment in which it is shown.
  await page.evaluate(`(() => {
    window.seen = []
    const bar = document.querySelector('[role=progressbar]')
    const look = () => window.seen.push([bar.ariaValueNow, getComputedStyle(bar.firstChild).transform])
    new MutationObserver(look).observe(bar, { attributes: true })
  })()`)
  await attempt.report({ type: 'progress', phase: 'denoise', step: 25, remaining_ms: 400 })
  await expect
    .poll(() => page.evaluate('window.seen'), { timeout: 10_000 })
    .toEqual([['50', 'matrix(0.5, 0, 0, 1, 0, 0)']])
  await attempt.report({ type: 'finished', result })
  const read = async (videoId: string) =>
    (await api.call('GET', `/v1/videos/${videoId}`, undefined, { key })).body
  const pick = (video: Record<string, unknown>) => kept.map((name) => video[name])
  const source = await read(id)
  expect(source.status).toBe('completed')
  const frame = card('with an image').locator('.frame', { has: page.locator('video') })
  expect((await frame.boundingBox())?.width).toBe(256)
  const picture = card('with an image').locator('.input-picture')
  await picture.getByText('Ends with this image').waitFor()
  await expect
    .poll(() => picture.locator('img').evaluate((image: { naturalWidth: number }) => image.naturalWidth))
    .toBe(256)
  await shot('66-image')
  await card('with an image').getByRole('button', { name: 'Again', exact: true }).click()
  const [again] = await eventually(
    () => videosOf(key),
    (videos) => videos.length === 2,
  )
  const remix = await read(again?.id ?? '')
  expect(pick(remix)).toEqual(pick(source))
  expect(remix.seed).not.toBe(7)

  await api.call('POST', `/v1/videos/${remix.id}/cancel`, undefined, { key })
  // By keyboard: a click where "Again" was clicked less than a second ago would be dropped as stray.
  await page.locator(`[data-video="${remix.id}"]`).getByRole('button', { name: 'Try again' }).press('Enter')
  const [retried] = await eventually(
    () => videosOf(key),
    (videos) => videos.length === 3,
  )
  const retry = await read(retried?.id ?? '')
  expect([...pick(retry), retry.seed]).toEqual([...pick(source), remix.seed])
  expect(retry.retried_from).toBe(remix.id)
  await worker.close()
})

test('the price, the place and the tiers are known before anything is bought', async () => {
  const { key } = await account()
  await page.goto(studioUrl(key))
  const quoteOf = async (fields: Record<string, unknown>) =>
    (await api.call('POST', '/v1/videos/quote', { prompt: '.', size: '336x192', ...fields }, { key })).body
  const usual = await quoteOf({})
  const shown = page.locator('output.quote:not(.old)')
  await shown.getByText(`$${usual.cost.amount}`, { exact: true }).waitFor()
  let quotes = 0
  page.on('request', (request) => {
    if (request.url().endsWith('/quote')) quotes++
  })
  await page.getByRole('button', { name: /^Options/ }).click()
  const steps = page.getByRole('slider', { name: 'Steps' })
  await steps.focus()
  for (let press = 0; press < 30; press++) await page.keyboard.press('ArrowRight')
  const more = await quoteOf({ num_steps: 80 })
  await shown.getByText(`$${more.cost.amount}`, { exact: true }).waitFor()
  // The three tiers once for the old settings and once for the new, and the quote of the new.
  expect(quotes).toBeLessThanOrEqual(8)
  const flex = await quoteOf({ num_steps: 80, service_tier: 'flex' })
  await page.getByText(/^flex\$/).click()
  await shown.getByText(`$${flex.cost.amount}`, { exact: true }).waitFor()
  await shot('68-tiers')
  await promptBox().fill('A flexible heron')
  await promptBox().press('Enter')
  await card('A flexible heron').waitFor()
  expect(await page.locator('.settings-panel').isVisible()).toBe(false)
  const [made] = await videosOf(key)
  expect(await api.call('GET', `/v1/videos/${made?.id}`, undefined, { key })).toMatchObject({
    body: { service_tier: 'flex', num_steps: 80 },
  })
  await shot('73-after-submit')
})

test('all videos are there by scrolling, counted, and far ones take no room in memory', async () => {
  const { key } = await account()
  for (let index = 1; index <= 45; index++) await submit(key, { prompt: `number ${index}` })
  await page.goto(studioUrl(key))
  await page.getByText('20 videos so far').waitFor()
  await expect
    .poll(
      async () => {
        await page.mouse.wheel(0, 20_000)
        return card('number 1').count()
      },
      { timeout: 20_000 },
    )
    .toBe(1)
  expect(await page.getByText('All 45 videos').count()).toBe(1)
  expect(await page.locator('.card-place').count()).toBe(45)
  await expect.poll(() => page.getByRole('article').count(), { timeout: 5_000 }).toBeLessThan(30)
  await shot('69-end')
})

test('an API that is away is told truly, asked again on request, and makes no second video', async () => {
  const { key } = await account()
  await page.clock.install()
  await page.goto(studioUrl(key))
  await page.getByText('Balance').waitFor()
  await promptBox().fill('A boat that nobody answers')
  let isAway = true
  // The first call arrives, and its answer is lost.
  await page.route('**/v1/videos', async (route) => {
    if (route.request().method() !== 'POST') return route.fallback()
    const answer = await route.fetch()
    return isAway ? route.abort() : route.fulfill({ response: answer })
  })
  await promptBox().press('Enter')
  await page.getByText('The service does not answer yet.').waitFor()
  await shot('70-asking')
  const again = page.getByRole('button', { name: 'Try now' }).last()
  const givenUp = page.getByText('the page has stopped asking')
  await eventually(
    async () => {
      await page.clock.runFor(1_000)
      return givenUp.isVisible()
    },
    (isVisible) => isVisible,
  )
  await shot('70-given-up')
  isAway = false
  await again.click()
  // Answered: the box is empty again.
  await expect.poll(() => promptBox().inputValue(), { timeout: 10_000 }).toBe('')
  await card('A boat that nobody answers').waitFor()
  expect((await videosOf(key)).length).toBe(1)
})

test('a link with a key asks before it replaces the one that is signed in, and shows both accounts', async () => {
  const [mine, theirs] = [await account(), await account()]
  await page.goto(studioUrl(mine.key))
  await page.getByText('Balance').waitFor()
  await page.goto(studioUrl(theirs.key))
  await page.getByRole('heading', { name: 'Change the account?' }).waitFor()
  await page.getByText(mine.accountId).waitFor()
  await page.getByText(theirs.accountId).waitFor()
  await shot('71-question')
  await page.getByRole('button', { name: 'Stay as I am' }).click()
  await page.getByText('Balance').waitFor()
  const keyHere = () => page.evaluate("localStorage.getItem('sluice.key')")
  expect(await keyHere()).toBe(mine.key)
  await page.goto('about:blank')
  await page.goto(studioUrl(theirs.key))
  await page.getByRole('button', { name: 'Use the link’s key' }).click()
  await page.getByText('Balance').waitFor()
  expect(await keyHere()).toBe(theirs.key)
})

test('what was typed survives a reload, and a wrong key stays in its field with a hint', async () => {
  await page.goto(api.url)
  const field = page.getByLabel('API key')
  await field.fill('sk-mistyped')
  await page.getByRole('button', { name: 'Open' }).click()
  await page.getByRole('alert').getByText('not accepted').waitFor()
  expect(await field.inputValue()).toBe('sk-mistyped')
  await page.getByText('Where keys come from').waitFor()
  await shot('72-wrong-key')
  await field.fill((await account()).key)
  await page.getByRole('button', { name: 'Open' }).click()
  await promptBox().fill('Half a sentence')
  await page.getByRole('button', { name: /^Options/ }).click()
  await page.getByLabel('Seed').fill('42')
  await page.getByText('768px', { exact: true }).click()
  await page.reload()
  expect(await promptBox().inputValue()).toBe('Half a sentence')
  await page.getByRole('button', { name: /^Options: 768px/ }).click()
  expect(await page.getByLabel('Seed').inputValue()).toBe('42')
})

test('on a phone Return makes a new line, every target is large, and shapes have names', async () => {
  const { key } = await account()
  await submit(key, { prompt: 'on a phone' })
  await context.close()
  context = await browser.newContext({
    viewport: { width: 390, height: 844 },
    hasTouch: true,
    isMobile: true,
    deviceScaleFactor: 2,
  })
  page = await context.newPage()
  await page.goto(studioUrl(key))
  await card('on a phone').waitFor()
  await promptBox().tap()
  await promptBox().pressSequentially('one\ntwo')
  expect(await promptBox().inputValue()).toBe('one\ntwo')
  await page.getByText('2.39:1', { exact: true }).waitFor()
  await page.getByRole('button', { name: /^Options/ }).click()
  await page.getByText(/^flex\$/).waitFor()
  const targets = 'button, a, label.shape, .segments label, input:not(.unseen), select'
  const low = await page.evaluate(`[...document.querySelectorAll('${targets}')]
    .filter((element) => element.offsetParent !== null)
    .filter((element) => element.getBoundingClientRect().height < 44)
    .map((element) => element.outerHTML.slice(0, 80))`)
  expect(low).toEqual([])
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390)
  await shot('73-phone')
  await page.getByRole('button', { name: /^Options/ }).click()
  await card('on a phone').scrollIntoViewIfNeeded()
  await shot('73-phone-card')
  await context.setOffline(true)
  await page.getByRole('status').getByText('Reconnecting').waitFor()
  expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(390)
  await page.evaluate('scrollTo(0, 0)')
  await shot('70-phone')
})

test('what is too dear is told in plain words with a way on', async () => {
  const poor = await api.account(1_000n)
  await page.goto(studioUrl(poor.key))
  await page.getByText('more than there is to spend').waitFor()
  await promptBox().fill('A palace')
  await promptBox().press('Enter')
  const fault = page.getByRole('alert').filter({ hasText: 'the balance is $0.001' })
  await fault.getByText('for credit').waitFor()
  await shot('74-no-credit')
})

test('an address without a page leads a person on, as does the address of a call', async () => {
  for (const [path, status] of [
    ['/videos', 404],
    ['/v1/videos', 401],
  ] as const) {
    const answer = await page.goto(api.url + path)
    expect(answer?.status()).toBe(status)
    await page.getByRole('link', { name: 'Read about the API' }).waitFor()
    await shot(`75${path.replaceAll('/', '-')}`)
  }
  await page.getByRole('link', { name: 'Open the studio' }).click()
  await page.getByRole('heading', { name: 'Open the studio' }).waitFor()
  expect(await page.getByRole('link', { name: 'About the API' }).getAttribute('href')).toBe('/docs')
})
