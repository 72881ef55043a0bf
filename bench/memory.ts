/**
 * The API's resident memory over many videos, each submitted, dispatched, taken, and ended by a report. Prints a line a
 * tenth. SLUICE_BENCH_VIDEOS says how many (1,000).
 */
import { join } from 'node:path'
import { integerSetting } from '@sluice/shared/settings'
import { startApiProcess } from './rig/api-process.ts'
import { BenchWorker } from './rig/bench-worker.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { asTimes, percentile, printTable } from './rig/statistics.ts'

const VIDEOS = integerSetting(process.env, 'SLUICE_BENCH_VIDEOS', 1_000, { min: 100, max: 10_000_000 })
const SLOTS = 8
const TENTHS = 10
/** The first tenths fill caches, prepared statements and the young heap. */
const WARM_TENTHS = 3

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
    const samples: number[] = []
    await endVideos(Math.ceil(VIDEOS / TENTHS), async () => {
      samples.push((await api.residentBytes()) / 1_048_576)
    })
    megabytes.push(percentile(samples, 0.5))
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

  /** As many videos as slots are on their way at a time. */
  async function endVideos(count: number, look: () => Promise<void>): Promise<void> {
    let submitted = 0
    const fill = async () => {
      while (submitted < count) {
        submitted += 1
        await api.submit({ prompt: 'a paper boat', num_frames: 5, num_steps: 2 })
      }
    }
    const filling = Promise.all([fill(), fill()])
    for (let ended = 0; ended < count; ended += 1) {
      const attempt = await worker.next()
      await attempt.report({ type: 'taken', slot: 0 })
      await attempt.report({ type: 'progress', phase: 'denoise', step: 1, remaining_ms: 0 })
      await attempt.report({ type: 'failed', code: 'bad_input', message: 'bench', retryable: false, step: 0 })
      if (ended % 20 === 0) await look()
    }
    await filling
  }
} finally {
  await postgres.stop()
}
