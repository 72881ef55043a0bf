/**
 * Measures what a million queued videos of a thousand accounts cost: accepted submissions per second, and the
 * time from the report that frees a slot to the worker's next job. Beside it, an almost empty queue on the
 * same server in the same run.
 */
import { join } from 'node:path'
import { createBenchAccounts, runSql } from './rig/accounts.ts'
import { type ApiProcess, startApiProcess } from './rig/api-process.ts'
import { BenchWorker } from './rig/bench-worker.ts'
import { acceptedPerSecond } from './rig/load.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { seedBacklog } from './rig/seed-backlog.ts'
import { asMs, asRate, asTimes, medianAndSpread, percentile, printTable } from './rig/statistics.ts'

const QUEUED = 1_000_000
const SEED_ACCOUNTS = 1_000
const ROUNDS = 5
const ROUND_MS = 2_500
const CONNECTIONS = 16
const DISPATCHES = 40

/** One of the two services that are compared. */
interface Side {
  api: ApiProcess
  databaseUrl: string
  accounts: { key: string }[]
  rates: number[]
  latencies: number[][]
}

const postgres = await startBenchPostgres()
try {
  const { server } = postgres
  await runSql(server.adminUrl, [
    'create database backlog owner sluice',
    'grant connect on database backlog to sluice_worker',
  ])
  const [empty, backlog] = [await open('sluice'), await open('backlog')]
  const startedAtMs = performance.now()
  await seedBacklog(server.url('backlog', 'postgres'), { queued: QUEUED, ended: 0, accounts: SEED_ACCOUNTS })
  process.stdout.write(
    `seeded ${QUEUED} queued videos in ${((performance.now() - startedAtMs) / 1_000).toFixed(0)} s\n`,
  )
  for (const side of [empty, backlog]) await acceptedPerSecond(side.api, side.accounts, CONNECTIONS, ROUND_MS)
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const side of [empty, backlog]) {
      side.rates.push(await acceptedPerSecond(side.api, side.accounts, CONNECTIONS, ROUND_MS))
    }
  }
  // The rounds above left thousands of queued videos; the empty side keeps only those that it will dispatch.
  await runSql(server.url('sluice', 'postgres'), [
    // Without foreign keys: what belongs to the deleted videos stays where it is.
    'set session_replication_role = replica',
    `delete from video where id not in (select id from video order by id limit ${ROUNDS * DISPATCHES * 2})`,
    'vacuum analyze video',
  ])
  await runSql(server.url('backlog', 'postgres'), ['vacuum analyze video'])
  const workers = [empty, backlog].map((side) => ({
    side,
    worker: new BenchWorker(
      side.api,
      { backend: 'postgres', url: side.databaseUrl, connectionsMax: 4 },
      { pool: 'bench' },
    ),
  }))
  for (const { side, worker } of workers) {
    await worker.heartbeat()
    await dispatchLatencies(worker, 10)
    side.latencies.length = 0
  }
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const { side, worker } of workers) side.latencies.push(await dispatchLatencies(worker, DISPATCHES))
  }
  const medians = (side: Side) => side.latencies.map((round) => percentile(round, 0.5))
  const ratios = (valuesOf: (side: Side) => number[]) =>
    valuesOf(backlog).map((value, round) => value / (valuesOf(empty)[round] ?? Number.NaN))
  printTable(`${QUEUED} queued videos of ${SEED_ACCOUNTS} accounts beside an empty queue, ${ROUNDS} rounds`, [
    ['', 'empty', 'backlog', 'ratio'],
    [
      'accepted submissions',
      medianAndSpread(empty.rates, asRate),
      medianAndSpread(backlog.rates, asRate),
      medianAndSpread(
        ratios((side) => side.rates),
        asTimes,
      ),
    ],
    [
      'slot free to next job, p50',
      medianAndSpread(medians(empty), asMs),
      medianAndSpread(medians(backlog), asMs),
      medianAndSpread(ratios(medians), asTimes),
    ],
  ])
  for (const { side, worker } of workers) {
    await worker.close()
    await side.api.stop()
  }
} finally {
  await postgres.stop()
}

async function open(database: string): Promise<Side> {
  const databaseUrl = postgres.server.url(database)
  const dataDir = join(postgres.dir, database)
  const api = await startApiProcess({ databaseUrl, redisUrl: null, dataDir })
  return {
    api,
    databaseUrl,
    accounts: await createBenchAccounts(databaseUrl, dataDir, CONNECTIONS),
    rates: [],
    latencies: [],
  }
}

/** Milliseconds from sending the report that ends one video to having the next job. */
async function dispatchLatencies(worker: BenchWorker, count: number): Promise<number[]> {
  const latencies: number[] = []
  let attempt = await worker.next()
  for (let index = 0; index < count; index += 1) {
    const next = worker.next()
    const startedAtMs = performance.now()
    await attempt.report({ type: 'failed', code: 'bad_input', message: 'bench', retryable: false, step: 0 })
    attempt = await next
    latencies.push(performance.now() - startedAtMs)
  }
  await attempt.report({ type: 'failed', code: 'internal', message: 'bench', retryable: true, step: 0 })
  return latencies
}
