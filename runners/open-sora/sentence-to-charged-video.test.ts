import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../../test/support/eventually.ts'
import { readMp4Facts } from '../../test/support/mp4-facts.ts'
import {
  adminView,
  contentOf,
  isEnded,
  ledgerCheck,
  submit,
  videoWhen,
} from '../../test/support/service-videos.ts'
import { type Service, startService } from '../../test/support/start-service.ts'

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** `sluice worker` with this runner, the pipeline in plain Python and, for two devices, two ranks. */
const worker = (devices: string, plain: Record<string, string> = {}): Record<string, string> => ({
  SLUICE_RUNNER_COMMAND: JSON.stringify([
    'env',
    `PYTHONPATH=${at('.')}:${at('../python')}`,
    ...Object.entries(plain).map(([name, value]) => `${name}=${value}`),
    'python3',
    '-B',
    '-m',
    'sluice_open_sora',
    '--pipeline',
    `${at('tests/plain_pipeline.py')}:PlainPipeline`,
  ]),
  SLUICE_DEFAULT_MODEL: 'open-sora-2',
  SLUICE_MODEL: 'open-sora-2',
  SLUICE_SLOTS: devices,
  OPENSORA_ENCODER_COMMAND: JSON.stringify([process.execPath, at('../python/runner_tests/encode-frames.ts')]),
  OPENSORA_CHECKPOINT_MS: '200',
})

describe('through API, queue, worker and runner', () => {
  let service: Service
  beforeAll(async () => {
    service = await startService({
      queue: 'postgres',
      env: worker('0,1', { PLAIN_STEP_MS: '30', PLAIN_LOAD_MS: '500' }),
    })
  }, 120_000)
  afterAll(() => service?.stop())

  test('a sentence ends in a charged MP4 of the size and length asked for', async () => {
    const id = await submit(service, {
      prompt: '纸船 "1984", 🚤 \u2028 --seed 3',
      size: '256x256',
      num_frames: 5,
      num_steps: 6,
    })
    const video = await videoWhen(service, id, isEnded)
    expect(video).toMatchObject({ status: 'completed', size: '256x256', model: 'open-sora-2' })
    expect(video.usage).toEqual({ video_tokens: 512, steps: 6, generated_tokens: 3072 })
    expect(video.cost.state).toBe('charged')
    expect(readMp4Facts(await contentOf(service, id))).toMatchObject({
      width: 256,
      height: 256,
      samples: 5,
      fullRange: false,
    })
    expect((await contentOf(service, id, 'thumbnail')).toString('latin1', 8, 12)).toBe('WEBP')
    expect(await ledgerCheck(service)).toMatchObject({ ok: true })
    // What the runner computed with stands beside the attempt's timings.
    expect((await adminView(service, id)).attempts[0].uses).toEqual({ way: expect.stringMatching(/^\d+$/) })
  })

  test('a video whose rank is killed goes on from its checkpoint and is charged once', async () => {
    const id = await submit(service, { prompt: 'a rank dies', size: '256x256', num_frames: 5, num_steps: 60 })
    const attempts = async () => (await adminView(service, id)).attempts
    await eventually(
      async () => (await videoWhen(service, id, (video) => video.status === 'in_progress')).progress,
      (progress) => progress > 30,
    )
    process.kill(Math.max(...service.pids('sluice_runner.rank')), 'SIGKILL')
    const video = await videoWhen(service, id, isEnded)
    expect(video.status).toBe('completed')
    expect(video.usage.generated_tokens).toBe(512 * 60)
    const [first, second] = await attempts()
    expect(first.outcome).toBe('failed')
    expect(second.resumed_from_step).toBeGreaterThan(0)
    expect(await ledgerCheck(service)).toMatchObject({ ok: true })
  })

  test('its processes end with the service', async () => {
    const pids = [...service.pids('sluice_open_sora'), ...service.pids('sluice_runner.rank')]
    expect(pids.length).toBeGreaterThanOrEqual(3)
    expect(await service.interrupt()).toBe(0)
    expect(pids.filter((pid) => isRunning(pid))).toEqual([])
  })
})

describe('with models of the operator’s own, through API, queue, worker and runner', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-own-weights-'))
  const catalogue = join(folder, 'models.json')
  let service: Service
  beforeAll(async () => {
    const write = `from pathlib import Path; from runner_tests.tiny_weights import *
f = Path(${JSON.stringify(folder)})
write_gain(f / "tuned.safetensors", 0.4); write_gain_lora(f / "ink.safetensors", 0.3, alpha=1.0)`
    execFileSync('python3', ['-B', '-c', write], { cwd: at('../python') })
    const own = [
      { id: 'tuned', base: 'open-sora-2', weights: { checkpoint: join(folder, 'tuned.safetensors') } },
      {
        id: 'ink',
        base: 'open-sora-2',
        weights: { lora: { path: join(folder, 'ink.safetensors'), strength: 0.8 } },
      },
    ]
    writeFileSync(catalogue, JSON.stringify({ models: own }))
    const env = { ...worker('0'), SLUICE_CATALOGUE: catalogue, SLUICE_MODEL: 'open-sora-2,tuned,ink' }
    service = await startService({ queue: 'postgres', env })
  }, 120_000)
  afterAll(async () => {
    await service?.stop()
    rmSync(folder, { recursive: true })
  })

  test('each makes its own pictures, the same whatever was served before, and a switch reports its seconds', async () => {
    const made = new Map<string, Buffer>()
    let last = 'open-sora-2'
    for (const model of ['open-sora-2', 'tuned', 'ink', 'ink', 'open-sora-2', 'tuned']) {
      const id = await submit(service, {
        prompt: 'a boat',
        model,
        seed: 3,
        size: '256x256',
        num_frames: 5,
        num_steps: 4,
      })
      expect(await videoWhen(service, id, isEnded)).toMatchObject({
        status: 'completed',
        model,
        cost: { state: 'charged' },
      })
      const [attempt] = (await adminView(service, id)).attempts
      expect(attempt.timings.load !== undefined && attempt.timings.load > 0, `${last} to ${model}`).toBe(
        model !== last,
      )
      // The first frame alone: the MP4 contains the time at which it was made.
      const frame = await contentOf(service, id, 'thumbnail')
      expect(frame.equals(made.get(model) ?? frame), model).toBe(true)
      made.set(model, frame)
      last = model
    }
    expect(new Set([...made.values()].map((frame) => frame.toString('latin1'))).size).toBe(3)
  })

  test('weights that are gone fail a video uncharged after its last attempt, and the other models go on', async () => {
    rmSync(join(folder, 'ink.safetensors'))
    const small = { prompt: 'x', size: '256x256', num_frames: 5, num_steps: 2 }
    const lost = await submit(service, { ...small, model: 'ink' })
    const failed = await videoWhen(service, lost, isEnded)
    expect(failed).toMatchObject({
      status: 'failed',
      error: { code: 'attempts_exhausted' },
      cost: { state: 'released' },
    })
    expect(failed.error.message).toContain('model_missing')
    const other = await submit(service, { ...small, model: 'open-sora-2' })
    expect(await videoWhen(service, other, isEnded)).toMatchObject({ status: 'completed' })
    expect(await ledgerCheck(service)).toMatchObject({ ok: true })
  })
})

function isRunning(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ')
  } catch {
    return false
  }
}
