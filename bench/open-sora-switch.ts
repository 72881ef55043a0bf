/**
 * Measures how long a warm Open-Sora runner takes to switch to another model (`timings.load`), beside a new
 * start of the runner with that model. The models are a fine-tuned checkpoint and a LoRA of rank 4 over a
 * random network of 1.25 GB, on this machine's CPU with the files in the page cache. Needs OPENSORA_HOME and
 * OPENSORA_PYTHON (docs/gpu-worker.md).
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { OpenSoraRunner, RUNNER_FOLDER } from './rig/open-sora-runner.ts'
import { asTimes, medianAndSpread, percentile, printTable } from './rig/statistics.ts'

const ROUNDS = 3
const home = process.env.OPENSORA_HOME
if (home === undefined || home === '') {
  throw new Error('OPENSORA_HOME is not set: it names a checkout of hpcaitech/Open-Sora, commit d0cd5ac')
}
const python = process.env.OPENSORA_PYTHON ?? 'python3'
const folder = mkdtempSync(join(tmpdir(), 'open-sora-switch-'))
const asSeconds = (value: number): string => `${value.toFixed(2)} s`
const config = join(RUNNER_FOLDER, 'tests/medium_config_from_file.py')
const files = { base: join(folder, 'base.safetensors'), tuned: join(folder, 'tuned.safetensors') }

try {
  execFileSync(
    python,
    [join(RUNNER_FOLDER, 'tests/tiny_models.py'), folder, join(RUNNER_FOLDER, 'tests/medium_config.py')],
    { env: { PATH: process.env.PATH, OPENSORA_HOME: home }, stdio: ['ignore', 'ignore', 'inherit'] },
  )
  const models = [
    { id: 'base' },
    { id: 'tuned', checkpoint: files.tuned },
    { id: 'lora', lora: { path: join(folder, 'peft/adapter_model.safetensors'), strength: 0.8 } },
  ]
  const start = async (model: string) => {
    const runner = new OpenSoraRunner({ home, python, config }, { TINY_BASE: files.base })
    const startedAtMs = performance.now()
    await runner.ask({ type: 'load', model, models }, 'ready')
    return { runner, seconds: (performance.now() - startedAtMs) / 1000 }
  }
  const { runner } = await start('base')
  const turns = [
    ['base', 'tuned'],
    ['tuned', 'base'],
    ['base', 'lora'],
    ['lora', 'base'],
  ] as const
  const seconds = new Map<string, number[]>(turns.map(([from, to]) => [`${from} to ${to}`, []]))
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [from, to] of turns) {
      const { timings } = await runner.generate(folder, `video-${round}-${from}-${to}`, { model: to })
      seconds.get(`${from} to ${to}`)?.push(timings.load ?? Number.NaN)
    }
  }
  await runner.end()
  const starts: number[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const fresh = await start('tuned')
    starts.push(fresh.seconds)
    await fresh.runner.end()
  }
  const gigabytes = (statSync(files.tuned).size / 1e9).toFixed(2)
  const restart = percentile(starts, 0.5)
  printTable(`a network of ${gigabytes} GB, CPU, files in the page cache, ${ROUNDS} rounds`, [
    ['', 'seconds: median (lowest to highest)', 'a new start takes'],
    ...[...seconds].map(([turn, taken]) => [
      turn,
      medianAndSpread(taken, asSeconds),
      asTimes(restart / percentile(taken, 0.5)),
    ]),
    ['a new start with tuned', medianAndSpread(starts, asSeconds), ''],
  ])
} finally {
  rmSync(folder, { recursive: true, force: true })
}
