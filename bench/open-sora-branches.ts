/**
 * Measures seconds per video of the Open-Sora runner, which runs the guidance branches that a step needs,
 * beside the same runner with all three at every step (OPENSORA_GUIDANCE_BRANCHES=all) and beside Open-Sora's
 * own script, which is started for each video. From text, and from an image. All make the same clip of 50
 * steps with the same small random model on this machine's CPU, in turns. Needs OPENSORA_HOME and
 * OPENSORA_PYTHON (docs/gpu-worker.md).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { OpenSoraRunner, RUNNER_FOLDER } from './rig/open-sora-runner.ts'
import { runScript } from './rig/open-sora-script.ts'
import { asTimes, medianAndSpread, percentile, printTable } from './rig/statistics.ts'

const VIDEOS = 3
// The size that Open-Sora's configuration calls 256px, 16:9.
const CLIP = { width: 336, height: 192, num_frames: 5, num_steps: 50, prompt: 'a paper boat in the rain' }

const home = process.env.OPENSORA_HOME
if (home === undefined || home === '') {
  throw new Error('OPENSORA_HOME is not set: it names a checkout of hpcaitech/Open-Sora, commit d0cd5ac')
}
const where = {
  home,
  python: process.env.OPENSORA_PYTHON ?? 'python3',
  config: join(RUNNER_FOLDER, 'tests/small_config.py'),
  // Threads that wait for each other measure what else runs on this machine.
  env: { OMP_NUM_THREADS: '1' },
}
const folder = mkdtempSync(join(tmpdir(), 'open-sora-branches-'))
const head = join(folder, 'head.png')
const asSeconds = (value: number): string => `${value.toFixed(2)} s`

const WAYS = ['needed', 'all'] as const
const runners = WAYS.map(
  (way) => [way, new OpenSoraRunner(where, { ...where.env, OPENSORA_GUIDANCE_BRANCHES: way })] as const,
)

/** Returns seconds of whole videos and of their steps alone, by who made them. */
async function measure(mode: 't2v' | 'i2v') {
  const references = mode === 'i2v' ? { references: [{ position: 'head', path: head }] } : {}
  const whole = { needed: [] as number[], all: [] as number[], script: [] as number[] }
  const steps = { needed: [] as number[], all: [] as number[] }
  for (let index = 0; index < VIDEOS; index += 1) {
    for (const [way, runner] of runners) {
      const startedAtMs = performance.now()
      const id = `${mode}-${way}-${index}`
      const { timings } = await runner.generate(folder, id, { ...CLIP, mode }, references)
      whole[way].push((performance.now() - startedAtMs) / 1000)
      steps[way].push(timings.denoise ?? Number.NaN)
    }
    const video = { prompt: CLIP.prompt, frames: CLIP.num_frames, steps: CLIP.num_steps }
    const place = { folder: join(folder, `${mode}-script-${index}`), ...(mode === 'i2v' ? { head } : {}) }
    whole.script.push(await runScript(where, { ...video, ...place }))
  }
  return { whole, steps }
}

try {
  await sharp({ create: { width: 336, height: 192, channels: 3, background: '#c03020' } }).toFile(head)
  for (const [, runner] of runners) await runner.ask({ type: 'load', model: 'open-sora-2' }, 'ready')
  const clip = `${CLIP.width}x${CLIP.height}, ${CLIP.num_frames} frames, ${CLIP.num_steps} steps`
  for (const mode of ['t2v', 'i2v'] as const) {
    const { whole, steps } = await measure(mode)
    const row = (name: string, seconds: readonly number[], ours: readonly number[]) => [
      name,
      medianAndSpread(seconds, asSeconds),
      asTimes(percentile(seconds, 0.5) / percentile(ours, 0.5)),
    ]
    printTable(`${mode}, ${clip}, small random model on the CPU, ${VIDEOS} videos each`, [
      ['', 'seconds per video: median (lowest to highest)', 'beside the branches needed'],
      row('the runner, branches needed', whole.needed, whole.needed),
      row('the runner, all branches', whole.all, whole.needed),
      row("Open-Sora's script, started for each", whole.script, whole.needed),
      row('the steps alone, branches needed', steps.needed, steps.needed),
      row('the steps alone, all branches', steps.all, steps.needed),
    ])
  }
} finally {
  for (const [, runner] of runners) await runner.end()
  rmSync(folder, { recursive: true, force: true })
}
