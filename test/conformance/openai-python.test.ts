import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { askServer } from '../support/ask-servers.ts'
import { eventually } from '../support/eventually.ts'
import { quadrants } from '../support/images.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'
import { HandWorker } from '../support/test-worker.ts'

const program = fileURLToPath(new URL('openai_videos.py', import.meta.url))
let api: TestApi
let python: string

/** A fresh machine downloads the package first. */
const INSTALL_MS = 300_000

beforeAll(async () => {
  python = (await askServer('pythonOpenai')).python
  api = await startTestApi({ leaseMs: 600_000 })
}, INSTALL_MS)
afterAll(() => api?.stop())

// biome-ignore lint/suspicious/noExplicitAny: tests read whatever the program said, and fail on what is missing
type Said = any

/** Runs a scenario of openai_videos.py. `next` answers its next line; `all` waits for its end and answers those not yet read. */
function start(scenario: string, args: readonly string[] = [], key = api.key) {
  const child = spawn(python, [program, scenario, ...args], {
    env: { PATH: process.env.PATH ?? '', OPENAI_BASE_URL: `${api.url}/v1`, OPENAI_API_KEY: key },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let complaints = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  const ended = once(child, 'exit')
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  const next = async (): Promise<Said> => {
    const { value, done } = await lines.next()
    if (!done) return JSON.parse(value)
    throw new Error(`${scenario} said nothing more (exit ${(await ended)[0]}): ${complaints}`)
  }
  const all = async (): Promise<Said[]> => {
    const said: Said[] = []
    for (let line = await lines.next(); !line.done; line = await lines.next()) said.push(JSON.parse(line.value))
    const [code] = await ended
    if (code !== 0) throw new Error(`${scenario} exited with ${code}: ${complaints}`)
    return said
  }
  return { next, all, goOn: () => child.stdin.end('\n') }
}

test('create_and_poll keeps the pace it is told, returns the completed video, and its three variants download', async () => {
  const client = start('create-and-poll')
  const { created } = await client.next()
  await using worker = new HandWorker(api)
  await worker.heartbeat()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'taken', slot: 0 })
  await attempt.report({ type: 'started' })
  // Half a minute to go: a pace slower than the second that the package takes when it is told none.
  await attempt.report({ type: 'progress', phase: 'denoise', step: 25, remaining_ms: 30_000 })
  const paceMs = async () => Number((await api.call('GET', `/v1/videos/${created}`)).headers.get('openai-poll-after-ms'))
  await eventually(paceMs, (ms) => ms > 1_000)
  client.goOn()
  const first = await client.next()
  const second = await client.next()
  const pollAfterMs = Number(first.poll_after_ms)
  expect(pollAfterMs).toBeGreaterThan(1_000)
  expect((second.polled_at - first.polled_at) * 1_000).toBeGreaterThanOrEqual(pollAfterMs)
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  await worker.heartbeat([], { draining: true })
  const { video } = (await client.all()).at(-1)
  expect(video).toMatchObject({ id: created, object: 'video', status: 'completed', progress: 100, size: '1024x576', error: null })
  expect(video.completed_at).toEqual(expect.any(Number))
  const text = `mp4 of ${created} ${attempt.claim}`
  expect(await start('download', [created]).all()).toEqual([text, 'webp', 'jpeg', text])
})

test('the list iterates over everything by itself and stops, also while it is deleted', async () => {
  const { key } = await api.account(1_000_000n)
  const [made, listed, deleted, left] = await start('pages', ['7'], key).all()
  expect(made).toHaveLength(7)
  expect(listed).toEqual(made)
  expect(deleted).toEqual(made.toReversed())
  expect(left).toEqual([])
})

test('each error is the class its status stands for, with code, param and request id', async () => {
  const request_id = expect.stringMatching(/^req_/)
  expect(await start('errors').all()).toEqual([
    { class: 'BadRequestError', status: 400, code: 'invalid_value', param: 'size', request_id },
    { class: 'AuthenticationError', status: 401, code: 'invalid_api_key', param: 'Authorization', request_id },
    { class: 'NotFoundError', status: 404, code: 'not_found', param: 'video_id', request_id },
    { class: 'BadRequestError', status: 400, code: 'unsupported_operation', param: null, request_id },
  ])
})

test('a file goes in as input_reference and makes a video from an image', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-test-image-'))
  try {
    const path = join(dir, 'boat.jpg')
    await quadrants(320, 200).jpeg().toFile(path)
    const [video] = await start('image', [path]).all()
    expect(video).toMatchObject({ status: 'queued', mode: 'i2v', i2v_condition: 'tail', num_frames: 5 })
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
})

test('parameters of this service travel in extra_body, and remix and models work', async () => {
  const [video, remix, models] = await start('extras').all()
  expect(video).toMatchObject({ seed: 42, guidance: 6.5, num_frames: 5, num_steps: 10, metadata: { shot: '12' } })
  expect(remix).toMatchObject({ prompt: 'b', remixed_from_video_id: video.id })
  expect(models).toEqual(['open-sora-2', 'animatic', 'sora-2', 'sora-2-pro'])
})
