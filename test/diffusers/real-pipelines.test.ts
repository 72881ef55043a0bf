import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runnerReplySchema } from '@sluice/shared/runner-protocol'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALL_PASSED, runUnittest } from '../../runners/python/runner_tests/run-unittest.ts'
import { readMp4Facts } from '../support/mp4-facts.ts'
import { contentOf, isEnded, ledgerCheck, submit, videoWhen } from '../support/service-videos.ts'
import { type Service, startService } from '../support/start-service.ts'

const python = process.env.DIFFUSERS_PYTHON ?? ''
if (python === '') {
  throw new Error(
    'DIFFUSERS_PYTHON is not set: it names a Python with the libraries, such as of ' +
      'python3 -m venv /tmp/diffusers && /tmp/diffusers/bin/pip install -r runners/diffusers/requirements.txt',
  )
}
const RUNNER_FOLDER = fileURLToPath(new URL('../../runners/diffusers', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'diffusers-real-'))
afterAll(() => rmSync(folder, { recursive: true }))

test.each([
  ["each of the library's pipelines resumes at every step to the same bytes", 'tests.test_pipelines'],
  ['the runner generates, stops, switches models and runs out of memory as it should', 'tests.test_runner'],
])('%s', async (_, module) => {
  const { exitCode, summary, replies } = await runUnittest({
    python,
    runnerFolder: RUNNER_FOLDER,
    module,
    folder,
    env: { SLUICE_TINY_MODELS: folder, OMP_NUM_THREADS: '1', HF_HUB_OFFLINE: '1' },
  })
  expect(summary).toMatch(ALL_PASSED)
  expect(exitCode).toBe(0)
  for (const reply of replies) expect(runnerReplySchema.parse(reply)).toEqual(reply)
})

describe('through API, queue, worker and runner, as SLUICE_RUNNER=diffusers starts them', () => {
  let service: Service
  beforeAll(async () => {
    execFileSync(python, ['-B', 'tests/tiny_models.py', folder, 'wan-2.2-5b'], {
      cwd: RUNNER_FOLDER,
      stdio: 'ignore',
      env: { PATH: process.env.PATH, HF_HUB_OFFLINE: '1' },
    })
    const catalogue = join(folder, 'models.json')
    const models = [{ id: 'wan-2.2-5b', weights: { folder: join(folder, 'wan-2.2-5b') } }]
    writeFileSync(catalogue, JSON.stringify({ models }))
    service = await startService({
      queue: 'postgres',
      env: {
        SLUICE_CATALOGUE: catalogue,
        SLUICE_RUNNER: 'diffusers',
        SLUICE_DIFFUSERS_PYTHON: python,
        SLUICE_DIFFUSERS_DEVICE: 'cpu',
      },
    })
  })
  afterAll(() => service?.stop())

  test('a sentence and an image end in charged MP4s that Wan made, beside the entry of Open-Sora', async () => {
    const small = { model: 'wan-2.2-5b', size: '256x256', num_frames: 5, num_steps: 3 }
    const id = await submit(service, { ...small, prompt: '"1984", 纸船 🚤' })
    const video = await videoWhen(service, id, isEnded, 300_000)
    expect(video).toMatchObject({ status: 'completed', model: 'wan-2.2-5b', size: '256x256' })
    // (1 + 4/4) latent frames of 256/32 rows and columns.
    expect(video.usage).toEqual({ video_tokens: 128, steps: 3, generated_tokens: 384 })
    expect(video.cost.state).toBe('charged')
    expect(readMp4Facts(await contentOf(service, id))).toMatchObject({ width: 256, height: 256, samples: 5 })
    const image = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#c03020' } })
      .png()
      .toBuffer()
    const pictured = await submit(service, {
      ...small,
      prompt: 'from an image',
      input_reference: `data:image/png;base64,${image.toString('base64')}`,
    })
    expect(await videoWhen(service, pictured, isEnded, 300_000)).toMatchObject({
      status: 'completed',
      mode: 'i2v',
      cost: { state: 'charged' },
    })
    expect(await ledgerCheck(service)).toMatchObject({ ok: true })
    const models = await service.call('GET', '/v1/models')
    expect(JSON.stringify(models.body)).toMatch(/"id":"open-sora-2".*"id":"wan-2.2-5b"/)
  })
})
