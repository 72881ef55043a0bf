/**
 * Measures what a long history costs: 200,000 ended videos with their attempts, transfers and webhook
 * deliveries, half of them of one account with one key (SLUICE_BENCH_ENDED; a million takes three minutes to
 * make). Each call of that account and of the operator, recovery and sweep, and a settlement with and without
 * the kept sums, beside the same on a service that has ended a hundred videos. Then a check of the ledger
 * from the beginning (for SLUICE_BENCH_CHECK_SECONDS at most, 240), and submissions beside it. Last, the
 * bytes of each ended video by table and index.
 */
import { join } from 'node:path'
import pg from 'pg'
import { recoverDue } from '../apps/api/src/attempts/recovery.ts'
import { createServices } from '../apps/api/src/compose.ts'
import { readConfig } from '../apps/api/src/config/config.ts'
import { closeHours } from '../apps/api/src/economics/closed-hours.ts'
import { HourTotals } from '../apps/api/src/economics/hour-totals.ts'
import type { Services } from '../apps/api/src/services.ts'
import { Sweeper } from '../apps/api/src/videos/sweep.ts'
import { createBenchAccounts, runSql } from './rig/accounts.ts'
import { type ApiProcess, startApiProcess } from './rig/api-process.ts'
import { acceptedPerSecond } from './rig/load.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { LIFE_TABLES, seedHistory } from './rig/seed-history.ts'
import { asMs, asRate, asTimes, medianAndSpread, percentile, printTable } from './rig/statistics.ts'

const ENDED = Number(process.env.SLUICE_BENCH_ENDED ?? 200_000)
/** A check from the beginning of a longer history is watched for so long, and then left. */
const CHECK_SECONDS = Number(process.env.SLUICE_BENCH_CHECK_SECONDS ?? 240)
const FEW = 100
const DAYS = 30
const ACCOUNTS = 99
const ROUNDS = 5
const CALLS = 8
const SETTLED = 60

/** One of the two services that are compared. */
interface Side {
  api: ApiProcess
  superUrl: string
  key: string
  services: Services
  /** As one process keeps them. */
  totals: HourTotals
}

const postgres = await startBenchPostgres()
try {
  const { server } = postgres
  await runSql(server.adminUrl, [
    'create database history owner sluice',
    'grant connect on database history to sluice_worker',
  ])
  const short = await open('sluice', FEW)
  const startedMs = performance.now()
  const long = await open('history', ENDED)
  process.stdout.write(`seeded ${ENDED} ended videos in ${seconds(performance.now() - startedMs)}\n`)
  await compare(short, long)
  await compareSettlements([short, long])
  await checkFromTheBeginning(long)
  await printBytes(long)
  for (const side of [short, long]) {
    await side.services.close()
    await side.api.stop()
  }
} finally {
  await postgres.stop()
}

async function open(database: string, ended: number): Promise<Side> {
  const databaseUrl = postgres.server.url(database)
  const superUrl = postgres.server.url(database, 'postgres')
  const dataDir = join(postgres.dir, database)
  const settings = { databaseUrl, redisUrl: null, dataDir }
  // Its first start makes the tables; while they are filled it would look at them without their indexes.
  await (await startApiProcess(settings)).stop()
  const [account] = await createBenchAccounts(databaseUrl, dataDir, 1)
  if (account === undefined) throw new Error('no account was made')
  await seedHistory(superUrl, { ended, days: DAYS, accounts: ACCOUNTS, owner: account.accountId })
  const services = await createServices(
    readConfig({ SLUICE_DATABASE_URL: databaseUrl, SLUICE_DATA_DIR: dataDir, SLUICE_LOG: 'silent' }),
  )
  const { db } = services.internal
  // As a service that has run for so long has done with each hour.
  await closeHours(db)
  const api = await startApiProcess(settings)
  return { api, superUrl, key: account.key, services, totals: new HourTotals(db) }
}

type Work = (side: Side) => Promise<unknown>

