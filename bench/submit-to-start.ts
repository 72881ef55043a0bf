/**
 * Measures the time from a submission to the answer to the worker's `taken`, on an idle slot, and beside it
 * the time that raw BullMQ takes from `add` to `getNextJob` on the same backend, in turns of the same run. On
 * PostgreSQL and on Redis. SLUICE_BENCH_STATEMENTS=1 lists what the database did on that way, with its times.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type AttemptConsumer, openAttemptConsumer } from '@sluice/shared/attempt-consumer'
import { type AttemptProducer, openAttemptProducer } from '@sluice/shared/attempt-producer'
import { pause } from '@sluice/shared/pause'
import type { QueueSettings } from '@sluice/shared/queue-backend'
import { startPrivateRedis } from '../test/support/start-redis.ts'
import { runSql } from './rig/accounts.ts'
import { type ApiProcess, startApiProcess } from './rig/api-process.ts'
import { BenchWorker } from './rig/bench-worker.ts'
import { endBench } from './rig/end-bench.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { STATEMENT_LOG_SETTINGS, StatementLog } from './rig/statement-log.ts'
import { asMs, asTimes, medianAndSpread, percentile, printTable } from './rig/statistics.ts'

const ROUNDS = 5
const PER_ROUND = 40
const WARM_UP = 20

/** Milliseconds of one round. */
interface Round {
  raw: number[]
  sluice: number[]
}

const LISTED = 40
const SETTLE_MS = 30
const listsStatements = process.env.SLUICE_BENCH_STATEMENTS === '1'

let onLog: (line: string) => void = () => {}
const postgres = await startBenchPostgres({ onLog: (line) => onLog(line), settings: STATEMENT_LOG_SETTINGS })
const redis = await startPrivateRedis()
try {
  await measure('postgres', null)
  await measure('redis', redis.url)
} finally {
  await redis.close()
  await postgres.stop()
}

async function measure(name: string, redisUrl: string | null): Promise<void> {
  const { server } = postgres
  // Each backend has an installation of its own.
  await runSql(server.adminUrl, [
    `create database ${name}_queue owner sluice`,
    `grant connect on database ${name}_queue to sluice_worker`,
  ])
  const dataDir = join(postgres.dir, name)
  const databaseUrl = server.url(`${name}_queue`)
  const queueUrl = server.url(`${name}_queue`, 'sluice_worker')
  const api = await startApiProcess({ databaseUrl, redisUrl, dataDir })
  const queue = (url: string): QueueSettings =>
    redisUrl === null ? { backend: 'postgres', url, connectionsMax: 4 } : { backend: 'redis', url: redisUrl }
  const worker = new BenchWorker(api, queue(queueUrl), { pool: `bench-${name}` })
  const producer = openAttemptProducer(queue(databaseUrl))
  const consumer = openAttemptConsumer(queue(queueUrl), `raw-${name}`, 'raw')
  const raw = () => rawMs(producer, consumer, `raw-${name}`)
  const sluice = () => sluiceMs(api, worker)
  try {
    await worker.heartbeat()
    for (let index = 0; index < WARM_UP; index += 1) {
      await raw()
      await sluice()
    }
    // Connections keep the plans that they made on empty tables until those are analyzed.
    await runSql(server.url(`${name}_queue`, 'postgres'), ['analyze'])
    const rounds: Round[] = []
    for (let index = 0; index < ROUNDS; index += 1) {
      const round: Round = { raw: [], sluice: [] }
      for (let sample = 0; sample < PER_ROUND; sample += 1) {
        round.raw.push(await raw())
        round.sluice.push(await sluice())
      }
      rounds.push(round)
    }
    printRounds(name, rounds)
    if (listsStatements) await listStatements(name, sluice)
  } finally {
    await consumer.close()
    await producer.close()
    await worker.close()
    await api.stop()
  }
}

async function sluiceMs(api: ApiProcess, worker: BenchWorker): Promise<number> {
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

/** What PostgreSQL did between the submission and the answer to `taken`, whoever asked for it. */
async function listStatements(name: string, sluice: () => Promise<number>): Promise<void> {
  const log = new StatementLog(postgres.server.adminUrl)
  onLog = log.note
  await log.start()
  const spans: { startMs: number; endMs: number }[] = []
  for (let index = 0; index < LISTED; index += 1) {
    const startMs = Date.now()
    const tookMs = await sluice()
    if (index > 0) spans.push({ startMs, endMs: startMs + tookMs })
    // What the end of this video brings about is not of the next one's way.
    await pause(SETTLE_MS)
  }
  await log.stop()
  printTable(
    `statements from a submission to its start, queue on ${name}, medians of ${LISTED}`,
    log.rows(spans),
  )
}

async function rawMs(producer: AttemptProducer, consumer: AttemptConsumer, pool: string): Promise<number> {
  const fetched = nextRaw(consumer)
  const startedAtMs = performance.now()
  await producer.add({ video: `raw${randomBytes(8).toString('hex')}`, fence: 1, pool })
  await fetched
  return performance.now() - startedAtMs
}

async function nextRaw(consumer: AttemptConsumer): Promise<void> {
  for (;;) {
    const taken = await consumer.next()
    if (taken === null) continue
    taken.done().catch(endBench)
    return
  }
}

function printRounds(name: string, rounds: readonly Round[]): void {
  const p99 = (side: keyof Round) =>
    percentile(
      rounds.flatMap((round) => round[side]),
      0.99,
    )
  const medians = (side: keyof Round) => rounds.map((round) => percentile(round[side], 0.5))
  const row = (title: string, side: keyof Round) => [
    title,
    medianAndSpread(medians(side), asMs),
    asMs(p99(side)),
  ]
  const ratios = medians('sluice').map((median, round) => median / (medians('raw')[round] ?? Number.NaN))
  printTable(`submit to start, queue on ${name}, ${ROUNDS} rounds of ${PER_ROUND}`, [
    ['', 'p50 (over rounds)', 'p99'],
    row('raw BullMQ: add to getNextJob', 'raw'),
    row('Sluice: POST /v1/videos to taken answered', 'sluice'),
    ['ratio', medianAndSpread(ratios, asTimes), asTimes(p99('sluice') / p99('raw'))],
  ])
}
