import OpenAI from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { type FaultProxy, startFaultProxy } from '../support/fault-proxy.ts'
import { farthest, quadrantMeans, quadrants } from '../support/images.ts'
import { adminView, contentOf, isEnded, ledgerCheck, submit, videoWhen } from '../support/service-videos.ts'
import { type Service, startService } from '../support/start-service.ts'
import { frameAt } from '../support/video-frame.ts'

const API = 'apps/api/src/main.ts'
const WORKER = 'apps/worker/src/main.ts'
const STEPS = 20
/** Enough time to kill three parts, one after the other. */
const LONG = { num_steps: 60 } as const
const CLIP = { num_frames: 17, num_steps: STEPS, seed: 11, size: '256x256' } as const
/** Twice what the inner one takes of the outer one's account. */
const OUTER_PRICE = { model: 'animatic', resolution: '256px', per_million: '0.8' }

/** Draws title cards; its customer is the outer one. */
let inner: Service
/** Spoils answers of the inner one, as a line does. */
let line: FaultProxy
/** Has no runner that draws: its worker drives the inner one. */
let outer: Service

beforeAll(async () => {
  inner = await startService({ queue: 'postgres', env: { SLUICE_ANIMATIC_STEP_MS: '100' } })
  line = await startFaultProxy(inner.origin, [])
  outer = await startService({
    queue: 'redis',
    env: {
      SLUICE_RUNNER: 'engine',
      SLUICE_ENGINE_URL: line.url,
      SLUICE_ENGINE_KEY: inner.key,
      SLUICE_MODEL: 'animatic',
      SLUICE_DEFAULT_MODEL: 'animatic',
    },
  })
  const set = await outer.call('POST', '/v1/admin/prices', OUTER_PRICE, outer.adminKey)
  expect(set.status).toBe(200)
})
afterAll(async () => {
  await outer?.stop()
  await line?.[Symbol.asyncDispose]()
  await inner?.stop()
})

// biome-ignore lint/suspicious/noExplicitAny: tests read whatever the API answered, and fail on what is missing
type Video = any

/** The videos that the inner one has of a prompt, which each test has its own of. */
async function innerVideos(prompt: string): Promise<Video[]> {
  const listed = await inner.call('GET', '/v1/videos?limit=100').catch(() => null)
  return (listed?.body?.data ?? []).filter((video: Video) => video.prompt === prompt)
}

/** Submits to the outer one; resolves when the inner one is in the midst of it. */
async function midway(prompt: string, length: { num_steps?: number } = {}): Promise<string> {
  const id = await submit(outer, { ...CLIP, ...length, prompt })
  await untilStep(prompt, 5)
  return id
}

function untilStep(prompt: string, step: number): Promise<Video[]> {
  return eventually(
    () => innerVideos(prompt),
    ([video]) => video?.steps_done >= step,
  )
}

async function kill(service: Service, part: string): Promise<void> {
  const pids = service.pids(part)
  expect(pids.length).toBeGreaterThan(0)
  for (const pid of pids) process.kill(pid, 'SIGKILL')
  // The supervisor starts it again.
  await eventually(
    async () => service.pids(part).filter((pid) => !pids.includes(pid)),
    (fresh) => fresh.length > 0,
  )
}

const kindsOf = (view: Video) => view.transfers.map(({ kind }: { kind: string }) => kind)

/** One video and one charge on both sides, each by its own price, and the same bytes. */
async function expectMadeOnce(id: string, prompt: string, steps: number = STEPS): Promise<void> {
  const video = await videoWhen(outer, id, isEnded, 90_000)
  expect(video).toMatchObject({ status: 'completed', usage: { steps }, cost: { state: 'charged' } })
  const [made, ...more] = await innerVideos(prompt)
  expect(more).toEqual([])
  expect(made).toMatchObject({ status: 'completed', seed: 11, size: '256x256', cost: { state: 'charged' } })
  expect(Number(video.cost.amount)).toBeGreaterThan(Number(made.cost.amount))
  for (const [service, of] of [
    [outer, id],
    [inner, made.id],
  ] as const) {
    expect(kindsOf(await adminView(service, of))).toEqual(['hold', 'settle'])
    expect(await ledgerCheck(service)).toMatchObject({ ok: true })
  }
  expect((await contentOf(outer, id)).equals(await contentOf(inner, made.id))).toBe(true)
}

