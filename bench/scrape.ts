/**
 * Measures how long a scrape of /metrics and a report of the economics take with many queued and ended
 * videos, before and after their hours are summed, beside the same with no videos at all; and what the record
 * of a worker's shift adds to a heartbeat.
 */
import { join } from 'node:path'
import { LEASE_MS } from '@sluice/shared/attempt-contract'
import { systemClock } from '@sluice/shared/clock'
import { Catalogue } from '@sluice/shared/models/catalogue'
import { readConfig } from '../apps/api/src/config/config.ts'
import { openDatabase } from '../apps/api/src/db/database.ts'
import { LivePoolReader } from '../apps/api/src/economics/live-pools.ts'
import { readPoolDays } from '../apps/api/src/economics/pool-days.ts'
import { createLog } from '../apps/api/src/log.ts'
import { Metrics } from '../apps/api/src/metrics/metrics.ts'
import { noteShift } from '../apps/api/src/workers/note-shift.ts'
import { eventually } from '../test/support/eventually.ts'
import { runSql } from './rig/accounts.ts'
import { startApiProcess } from './rig/api-process.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { seedBacklog } from './rig/seed-backlog.ts'
import { asMs, asTimes, medianAndSpread, percentile, printTable } from './rig/statistics.ts'

const QUEUED = Number(process.env.SLUICE_BENCH_QUEUED ?? 200_000)
const ENDED = Number(process.env.SLUICE_BENCH_ENDED ?? 200_000)
const ROUNDS = 5
const HEARTBEATS = 400

const postgres = await startBenchPostgres()
try {
  const { databaseUrl } = postgres.server
  const superUrl = postgres.server.url(new URL(databaseUrl).pathname.slice(1), 'postgres')
  const api = await startApiProcess({ databaseUrl, redisUrl: null, dataDir: join(postgres.dir, 'api') })
  const db = openDatabase({ url: databaseUrl, connectionsMax: 4, onError: () => {} })

  const beat = {
    worker: 'worker_bench',
    boot: 'one',
    pool: 'bench',
    slots: 8,
    device: 'cpu',
    devices_per_slot: 1,
    vram_bytes: 0,
    models: ['animatic'],
    limits: { frames_max: 129, pixels_max: 589_824 },
    cost_per_hour_micros: '1',
    draining: true,
    attempts: [],
  }
  const heartbeatMs: number[] = []
  const shiftMs: number[] = []
  for (let count = 0; count < HEARTBEATS; count += 1) {
    heartbeatMs.push(
      await timed(async () => {
        const answer = await fetch(`${api.url}/internal/heartbeat`, {
          method: 'POST',
          body: JSON.stringify(beat),
          headers: { authorization: `Bearer ${api.workerToken}`, 'content-type': 'application/json' },
        })
        if (!answer.ok) throw new Error(`heartbeat: ${answer.status}`)
        await answer.text()
      }),
    )
    // In a transaction, as in a heartbeat, so that the wait for the disk is not counted twice.
    const client = await db.connect()
    await client.query('begin')
    shiftMs.push(await timed(() => noteShift(client, beat, LEASE_MS)))
    await client.query('rollback')
    client.release()
  }
  printTable(`a heartbeat, and the write of the shift in it, ${HEARTBEATS} times`, [
    ['', 'p50', 'p99'],
    [
      'heartbeat over HTTP, all of it',
      asMs(percentile(heartbeatMs, 0.5)),
      asMs(percentile(heartbeatMs, 0.99)),
    ],
    ['the shift', asMs(percentile(shiftMs, 0.5)), asMs(percentile(shiftMs, 0.99))],
  ])

  const settings = { currency: 'USD', catalogue: new Catalogue(), leaseMs: LEASE_MS, wantedMs: 300_000 }
  const empty = await scrapes()
  await seedBacklog(superUrl, { queued: QUEUED, ended: ENDED, accounts: 1_000 })
  await runSql(superUrl, [
    'alter table attempt disable trigger all',
    `insert into attempt (
        video_id, fence, pool, step, dispatched_at, taken_at, started_at,
        released_at, ended_at, outcome, devices
      )
      select
        id, 1, 'bench', 2, created_at, created_at, created_at,
        created_at + interval '1 second', ended_at, 'cancelled', 1
      from video
      where ended_at is not null`,
    'alter table attempt enable trigger all',
    // As the trigger of each end does.
    'insert into uncounted_video select id from video where ended_at is not null',
    'vacuum analyze',
  ])
  const counting = await timed(untilCounted)
  const open = await scrapes()
  const day = { from: new Date(Date.now() - 86_400_000), to: null }
  const reportOpen = await rounds(() => readPoolDays(db, day))
  // The same videos, ended three hours ago: the first reader sums the hour, the others find it summed.
  await runSql(superUrl, [
    'set session_replication_role = replica',
    `update video set ended_at = ended_at - interval '3 hours' where ended_at is not null`,
    `update attempt set
        started_at = started_at - interval '3 hours',
        released_at = released_at - interval '3 hours',
        ended_at = ended_at - interval '3 hours'`,
    'truncate fact_open, fact_hour',
    `update facts_closed set until = '-infinity'`,
    'vacuum analyze',
  ])
  const closing = await timed(() => readPoolDays(db, day))
  const closed = await scrapes()
  const reportClosed = await rounds(() => readPoolDays(db, day))
  const line = (name: string, samples: readonly number[]) => [
    name,
    medianAndSpread(samples, asMs),
    asTimes(percentile(samples, 0.5) / percentile(empty, 0.5)),
  ]
  printTable(`${QUEUED} queued and ${ENDED} ended videos, ${ROUNDS} rounds`, [
    ['', 'median (spread)', 'of the first line'],
    line('figures for /metrics, nothing there', empty),
    line('the same, all ended in the last hour', open),
    line('the same, all ended in hours that are summed', closed),
    line('a report over a day, all ended in the last hour', reportOpen),
    line('the same, summed', reportClosed),
    ['adding them to the open hour, once, in the background', asMs(counting), ''],
    ['summing that hour from its rows, once, in the background', asMs(closing), ''],
  ])
  await db.end()
  await api.stop()

  /** The API adds what ended to the facts each second. */
  async function untilCounted(): Promise<void> {
    const left = () => db.query({ text: 'select from uncounted_video limit 1' })
    await eventually(left, ({ rowCount }) => rowCount === 0, 120_000)
  }

  /** Each with a reader of its own, so that none returns what another has just read. */
  async function scrapes(): Promise<number[]> {
    const config = readConfig({ SLUICE_DATA_DIR: join(postgres.dir, 'api') })
    const parts = { log: createLog('silent'), clock: systemClock }
    return rounds(() => new Metrics(db, new LivePoolReader(db, config, parts), settings).text())
  }
} finally {
  await postgres.stop()
}

async function rounds(work: () => Promise<unknown>): Promise<number[]> {
  const samples: number[] = []
  await work()
  for (let round = 0; round < ROUNDS; round += 1) samples.push(await timed(work))
  return samples
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now()
  await work()
  return performance.now() - startedMs
}
