/**
 * Measures seconds per video through the Open-Sora runner, which keeps the model loaded, beside Open-Sora's
 * own script, which is started for each video. Both make the same clip with the same tiny random model on
 * this machine's CPU, in turns. With full-size weights, which the script loads for each video, the difference
 * is larger. Needs OPENSORA_HOME and OPENSORA_PYTHON (docs/gpu-worker.md).
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OpenSoraRunner, RUNNER_FOLDER } from './rig/open-sora-runner.ts'
import { runScript } from './rig/open-sora-script.ts'
import { asTimes, medianAndSpread, percentile, printTable } from './rig/statistics.ts'

const VIDEOS = 3
const CLIP = { width: 336, height: 192, num_frames: 5, num_steps: 2 }
const PROMPT = 'a paper boat in the rain'

const home = process.env.OPENSORA_HOME
if (home === undefined || home === '') {
  throw new Error('OPENSORA_HOME is not set: it names a checkout of hpcaitech/Open-Sora, commit d0cd5ac')
}
const python = process.env.OPENSORA_PYTHON ?? 'python3'
const config = join(RUNNER_FOLDER, 'tests/tiny_config.py')
const folder = mkdtempSync(join(tmpdir(), 'open-sora-bench-'))
const asSeconds = (value: number): string => `${value.toFixed(2)} s`

async function secondsOf(work: () => Promise<unknown>): Promise<number> {
  const startedAtMs = performance.now()
  await work()
  return (performance.now() - startedAtMs) / 1000
}

const runner = new OpenSoraRunner({ home, python, config })
try {
  const load = await secondsOf(() => runner.ask({ type: 'load', model: 'open-sora-2' }, 'ready'))
  const script: number[] = []
  const warm: number[] = []
  for (let index = 0; index < VIDEOS; index += 1) {
    script.push(
      await runScript(
        { home, python, config },
        {
          prompt: PROMPT,
          frames: CLIP.num_frames,
          steps: CLIP.num_steps,
          folder: join(folder, `script-${index}`),
        },
      ),
    )
    warm.push(await secondsOf(() => runner.generate(folder, `video-${index}`, { ...CLIP, prompt: PROMPT })))
  }
  const clip = `${CLIP.width}x${CLIP.height}, ${CLIP.num_frames} frames, ${CLIP.num_steps} steps`
  printTable(`${clip}, tiny random model on the CPU, ${VIDEOS} videos each`, [
    ['', 'seconds per video: median (lowest to highest)'],
    ["one process per video, Open-Sora's script", medianAndSpread(script, asSeconds)],
    ['through the runner, model loaded', medianAndSpread(warm, asSeconds)],
    ['the runner loads once', asSeconds(load)],
    ['ratio', asTimes(percentile(script, 0.5) / percentile(warm, 0.5))],
  ])
} finally {
  await runner.end()
  rmSync(folder, { recursive: true, force: true })
}
