/**
 * Measures clips of models with a step cache beside the exact model's: seconds of their steps, PSNR, and SSIM
 * of the luma. By default with a small random model on this machine's CPU, where that says nothing about how
 * a clip looks; SLUICE_BENCH_DEVICE=cuda takes the weights of OPENSORA_HOME. SLUICE_BENCH_CLIP=336x192x129x50
 * is width, height, frames and steps, SLUICE_BENCH_VIDEOS the number of seeds. Needs OPENSORA_HOME and
 * OPENSORA_PYTHON (docs/gpu-worker.md).
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { OpenSoraRunner, RUNNER_FOLDER } from './rig/open-sora-runner.ts'
import { psnr, ssim } from './rig/picture-quality.ts'
import { asTimes, medianAndSpread, percentile, printTable } from './rig/statistics.ts'

const home = process.env.OPENSORA_HOME
if (home === undefined || home === '') {
  throw new Error('OPENSORA_HOME is not set: it names a checkout of hpcaitech/Open-Sora, commit d0cd5ac')
}
const device = process.env.SLUICE_BENCH_DEVICE ?? 'cpu'
const [width = 0, height = 0, num_frames = 0, num_steps = 0] = (
  process.env.SLUICE_BENCH_CLIP ?? '336x192x5x50'
)
  .split('x')
  .map(Number)
const VIDEOS = Number(process.env.SLUICE_BENCH_VIDEOS ?? 2)
const EXACT = 'open-sora-2'
/**
 * The first is that of open-sora-2-fast. From step to step a random network changes far more than a trained
 * one.
 */
const THRESHOLDS = device === 'cpu' ? [0.05, 0.8, 0.9, 1] : [0.05, 0.1, 0.2]

const python = process.env.OPENSORA_PYTHON ?? 'python3'
const runner = new OpenSoraRunner(
  { home, python, config: device === 'cpu' ? join(RUNNER_FOLDER, 'tests/small_config.py') : '' },
  {
    OPENSORA_DEVICE: device,
    // The frames themselves, since an encoder loses some of the difference.
    OPENSORA_ENCODER_COMMAND: JSON.stringify([
      python,
      fileURLToPath(new URL('../runners/python/runner_tests/copy_frames_encoder.py', import.meta.url)),
    ]),
    ...(device === 'cpu' ? { OMP_NUM_THREADS: '1' } : {}),
  },
)
const folder = mkdtempSync(join(tmpdir(), 'open-sora-cache-'))
const models = [
  { id: EXACT },
  ...THRESHOLDS.map((threshold) => ({ id: `threshold ${threshold}`, step_cache: { threshold } })),
]

try {
  await runner.ask({ type: 'load', model: EXACT, models }, 'ready')
  const seconds = new Map(models.map(({ id }) => [id, [] as number[]]))
  const quality = new Map(models.map(({ id }) => [id, { psnr: [] as number[], ssim: [] as number[] }]))
  for (let seed = 1; seed <= VIDEOS; seed += 1) {
    let exact: Buffer | undefined
    for (const { id } of models) {
      const clip = { model: id, width, height, num_frames, num_steps, seed }
      const { timings, files } = await runner.generate(folder, `${id}-${seed}`, clip)
      const frames = readFileSync(files.video)
      exact ??= frames
      seconds.get(id)?.push(timings.denoise ?? Number.NaN)
      quality.get(id)?.psnr.push(psnr(frames, exact))
      quality.get(id)?.ssim.push(ssim(frames, exact, { width, height }))
    }
  }
  const ofExact = percentile(seconds.get(EXACT) ?? [], 0.5)
  const what = device === 'cpu' ? 'small random model on the CPU' : `weights of OPENSORA_HOME on ${device}`
  printTable(`${width}x${height}, ${num_frames} frames, ${num_steps} steps, ${what}, ${VIDEOS} seeds`, [
    ['', 'seconds of the steps', 'faster', 'PSNR', 'SSIM'],
    ...models.map(({ id }) => {
      const own = seconds.get(id) ?? []
      const { psnr: decibels = [], ssim: likeness = [] } = quality.get(id) ?? {}
      return [
        id,
        medianAndSpread(own, (value) => `${value.toFixed(2)} s`),
        asTimes(ofExact / percentile(own, 0.5)),
        medianAndSpread(decibels, (value) => `${value.toFixed(1)} dB`),
        medianAndSpread(likeness, (value) => value.toFixed(3)),
      ]
    }),
  ])
  if (device === 'cpu')
    process.stdout.write('  Random weights: the last two columns say nothing about how a clip looks.\n')
} finally {
  await runner.end()
  rmSync(folder, { recursive: true, force: true })
}
