/**
 * From a submission to the worker that has the job and the answer to its `taken`, on an idle slot, beside raw BullMQ
 * (add to getNextJob) on the same backend, in turns of the same run. Both backends.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import type { AttemptJob } from '@sluice/shared/attempt-contract'
import { openAttemptConsumer, openAttemptProducer, type QueueSettings } from '@sluice/shared/queue-backend'
import { startPrivateRedis } from '../test/support/start-redis.ts'
import { startApiProcess } from './rig/api-process.ts'
import { BenchWorker } from './rig/bench-worker.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { asMs, asTimes, medianAndSpread, percentile, printTable } from './rig/statistics.ts'

const ROUNDS = 5
const PER_ROUND = 40
const WARM_UP = 20

const postgres = await startBenchPostgres()
const redis = await startPrivateRedis()
try {
  await measure('postgres', null)
  await measure('redis', redis.url)
} finally {
  await redis.close()
  await postgres.stop()
}

async function measure(name: string, redisUrl: string | null): Promise<void> {
  const dataDir = join(postgres.dir, name)
  const { databaseUrl, queueUrl } = postgres.server
  const api = await startApiProcess({ databaseUrl, redisUrl, dataDir })
  const queue = (url: string): QueueSettings =>
    redisUrl === null ? { backend: 'postgres', url, connectionsMax: 4 } : { backend: 'redis', url: redisUrl }
  const worker = new BenchWorker(api, queue(queueUrl), { pool: `bench-${name}` })
  const rawProducer = openAttemptProducer(queue(databaseUrl))
  const rawConsumer = openAttemptConsumer(queue(queueUrl), `raw-${name}`, 'raw')
  try {
    await worker.heartbeat()
    const through = async (): Promise<number> => {
      const fetched = worker.next()
      const startedAtMs = performance.now()
      const submitted = api.submit({ prompt: 'a paper boat', num_frames: 5, num_steps: 2 })
      const attempt = await fetched
      await attempt.report({ type: 'taken', slot: 0 })
      const tookMs = performance.now() - startedAtMs
      await submitted
      await attempt.report({ type: 'failed', code: 'bad_input', message: 'bench', retryable: false, step: 0 })
      return tookMs
    }
    const raw = async (): Promise<number> => {
      const fetched = nextRaw()
      const startedAtMs = performance.now()
      await rawProducer.add({ video: `raw${randomBytes(8).toString('hex')}`, fence: 1, pool: `raw-${name}` })
      await fetched
      return performance.now() - startedAtMs
    }
    const nextRaw = async (): Promise<AttemptJob> => {
      for (;;) {
        const taken = await rawConsumer.next()
        if (taken === null) continue
        void taken.done()
        return taken.job
      }
    }
    for (let index = 0; index < WARM_UP; index += 1) {
      await raw()
      await through()
    }
    const rounds: { raw: number[]; through: number[] }[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      const samples = { raw: [] as number[], through: [] as number[] }
      for (let index = 0; index < PER_ROUND; index += 1) {
        samples.raw.push(await raw())
        samples.through.push(await through())
      }
      rounds.push(samples)
    }
    const all = (of: 'raw' | 'through') => rounds.flatMap((round) => round[of])
    const medians = (of: 'raw' | 'through') => rounds.map((round) => percentile(round[of], 0.5))
    printTable(`submit to start, queue on ${name}, ${ROUNDS} rounds of ${PER_ROUND}`, [
      ['', 'p50 (over rounds)', 'p99'],
      [
        'raw BullMQ: add to getNextJob',
        medianAndSpread(medians('raw'), asMs),
        asMs(percentile(all('raw'), 0.99)),
      ],
      [
        'Sluice: POST /v1/videos to taken answered',
        medianAndSpread(medians('through'), asMs),
        asMs(percentile(all('through'), 0.99)),
      ],
      [
        'ratio',
        medianAndSpread(
          rounds.map((round) => percentile(round.through, 0.5) / percentile(round.raw, 0.5)),
          asTimes,
        ),
        asTimes(percentile(all('through'), 0.99) / percentile(all('raw'), 0.99)),
      ],
    ])
  } finally {
    await rawConsumer.close()
    await rawProducer.close()
    await worker.close()
    await api.stop()
  }
}
