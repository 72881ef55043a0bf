/**
 * Measures the API's resident memory while many videos pass through it: each is submitted, dispatched, taken,
 * and ended by a report. Prints the median over each tenth of the videos. SLUICE_BENCH_VIDEOS sets their
 * number (1,000).
 */
import { join } from 'node:path'
import { integerSetting } from '@sluice/shared/settings'
import { type ApiProcess, startApiProcess } from './rig/api-process.ts'
import { BenchWorker } from './rig/bench-worker.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { asTimes, percentile, printTable } from './rig/statistics.ts'

const VIDEOS = integerSetting(process.env, 'SLUICE_BENCH_VIDEOS', 1_000, { min: 100, max: 10_000_000 })
const SLOTS = 8
const TENTHS = 10
/** The first tenths fill caches, prepared statements and the young heap. */
const WARM_TENTHS = 3
const LOOK_EVERY = 20

const postgres = await startBenchPostgres()
try {
  const { databaseUrl, queueUrl } = postgres.server
  const api = await startApiProcess({ databaseUrl, redisUrl: null, dataDir: join(postgres.dir, 'api') })
  const worker = new BenchWorker(
    api,
    { backend: 'postgres', url: queueUrl, connectionsMax: 4 },
    { pool: 'bench', slots: SLOTS },
  )
  await worker.heartbeat()
  const startedAtMs = performance.now()
  const megabytes: number[] = []
  for (let tenth = 0; tenth < TENTHS; tenth += 1) {
    megabytes.push(percentile(await megabytesOver(api, worker, Math.ceil(VIDEOS / TENTHS)), 0.5))
  }
  const seconds = (performance.now() - startedAtMs) / 1_000
  const settled = megabytes.slice(WARM_TENTHS)
  const half = Math.floor(settled.length / 2)
  printTable(`memory of the API over ${VIDEOS} videos (${(VIDEOS / seconds).toFixed(0)} videos/s)`, [
    ['tenth', 'resident memory, median'],
    ...megabytes.map((value, tenth) => [String(tenth + 1), `${value.toFixed(0)} MiB`]),
    [
      'last half to first half, after warm-up',
      asTimes(percentile(settled.slice(-half), 0.5) / percentile(settled.slice(0, half), 0.5)),
    ],
  ])
  await worker.close()
  await api.stop()
} finally {
  await postgres.stop()
}

/**
 * Runs `count` videos through the API, as many at a time as the worker has slots, so that no queue grows and
 * no account reaches its limit of queued videos. Returns samples of the API's resident memory, in MiB.
 */
async function megabytesOver(api: ApiProcess, worker: BenchWorker, count: number): Promise<number[]> {
  const samples: number[] = []
  let submitted = 0
  const submitNext = async () => {
    if (submitted === count) return
    submitted += 1
    await api.submit({ prompt: 'a paper boat', num_frames: 5, num_steps: 2 })
  }
  await Promise.all(Array.from({ length: SLOTS }, submitNext))
  for (let ended = 0; ended < count; ended += 1) {
    const attempt = await worker.next()
    await attempt.report({ type: 'taken', slot: 0 })
    await attempt.report({ type: 'progress', phase: 'denoise', step: 1, remaining_ms: 0 })
    await attempt.report({ type: 'failed', code: 'bad_input', message: 'bench', retryable: false, step: 0 })
    await submitNext()
    if (ended % LOOK_EVERY === 0) samples.push((await api.residentBytes()) / 1_048_576)
  }
  return samples
}
