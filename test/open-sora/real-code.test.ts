import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { runnerReplySchema } from '@sluice/shared/runner-protocol'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ALL_PASSED, runUnittest } from '../../runners/python/runner_tests/run-unittest.ts'
import { readMp4Facts } from '../support/mp4-facts.ts'
import { contentOf, isEnded, ledgerCheck, submit, videoWhen } from '../support/service-videos.ts'
import { type Service, startService } from '../support/start-service.ts'

const home = process.env.OPENSORA_HOME
if (home === undefined || home === '') {
  throw new Error(
    'OPENSORA_HOME is not set: it names a checkout of hpcaitech/Open-Sora, commit d0cd5ac (see docs/gpu-worker.md)',
  )
}
const python = process.env.OPENSORA_PYTHON ?? 'python3'
/** On two busy cores the longest takes four minutes. */
const SECONDS_PER_TEST = 600
const REQUIREMENTS = 'runners/open-sora/tests/requirements.txt'
const folder = mkdtempSync(join(tmpdir(), 'open-sora-real-'))
afterAll(() => rmSync(folder, { recursive: true }))

beforeAll(async () => {
  const installed = fileURLToPath(new URL('../../runners/open-sora/tests/installed.py', import.meta.url))
  await promisify(execFile)(python, [installed]).catch((error: { stdout?: string; message: string }) => {
    const why = error.stdout || error.message
    throw new Error(`${python} -m pip install -r ${REQUIREMENTS} is needed (OPENSORA_PYTHON): ${why}`)
  })
})

test.each([
  [
    "Open-Sora's real code generates, stops, resumes and takes images through the runner",
    'tests.test_real_code',
  ],
  [
    "a step runs the guidance branches that its scales need, and clips stay what Open-Sora's way makes",
    'tests.test_guidance_branches',
  ],
  [
    'ranks that share the guidance branches and the sequence of each come to the latents of one',
    'tests.test_parallel_guidance',
  ],
  [
    'a step cache leaves out what changed little, and a clip with it is resumed to the same bits',
    'tests.test_step_cache',
  ],
  [
    'a step gives signs of life, and hears a cancel, at every block of the network',
    'tests.test_within_a_step',
  ],
  [
    'the attention kernel is one of those that work here, and a broken or missing one is named',
    'tests.test_attention',
  ],
  [
    'with offload each part comes to the device once a video, and no number is drawn that a file has',
    'tests.test_offload',
  ],
  [
    "the network's blocks are compiled at load for every length and batch, and make the clips they made before",
    'tests.test_compiled_blocks',
  ],
  ['on a small device the largest clip that it offers was made there at load', 'tests.test_largest_clip'],
  ['weights of 8 bits take half the memory and make about the same clip', 'tests.test_precision'],
  [
    'sums in fp8 come to nearly what they were, in one program for all blocks, and are said and refused by name',
    'tests.test_fp8_sums',
  ],
  ["the decoder's mask is Open-Sora's own, made once for many tiles", 'tests.test_causal_mask'],
  [
    "the autoencoder's padding is torch's own to the bit, and its compiled norms are, but for rounding",
    'tests.test_autoencoder_passes',
  ],
  [
    'a clip goes into the file of the encoder frame by frame, as Open-Sora saves one',
    'tests.test_frames_file',
  ],
  [
    "fine-tuned checkpoints and LoRAs go into Open-Sora's real code, and the base model comes out of it again",
    'tests.test_real_weights',
  ],
])('%s', async (_, module) => {
  const { exitCode, summary, replies } = await runUnittest({
    python,
    runnerFolder: fileURLToPath(new URL('../../runners/open-sora', import.meta.url)),
    module,
    folder,
    // Threads of torch that wait for each other take a multiple of the time where other things run.
    env: { OPENSORA_HOME: home, OMP_NUM_THREADS: '1' },
    secondsPerTest: SECONDS_PER_TEST,
  })
  expect(summary).toMatch(ALL_PASSED)
  expect(exitCode).toBe(0)
  for (const reply of replies) expect(runnerReplySchema.parse(reply)).toEqual(reply)
})

