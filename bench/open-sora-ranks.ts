/**
 * Measures seconds per video of the Open-Sora runner over two ranks that share the guidance branches
 * (OPENSORA_PARALLEL=guidance) beside one rank. Both make the same clip of 50 steps with the same small
 * random model on this machine's CPU, a core for each rank, in turns. Needs OPENSORA_HOME and
 * OPENSORA_PYTHON (docs/gpu-worker.md).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OpenSoraRunner, RUNNER_FOLDER } from './rig/open-sora-runner.ts'
import { asTimes, medianAndSpread, percentile, printTable } from './rig/statistics.ts'

const VIDEOS = 3
// The size that Open-Sora's configuration calls 256px, 16:9.
const CLIP = { width: 336, height: 192, num_frames: 5, num_steps: 50 }

const home = process.env.OPENSORA_HOME
if (home === undefined || home === '') {
  throw new Error('OPENSORA_HOME is not set: it names a checkout of hpcaitech/Open-Sora, commit d0cd5ac')
}
const where = {
  home,
  python: process.env.OPENSORA_PYTHON ?? 'python3',
  config: join(RUNNER_FOLDER, 'tests/small_config.py'),
}
const folder = mkdtempSync(join(tmpdir(), 'open-sora-ranks-'))
const asSeconds = (value: number): string => `${value.toFixed(2)} s`

const RANKS = ['0', '0,1'] as const
const runners = RANKS.map((devices) => {
  const env = { OPENSORA_PARALLEL: 'guidance', CUDA_VISIBLE_DEVICES: devices, OMP_NUM_THREADS: '1' }
  return [devices, new OpenSoraRunner(where, env)] as const
})

try {
  for (const [, runner] of runners) await runner.ask({ type: 'load', model: 'open-sora-2' }, 'ready')
  const steps = new Map(RANKS.map((devices) => [devices, [] as number[]]))
  for (let index = 0; index < VIDEOS; index += 1) {
    for (const [devices, runner] of runners) {
      const { timings } = await runner.generate(folder, `${devices}-${index}`, CLIP)
      steps.get(devices)?.push(timings.denoise ?? Number.NaN)
    }
  }
  const [one = [], two = []] = [...steps.values()]
  const row = (name: string, seconds: readonly number[]) => [
    name,
    medianAndSpread(seconds, asSeconds),
    asTimes(percentile(one, 0.5) / percentile(seconds, 0.5)),
  ]
  const clip = `${CLIP.width}x${CLIP.height}, ${CLIP.num_frames} frames, ${CLIP.num_steps} steps`
  printTable(`t2v, ${clip}, small random model on the CPU, ${VIDEOS} videos each`, [
    ['', 'seconds of the steps: median (lowest to highest)', 'faster than one'],
    row('one rank', one),
    row('two ranks that share the branches', two),
  ])
} finally {
  for (const [, runner] of runners) await runner.end()
  rmSync(folder, { recursive: true, force: true })
}
