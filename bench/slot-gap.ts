/**
 * How long a slot's device lies idle between two videos of a full queue: from the runner's `released` to the next `generate`,
 * with the real worker and the animatic runner at 0 ms steps. Beside it what a worker that asks for its next video only then
 * would wait at the least: one fetch of a job from the same queue in the same run.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openAttemptConsumer } from '@sluice/shared/attempt-consumer'
import { openAttemptProducer } from '@sluice/shared/attempt-producer'
import { eventually } from '../test/support/eventually.ts'
import { startApiProcess } from './rig/api-process.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { asMs, asTimes, medianAndSpread, percentile, printTable } from './rig/statistics.ts'

const ROUNDS = 4
const PER_ROUND = 15
const STEPS = 100

const WORKER_MAIN = fileURLToPath(new URL('../apps/worker/src/main.ts', import.meta.url))
const TIMED_RUNNER = fileURLToPath(new URL('./rig/timed-runner.ts', import.meta.url))

const postgres = await startBenchPostgres()
try {
  const dataDir = join(postgres.dir, 'api')
  const gapsPath = join(postgres.dir, 'gaps')
  const { databaseUrl, queueUrl } = postgres.server
  const api = await startApiProcess({ databaseUrl, redisUrl: null, dataDir })
  const worker = spawn(process.execPath, [WORKER_MAIN], {
    env: {
      PATH: process.env.PATH ?? '',
      SLUICE_API_URL: api.url,
      SLUICE_WORKER_TOKEN: api.workerToken,
      SLUICE_QUEUE_URL: queueUrl,
      SLUICE_DATA_DIR: join(postgres.dir, 'worker'),
      SLUICE_RUNNER_COMMAND: `${process.execPath} ${TIMED_RUNNER}`,
      SLUICE_MODEL: 'animatic',
      SLUICE_POOL: 'animatic',
      SLUICE_ANIMATIC_STEP_MS: '0',
      SLUICE_ANIMATIC_GAPS: gapsPath,
      SLUICE_LOG: 'error',
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const producer = openAttemptProducer({ backend: 'postgres', url: databaseUrl, connectionsMax: 4 })
  const consumer = openAttemptConsumer(
    { backend: 'postgres', url: queueUrl, connectionsMax: 4 },
    'raw',
    'raw',
  )
  const gaps = async (): Promise<number[]> =>
    (await readFile(gapsPath, 'utf8').catch(() => '')).split('\n').filter(Boolean).map(Number)
  const fetchMs = async (): Promise<number> => {
    await producer.add({ video: `raw${randomBytes(8).toString('hex')}`, fence: 1, pool: 'raw' })
    const startedAtMs = performance.now()
    const taken = await consumer.next()
    const tookMs = performance.now() - startedAtMs
    await taken?.done()
    return tookMs
  }
  const rounds: { gaps: number[]; fetches: number[] }[] = []
  for (let round = 0; round <= ROUNDS; round += 1) {
    const before = (await gaps()).length
    for (let index = 0; index <= PER_ROUND; index += 1)
      await api.submit({ prompt: 'a paper boat', num_frames: 5, num_steps: STEPS })
    const seen = await eventually(gaps, (all) => all.length >= before + PER_ROUND, 60_000)
    const fetches: number[] = []
    for (let index = 0; index < PER_ROUND; index += 1) fetches.push(await fetchMs())
    // The first round warms up: nothing is known of this pool's pace yet. A round's own first gap is the pause before it.
    if (round > 0) rounds.push({ gaps: seen.slice(before + 1, before + PER_ROUND), fetches })
  }
  const medians = (of: 'gaps' | 'fetches') => rounds.map((round) => percentile(round[of], 0.5))
  printTable(
    `idle device between two videos, 0 ms steps, ${ROUNDS} rounds of ${PER_ROUND} videos of ${STEPS} steps`,
    [
      ['', 'p50 (over rounds)', 'p90'],
      [
        'one fetch of a waiting job, raw',
        medianAndSpread(medians('fetches'), asMs),
        asMs(
          percentile(
            rounds.flatMap((round) => round.fetches),
            0.9,
          ),
        ),
      ],
      [
        'released to the next generate',
        medianAndSpread(medians('gaps'), asMs),
        asMs(
          percentile(
            rounds.flatMap((round) => round.gaps),
            0.9,
          ),
        ),
      ],
      [
        'ratio',
        medianAndSpread(
          rounds.map((round) => percentile(round.gaps, 0.5) / percentile(round.fetches, 0.5)),
          asTimes,
        ),
        '',
      ],
    ],
  )
  await consumer.close()
  await producer.close()
  const exited = once(worker, 'exit')
  worker.kill('SIGTERM')
  await exited
  await api.stop()
} finally {
  await postgres.stop()
}