test('the unmodified OpenAI SDK creates, polls and downloads through a Sluice behind a Sluice: both charge once', async () => {
  const client = new OpenAI({ apiKey: outer.key, baseURL: outer.baseUrl })
  const prompt = 'a heron lifts off'
  // What the SDK does not know of it passes on.
  const created = await client.videos.create({ prompt, ...(CLIP as object) })
  const polled = await eventually(() => client.videos.retrieve(created.id), isEnded)
  expect(polled).toMatchObject({ status: 'completed', progress: 100 })
  const response = await client.videos.downloadContent(created.id)
  const bytes = Buffer.from(await response.arrayBuffer())
  expect(bytes.equals(await contentOf(outer, created.id))).toBe(true)
  await expectMadeOnce(created.id, prompt)
  expect((await contentOf(outer, created.id, 'spritesheet')).length).toBeGreaterThan(1_000)
})

test('runner, worker and API of the outer one are killed in the middle of a video: it is made once and charged once on both sides', async () => {
  const prompt = 'a paper boat'
  const id = await midway(prompt, LONG)
  await kill(outer, 'runners/engine/src/main.ts')
  await untilStep(prompt, 15)
  await kill(outer, WORKER)
  await untilStep(prompt, 25)
  await kill(outer, API)
  await expectMadeOnce(id, prompt, LONG.num_steps)
  expect((await adminView(outer, id)).attempts.length).toBeGreaterThan(1)
})

test('runner, worker and API of the inner one are killed in the middle of a video: it is made once and charged once on both sides', async () => {
  const prompt = 'a lighthouse'
  const id = await midway(prompt, LONG)
  await kill(inner, 'runners/animatic/src/main.ts')
  await untilStep(prompt, 15)
  await kill(inner, WORKER)
  await untilStep(prompt, 25)
  await kill(inner, API)
  await expectMadeOnce(id, prompt, LONG.num_steps)
  const { attempts } = await adminView(outer, id)
  expect(attempts).toHaveLength(1)
})

test('a clip that ends with its picture ends with it, two installations away', async () => {
  const prompt = '.'
  const image = (await quadrants(600, 400).png().toBuffer()).toString('base64')
  const id = await submit(outer, {
    prompt,
    input_reference: `data:image/png;base64,${image}`,
    i2v_condition: 'tail',
    num_frames: 25,
    num_steps: STEPS,
    seed: 11,
    size: '256x256',
  })
  await expectMadeOnce(id, prompt)
  const last = await frameAt(await contentOf(outer, id), 1)
  // The caption and its shade change the mean colours a little.
  expect(farthest(await quadrantMeans(last))).toBeLessThan(40)
})

test('a submission whose answer is lost twice answers the same video', async () => {
  const prompt = 'a kite in the rain'
  line.faults.push('cut', 502)
  const id = await submit(outer, { ...CLIP, prompt })
  await expectMadeOnce(id, prompt)
  expect(line.faults).toEqual([])
})

test('a cancel reaches the inner one, and each charges the steps that it knows of', async () => {
  const prompt = 'a slow river'
  const id = await midway(prompt)
  expect((await outer.call('POST', `/v1/videos/${id}/cancel`)).status).toBe(200)
  const video = await videoWhen(outer, id, isEnded)
  expect(video).toMatchObject({ error: { code: 'cancelled' } })
  const [made] = await eventually(
    () => innerVideos(prompt),
    ([candidate]) => isEnded(candidate),
  )
  expect(made).toMatchObject({ error: { code: 'cancelled' } })
  for (const { usage } of [video, made]) expect(usage.steps).toBeLessThan(STEPS)
  expect(await ledgerCheck(outer)).toMatchObject({ ok: true })
  expect(await ledgerCheck(inner)).toMatchObject({ ok: true })
})

test('a video that the inner one lost is made again, and the customer is charged once', async () => {
  const prompt = 'a door in a field'
  const id = await midway(prompt)
  const [lost] = await innerVideos(prompt)
  expect((await inner.call('DELETE', `/v1/videos/${lost.id}`)).status).toBe(200)
  await expectMadeOnce(id, prompt)
})