async function get(side: Side, path: string, key = side.key, signal?: AbortSignal): Promise<string> {
  const answer = await fetch(side.api.url + path, {
    headers: { authorization: `Bearer ${key}` },
    ...(signal === undefined ? {} : { signal }),
  })
  const text = await answer.text()
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${text}`)
  return text
}

/** What is called, by name; on both sides in turns. */
async function works(sides: readonly Side[]): Promise<[string, Work][]> {
  const middles = new Map<Side, Record<'video' | 'transfer' | 'delivery', string>>()
  for (const side of sides) middles.set(side, await middleOf(side))
  const middle = (side: Side) => middles.get(side) ?? { video: '', transfer: '', delivery: '' }
  const from = new Date(Date.now() - DAYS * 86_400_000).toISOString()
  const cut = new Date(Date.now() - 5 * 86_400_000 - 1_234_567).toISOString()
  const of =
    (path: string | ((side: Side) => string)): Work =>
    (side) =>
      get(side, typeof path === 'string' ? path : path(side))
  const ofOperator =
    (path: string): Work =>
    (side) =>
      get(side, path, side.api.adminKey)
  return [
    ['list, first page', of('/v1/videos?limit=20')],
    ['list, a page in the middle', of((side) => `/v1/videos?limit=20&after=${middle(side).video}`)],
    ['read one of the middle', of((side) => `/v1/videos/${middle(side).video}`)],
    ['usage by day, 30 days', of('/v1/usage')],
    ['usage by key, CSV', of('/v1/usage?group_by=key&format=csv')],
    ['usage by model, cut anywhere', of(`/v1/usage?group_by=model&from=${from}&to=${cut}`)],
    ['credits', of('/v1/credits')],
    ['key', of('/v1/key')],
    ['ledger, first page', of('/v1/ledger?limit=20')],
    ['ledger, a page in the middle', of((side) => `/v1/ledger?limit=20&after=${middle(side).transfer}`)],
    ['webhook log, first page', of('/v1/webhook_deliveries?limit=20')],
    [
      'webhook log, a page in the middle',
      of((side) => `/v1/webhook_deliveries?limit=20&after=${middle(side).delivery}`),
    ],
    ['economics by pool, 30 days', ofOperator('/v1/admin/economics')],
    ['economics by pool and day', ofOperator('/v1/admin/economics?group_by=pool_day')],
    ['sums for /metrics', ({ totals }) => totals.read()],
    ['ledger check, since the last', ofOperator('/v1/admin/ledger/check')],
    ['a look for what to recover', ({ services }) => recoverDue(services.internal)],
    ['a sweep', ({ services }) => new Sweeper(services.internal).sweep()],
  ]
}

async function middleOf(side: Side): Promise<Record<'video' | 'transfer' | 'delivery', string>> {
  const client = new pg.Client({ connectionString: side.superUrl })
  await client.connect()
  try {
    const { rows } = await client.query(
      `with past as (select count(*) as ended from video where id like 'video\\_00%')
      select 'video_00' || lpad((ended / 4 * 2)::text, 24, '0') as video,
        'txfr_00' || lpad((ended / 4 * 4)::text, 24, '0') as transfer,
        'whd_00' || lpad((ended / 4 * 2)::text, 24, '0') as delivery
      from past`,
    )
    return rows[0]
  } finally {
    await client.end()
  }
}

async function compare(short: Side, long: Side): Promise<void> {
  const rows: string[][] = []
  const sides = [short, long]
  for (const [name, work] of await works(sides)) {
    const medians: number[][] = [[], []]
    const firstMs = await timed(() => work(long))
    await work(short)
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [index, side] of sides.entries()) {
        const samples: number[] = []
        for (let call = 0; call < CALLS; call += 1) samples.push(await timed(() => work(side)))
        medians[index]?.push(percentile(samples, 0.5))
      }
    }
    const [few = [], many = []] = medians
    rows.push([
      name,
      medianAndSpread(few, asMs),
      medianAndSpread(many, asMs),
      medianAndSpread(
        many.map((ms, round) => ms / (few[round] ?? Number.NaN)),
        asTimes,
      ),
      asMs(firstMs),
    ])
  }
  printTable(`calls after ${FEW} and ${ENDED} ended videos, p50 of ${CALLS}, ${ROUNDS} rounds`, [
    ['', `${FEW} ended`, `${ENDED} ended`, 'ratio', 'the first, once'],
    ...rows,
  ])
}

/** Submits videos of one account, then cancels them one after another: each cancel is a settlement. */
async function settledPerSecond(side: Side): Promise<number> {
  const ids: string[] = []
  for (let count = 0; count < SETTLED; count += 1) {
    const video = await side.api.submit({ prompt: 'x', num_frames: 5, num_steps: 2 }, side.key)
    ids.push((video as { id: string }).id)
  }
  const startedMs = performance.now()
  await Promise.all(
    ids.map(async (id) => {
      const answer = await fetch(`${side.api.url}/v1/videos/${id}/cancel`, {
        method: 'POST',
        headers: { authorization: `Bearer ${side.key}` },
      })
      if (!answer.ok) throw new Error(`cancel: ${answer.status}`)
      await answer.text()
    }),
  )
  return (SETTLED * 1_000) / (performance.now() - startedMs)
}

async function compareSettlements(sides: readonly Side[]): Promise<void> {
  const switches = { with: 'enable', without: 'disable' } as const
  const rows: string[][] = []
  for (const side of sides) {
    const rates: Record<keyof typeof switches, number[]> = { with: [], without: [] }
    await settledPerSecond(side)
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const how of ['without', 'with'] as const) {
        await runSql(side.superUrl, [`alter table video ${switches[how]} trigger video_end_summed`])
        rates[how].push(await settledPerSecond(side))
      }
    }
    rows.push([
      side === sides[0] ? `${FEW} ended` : `${ENDED} ended`,
      medianAndSpread(rates.without, asRate),
      medianAndSpread(rates.with, asRate),
      medianAndSpread(
        rates.with.map((rate, round) => rate / (rates.without[round] ?? Number.NaN)),
        asTimes,
      ),
    ])
  }
  printTable(`settlements of one account, ${SETTLED} at once, ${ROUNDS} rounds`, [
    ['', 'without usage sums', 'with them', 'ratio'],
    ...rows,
  ])
}

/** Submissions alone and beside the check, in turns until it is over, and its longest transaction. */
async function checkFromTheBeginning(side: Side): Promise<void> {
  const accounts = [{ key: side.key }]
  const submit = () => acceptedPerSecond(side.api, accounts, 8, 1_000)
  await submit()
  const alone = [await submit(), await submit(), await submit()]
  const beside: number[] = []
  const watcher = new pg.Client({ connectionString: side.superUrl })
  await watcher.connect()
  let isOver = false
  let longestMs = 0
  const startedMs = performance.now()
  const left = AbortSignal.timeout(CHECK_SECONDS * 1_000)
  const checking = get(side, '/v1/admin/ledger/check?since=beginning', side.api.adminKey, left)
    .catch((error: unknown) => {
      if (!left.aborted) throw error
      return 'it was left before it was over'
    })
    .finally(() => {
      isOver = true
    })
  const watching = (async () => {
    while (!isOver) {
      const { rows } = await watcher.query(
        `select coalesce(max(extract(epoch from clock_timestamp() - xact_start)), 0)::float8 * 1000 as ms
        from pg_stat_activity
        where application_name = 'sluice-api' and backend_xmin is not null and datname = current_database()`,
      )
      longestMs = Math.max(longestMs, rows[0].ms)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  })()
  while (!isOver) beside.push(await submit())
  const answer = await checking
  await watching
  await watcher.end()
  process.stdout.write(`the check from the beginning, ${seconds(performance.now() - startedMs)}: ${answer}\n`)
  const ratio = percentile(beside, 0.5) / percentile(alone, 0.5)
  printTable('submissions of one account, 8 connections', [
    ['', '', 'ratio'],
    ['alone', medianAndSpread(alone, asRate), ''],
    ['beside a check from the beginning', medianAndSpread(beside, asRate), asTimes(ratio)],
    ['the longest snapshot meanwhile', asMs(longestMs), ''],
  ])
}

async function printBytes(side: Side): Promise<void> {
  const client = new pg.Client({ connectionString: side.superUrl })
  await client.connect()
  try {
    const { rows } = await client.query<{ name: string; kind: string; bytes: string }>(
      `select c.relname as name, 'table' as kind, pg_table_size(c.oid)::text as bytes, c.relname as of
      from pg_class c where c.relname = any ($1::text[])
      union all
      select i.indexrelid::regclass::text, 'index', pg_relation_size(i.indexrelid)::text,
        i.indrelid::regclass::text
      from pg_index i where i.indrelid = any ($1::text[]::regclass[])
      order by 4, 2 desc, 1`,
      [LIFE_TABLES],
    )
    const each = (bytes: string) => (Number(bytes) / ENDED).toFixed(0)
    const total = rows.reduce((sum, { bytes }) => sum + Number(bytes), 0)
    printTable('bytes for each ended video', [
      ...rows.map(({ name, kind, bytes }) => [kind === 'table' ? name : `  ${name}`, each(bytes)]),
      ['all', each(String(total))],
    ])
  } finally {
    await client.end()
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now()
  await work()
  return performance.now() - startedMs
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`
}
