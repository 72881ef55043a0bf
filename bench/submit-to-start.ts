/**
 * Measures the time from a submission to the answer to the worker's `taken`, on an idle slot, and beside it
 * the time that raw BullMQ takes from `add` to `getNextJob` on the same backend, in turns of the same run. On
 * PostgreSQL and on Redis. SLUICE_BENCH_STATEMENTS=1 lists what the database did on that way, with its times,
 * and SLUICE_BENCH_TRACE=1 what all programs did when. SLUICE_BENCH_ROUNDS: 5 when it is left out.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type AttemptConsumer, openAttemptConsumer, type TakenJob } from '@sluice/shared/attempt-consumer'
import { type AttemptProducer, openAttemptProducer } from '@sluice/shared/attempt-producer'
import { pause } from '@sluice/shared/pause'
import type { QueueSettings } from '@sluice/shared/queue-backend'
import { startPrivateRedis } from '../test/support/start-redis.ts'
import { runSql } from './rig/accounts.ts'
import { type ApiProcess, startApiProcess } from './rig/api-process.ts'
import { type BenchAttempt, BenchWorker } from './rig/bench-worker.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { STATEMENT_LOG_SETTINGS, StatementLog } from './rig/statement-log.ts'
import { asMs, asTimes, medianAndSpread, percentile, printTable } from './rig/statistics.ts'
import { hookTrace, note, startTrace, stopTrace } from './rig/trace.ts'
import { type TracedSpan, waterfall } from './rig/waterfall.ts'

const ROUNDS = Number(process.env.SLUICE_BENCH_ROUNDS ?? 5)
const PER_ROUND = 40
/** The runtime has compiled by then what is measured. */
const WARM_UP = 100

/** From `startMs` on (milliseconds since 1970) the submission was under way; raw BullMQ took `rawMs`. */
interface Sample {
  rawMs: number
  startMs: number
  tookMs: number
}

/** Milliseconds of one round. */
interface Round {
  raw: number[]
  sluice: number[]
}

const LISTED = 40
const SETTLE_MS = 5
const TRACED = 100
const listsStatements = process.env.SLUICE_BENCH_STATEMENTS === '1'
const isTraced = process.env.SLUICE_BENCH_TRACE === '1'
if (isTraced) hookTrace()

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
  const api = await startApiProcess({ databaseUrl, redisUrl, dataDir, isTraced })
  const queue = (url: string): QueueSettings =>
    redisUrl === null ? { backend: 'postgres', url, connectionsMax: 4 } : { backend: 'redis', url: redisUrl }
  const worker = new BenchWorker(api, queue(queueUrl), { pool: `bench-${name}` })
  const producer = openAttemptProducer(queue(databaseUrl))
  const consumer = openAttemptConsumer(queue(queueUrl), `raw-${name}`, 'raw')
  const sample = async (): Promise<Sample> => {
    const [attempt, job] = [worker.fetch(), fetchRaw(consumer)]
    // Idle slots wait already when something comes, and what came before is over.
    await pause(SETTLE_MS)
    const rawMs = await measureRaw(producer, `raw-${name}`, job)
    return { rawMs, ...(await measureSluice(api, attempt)) }
  }
  try {
    await worker.heartbeat()
    for (let index = 0; index < WARM_UP; index += 1) await sample()
    // Connections keep the plans that they made on empty tables until those are analyzed.
    await runSql(server.url(`${name}_queue`, 'postgres'), ['analyze'])
    const rounds: Round[] = []
    for (let index = 0; index < ROUNDS; index += 1) {
      const round: Round = { raw: [], sluice: [] }
      for (let taken = 0; taken < PER_ROUND; taken += 1) {
        const { rawMs, tookMs } = await sample()
        round.raw.push(rawMs)
        round.sluice.push(tookMs)
      }
      rounds.push(round)
    }
    printRounds(name, rounds)
    if (isTraced) await printTrace(name, api, sample)
    if (listsStatements) await listStatements(name, sample)
  } finally {
    await consumer.close()
    await producer.close()
    await worker.close()
    await api.stop()
  }
}

async function measureSluice(
  api: ApiProcess,
  fetched: Promise<BenchAttempt>,
): Promise<Pick<Sample, 'startMs' | 'tookMs'>> {
  const startMs = performance.timeOrigin + performance.now()
  const submitted = api.submit({ prompt: 'a paper boat', num_frames: 5, num_steps: 2 })
  const attempt = await fetched
  note('worker: has the job, sends taken')
  await attempt.report({ type: 'taken', slot: 0 })
  note('worker: taken is answered')
  const tookMs = performance.timeOrigin + performance.now() - startMs
  await submitted
  // As a worker does it: once `taken` is answered.
  await attempt.acknowledge()
  await attempt.report({ type: 'failed', code: 'bad_input', message: 'bench', retryable: false, step: 0 })
  return { startMs, tookMs }
}

/** What the API, the client and the worker did between the submission and the answer to `taken`. */
async function printTrace(name: string, api: ApiProcess, sample: () => Promise<Sample>): Promise<void> {
  startTrace()
  api.watched.startTrace()
  const spans: TracedSpan[] = []
  for (let index = 0; index < TRACED; index += 1) {
    const { startMs, tookMs } = await sample()
    spans.push({ startMs, endMs: startMs + tookMs })
  }
  const events = [...stopTrace(), ...(await api.watched.stopTrace())]
  printTable(
    `from a submission to its start, queue on ${name}, medians of ${TRACED}`,
    waterfall(spans, events),
  )
}

/** What PostgreSQL did between the submission and the answer to `taken`, whoever asked for it. */
async function listStatements(name: string, sample: () => Promise<Sample>): Promise<void> {
  const log = new StatementLog(postgres.server.adminUrl)
  onLog = log.note
  await log.start()
  const spans: { startMs: number; endMs: number }[] = []
  for (let index = 0; index < LISTED; index += 1) {
    const { startMs, tookMs } = await sample()
    if (index > 0) spans.push({ startMs, endMs: startMs + tookMs })
  }
  await log.stop()
  printTable(
    `statements from a submission to its start, queue on ${name}, medians of ${LISTED}`,
    log.rows(spans),
  )
}

async function measureRaw(
  producer: AttemptProducer,
  pool: string,
  fetched: Promise<TakenJob>,
): Promise<number> {
  const startedAtMs = performance.now()
  await producer.add({ video: `raw${randomBytes(8).toString('hex')}`, fence: 1, pool })
  const taken = await fetched
  const tookMs = performance.now() - startedAtMs
  await taken.done()
  return tookMs
}

async function fetchRaw(consumer: AttemptConsumer): Promise<TakenJob> {
  for (;;) {
    const taken = await consumer.next()
    if (taken !== null) return taken
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
