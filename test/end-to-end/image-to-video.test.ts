import OpenAI, { toFile } from 'openai'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { farthest, quadrantMeans, quadrants } from '../support/images.ts'
import { contentOf, isEnded, ledgerCheck, submit, videoWhen } from '../support/service-videos.ts'
import { type Service, startService } from '../support/start-service.ts'
import { frameAt } from '../support/video-frame.ts'

let service: Service

beforeAll(async () => {
  service = await startService({ queue: 'postgres', env: { SLUICE_ANIMATIC_STEP_MS: '20' } })
})
afterAll(() => service?.stop())

/** How far a frame is from the quadrants. The caption and its shade change the mean colours a little. */
const unlikeAt = async (video: Buffer, seconds: number) =>
  farthest(await quadrantMeans(await frameAt(video, seconds)))
const LIKE = 40

test('a video made from a file sent by the OpenAI SDK starts with that picture, is its shape, and is charged as any other', async () => {
  const client = new OpenAI({ apiKey: service.key, baseURL: service.baseUrl })
  const input_reference = await toFile(
    await quadrants(900, 600).jpeg({ quality: 95 }).toBuffer(),
    'boat.jpg',
    { type: 'image/jpeg' },
  )
  const fields = { prompt: '.', input_reference, num_frames: 49, num_steps: 10 }
  const { id } = await client.videos.create(fields as OpenAI.VideoCreateParams)
  expect(await videoWhen(service, id, isEnded)).toMatchObject({
    status: 'completed',
    mode: 'i2v',
    size: '304x208',
    cost: { state: 'charged' },
  })
  expect(await unlikeAt(await contentOf(service, id), 0)).toBeLessThan(LIKE)

  const remix = await client.videos.remix(id, { prompt: '..' })
  expect(await videoWhen(service, remix.id, isEnded)).toMatchObject({ status: 'completed', mode: 'i2v' })
  expect(await unlikeAt(await contentOf(service, remix.id), 0)).toBeLessThan(LIKE)
  expect(await ledgerCheck(service)).toMatchObject({ ok: true })
})

test('a video that ends with its picture ends with it', async () => {
  const input_reference = `data:image/png;base64,${(await quadrants(600, 400).png().toBuffer()).toString('base64')}`
  const id = await submit(service, {
    prompt: '.',
    input_reference,
    i2v_condition: 'tail',
    num_frames: 25,
    num_steps: 5,
  })
  expect(await videoWhen(service, id, isEnded)).toMatchObject({ status: 'completed', i2v_condition: 'tail' })
  expect(await unlikeAt(await contentOf(service, id), 1)).toBeLessThan(LIKE)
})