test('the benchmark for a GPU goes through all of its rows on a CPU at tiny size', async () => {
  const out = join(folder, 'gpu-bench')
  await promisify(execFile)(
    python,
    ['bench/gpu', '--size', 'tiny', '--device', 'cpu', '--out', out, '--minutes', '8'],
    {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      env: { PATH: process.env.PATH, OPENSORA_HOME: home, OMP_NUM_THREADS: '1' },
    },
  )
  const rows = readFileSync(join(out, 'rows.jsonl'), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line): Record<string, unknown> => JSON.parse(line))
  const whats = rows.map(({ what }) => String(what)).join('\n')
  for (const size of ['256px', '768px']) {
    for (const row of [
      "a step of 3, Open-Sora's way",
      'a step of 2, branches needed',
      'a step of 1, branches needed',
      'attention alone, sdpa-math',
      'a step of 2, the fastest kernel',
      'compiled blocks',
      'a step of 2, weights in fp8',
      'a step of 1, weights in int8',
      'a step of 2, step cache, in full',
      'a step of 2, step cache, left out',
      'encode an input image',
      "decode, Open-Sora's way",
      'decode, the mask made once',
      'decode, and padding by copies',
      'decode, and compiled norms',
      'frames to the encoder, in one piece',
      'frames to the encoder, as the runner does',
      "50 steps, Open-Sora's way, from text or image, extrapolated",
      '50 steps, branches needed, from text, extrapolated',
      '50 steps, branches needed, from an image, extrapolated',
    ])
      expect(whats).toMatch(new RegExp(`^${size} .*: ${row}`, 'm'))
  }
  for (const row of rows) {
    expect(row).not.toHaveProperty('failed')
    expect(row).not.toHaveProperty('out_of_memory')
    expect(row).not.toHaveProperty('left_out')
    expect(row.same_bits ?? true).toBe(true)
  }
  expect(rows.at(-1)).toMatchObject({ same_seed_same_bytes: true, resumed_to_the_same_bytes: true })
  expect(readFileSync(join(out, 'table.md'), 'utf8')).toContain('| the runner: load |')
})

describe('through API, queue, worker and runner, as SLUICE_RUNNER=open-sora starts them', () => {
  let service: Service
  beforeAll(async () => {
    const catalogue = join(folder, 'models.json')
    writeFileSync(
      catalogue,
      JSON.stringify({ models: [{ id: 'open-sora-2', modes: ['t2v', 'i2v', 't2i2v'] }] }),
    )
    service = await startService({
      queue: 'postgres',
      env: {
        SLUICE_CATALOGUE: catalogue,
        OPENSORA_T2I2V: '1',
        SLUICE_RUNNER: 'open-sora',
        OPENSORA_HOME: home,
        OPENSORA_PYTHON: python,
        OPENSORA_DEVICE: 'cpu',
        OPENSORA_CONFIG: fileURLToPath(
          new URL('../../runners/open-sora/tests/tiny_config.py', import.meta.url),
        ),
      },
    })
  })
  afterAll(() => service?.stop())

  test('a sentence ends in a charged MP4 that Open-Sora made, from text, from an image, and from an image made first', async () => {
    const id = await submit(service, {
      prompt: '"1984", 纸船 🚤',
      size: '256x256',
      num_frames: 5,
      num_steps: 4,
    })
    const video = await videoWhen(service, id, isEnded, 300_000)
    expect(video).toMatchObject({ status: 'completed', model: 'open-sora-2', size: '256x256' })
    expect(video.usage.generated_tokens).toBe(2 * 16 * 16 * 4)
    expect(video.cost.state).toBe('charged')
    expect(readMp4Facts(await contentOf(service, id))).toMatchObject({
      width: 256,
      height: 256,
      samples: 5,
      profile: 100,
      fullRange: false,
    })
    expect((await contentOf(service, id, 'thumbnail')).toString('latin1', 8, 12)).toBe('WEBP')
    expect(await ledgerCheck(service)).toMatchObject({ ok: true })
    const image = await sharp({ create: { width: 64, height: 64, channels: 3, background: '#c03020' } })
      .png()
      .toBuffer()
    const loop = await submit(service, {
      prompt: 'from an image',
      size: '256x256',
      num_frames: 5,
      num_steps: 2,
      i2v_condition: 'loop',
      input_reference: `data:image/png;base64,${image.toString('base64')}`,
    })
    expect(await videoWhen(service, loop, isEnded, 300_000)).toMatchObject({
      status: 'completed',
      mode: 'i2v',
    })
    const drawn = await submit(service, {
      prompt: 'drawn first',
      mode: 't2i2v',
      size: '256x256',
      num_frames: 5,
      num_steps: 2,
    })
    expect(await videoWhen(service, drawn, isEnded, 300_000)).toMatchObject({
      status: 'completed',
      mode: 't2i2v',
    })
    expect(readFileSync(join(service.dataDir, 'logs', 'worker.log'), 'utf8')).toContain('runner ready')
  })
})
