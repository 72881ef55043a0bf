/**
 * Measures what grows in the API and its database while many videos pass through it, each submitted,
 * dispatched, taken, reported on and ended: resident memory, the live heap after full collections, open
 * files, bytes per ended video, and everything that must stay level: dead rows, tables and indexes that hold
 * no history, BullMQ's rows. Prints the slope of each over the videos after the warm-up, with its standard
 * error. SLUICE_BENCH_VIDEOS (8,000) sets their number, SLUICE_BENCH_MINUTES (0) how long it goes on after
 * that with a mixed load, SLUICE_BENCH_BACKEND (postgres) where the queue is.
 */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { QueueSettings } from '@sluice/shared/queue-backend'
import { choiceSetting, integerSetting } from '@sluice/shared/settings'
import { Redis } from 'ioredis'
import pg from 'pg'
import { startPrivateRedis } from '../test/support/start-redis.ts'
import { createBenchAccounts } from './rig/accounts.ts'
import { type ApiProcess, startApiProcess } from './rig/api-process.ts'
import { BenchWorker } from './rig/bench-worker.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { type Slope, slopeOf } from './rig/slope.ts'
import { percentile, printTable } from './rig/statistics.ts'
import { WholeLives } from './rig/whole-lives.ts'

const VIDEOS = integerSetting(process.env, 'SLUICE_BENCH_VIDEOS', 8_000, { min: 500, max: 10_000_000 })
const MINUTES = integerSetting(process.env, 'SLUICE_BENCH_MINUTES', 0, { min: 0, max: 10_000 })
const BACKEND = choiceSetting(process.env, 'SLUICE_BENCH_BACKEND', 'postgres', ['postgres', 'redis'])
const WORKERS = 2
const SLOTS = 8
const ACCOUNTS = 4
/** Looks at everything, evenly over the videos. */
const LOOKS = 25
/** These fill caches, prepared statements, pools, the young heap, and the 10,000 events that BullMQ keeps. */
const WARM_VIDEOS = Math.min(2_500, VIDEOS / 2)
const PER = 10_000

/** One look at everything. */
interface Look {
  videos: number
  rssMib: number
  heapMib: number
  files: number
  historyMib: number
  otherMib: number
  deadRows: number
  queueRows: number
  /** Bytes of each table that holds no history, by name. */
  tables: ReadonlyMap<string, number>
}

type Figure = Exclude<keyof Look, 'tables'>

const postgres = await startBenchPostgres()
const redis = await startPrivateRedis({ appendonly: 'yes' })
const { databaseUrl, queueUrl } = postgres.server
const redisUrl = BACKEND === 'redis' ? redis.url : null
const db = new pg.Client({ connectionString: postgres.server.url('sluice', 'postgres') })
const redisClient = new Redis(redis.url)
try {
  const dataDir = join(postgres.dir, 'api')
  const api = await startApiProcess({ databaseUrl, redisUrl, dataDir })
  const keys = (await createBenchAccounts(databaseUrl, dataDir, ACCOUNTS)).map(({ key }) => key)
  await db.connect()
  const queue: QueueSettings =
    redisUrl === null
      ? { backend: 'postgres', url: queueUrl, connectionsMax: 4 }
      : { backend: 'redis', url: redisUrl }
  const workers = Array.from(
    { length: WORKERS },
    () => new BenchWorker(api, queue, { pool: 'bench', slots: SLOTS }),
  )
  for (const worker of workers) await worker.heartbeat()
  const lives = new WholeLives(api, workers, SLOTS)
  const startedAtMs = performance.now()
  const looks: Look[] = []
  for (let look = 0; look < LOOKS; look += 1) {
    await lives.run(Math.ceil(VIDEOS / LOOKS), keys)
    looks.push(await lookAt(api, lives.ended))
  }
  print(looks, lives.ended / ((performance.now() - startedAtMs) / 1_000), 'videos one after another')
  const mixed: Look[] = []
  const endsAtMs = performance.now() + MINUTES * 60_000
  const mixedFrom = lives.ended
  while (performance.now() < endsAtMs) {
    await Promise.all([lives.run(100, keys), readAll(api, keys)])
    if (lives.ended - mixedFrom >= mixed.length * 500) mixed.push(await lookAt(api, lives.ended))
  }
  if (mixed.length > 3) {
    print(mixed, (lives.ended - mixedFrom) / (MINUTES * 60), `${MINUTES} minutes of mixed load`)
  }
  for (const worker of workers) await worker.close()
  await api.stop()
} finally {
  redisClient.disconnect()
  await db.end()
  await redis.close()
  await postgres.stop()
}

/** What people do beside submitting: lists, quotes, credits, figures, and a submission that is refused. */
async function readAll(api: ApiProcess, keys: readonly string[]): Promise<void> {
  const get = (path: string, key: string) =>
    fetch(api.url + path, { headers: { authorization: `Bearer ${key}` } }).then((answer) =>
      answer.arrayBuffer(),
    )
  const post = (path: string, key: string, body: object) =>
    fetch(api.url + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }).then((answer) => answer.arrayBuffer())
  for (const key of keys) {
    for (const path of ['/v1/videos?limit=100', '/v1/credits', '/v1/key', '/v1/usage', '/v1/ledger'])
      await get(path, key)
    await post('/v1/videos/quote', key, { prompt: 'a paper boat' })
    await post('/v1/videos', key, { prompt: '' })
  }
  await get('/metrics', api.adminKey)
  await get('/v1/admin/workers', api.adminKey)
}

async function lookAt(api: ApiProcess, videos: number): Promise<Look> {
  const rssMib = (await api.residentBytes()) / 1_048_576
  const { heapBytes } = await api.watched.ask('heap')
  const files = (await readdir(`/proc/${api.pid}/fd`).catch(() => [])).length
  const { rows } = await db.query<{
    history: string
    other: string
    dead: string
    queue: string
    tables: object
  }>(`
    select
      coalesce(sum(pg_total_relation_size(relid)) filter (where is_history), 0)::text as history,
      coalesce(sum(pg_total_relation_size(relid)) filter (where not is_history), 0)::text as other,
      sum(n_dead_tup)::text as dead,
      coalesce(sum(n_live_tup) filter (where schemaname = 'bullmq'), 0)::text as queue,
      json_object_agg(schemaname || '.' || relname, pg_total_relation_size(relid))
        filter (where not is_history) as tables
    from (
      select *, relname = any (array['video', 'attempt', 'transfer', 'entry']) as is_history
      from pg_stat_user_tables) t`)
  const [row] = rows
  return {
    videos,
    rssMib,
    heapMib: heapBytes / 1_048_576,
    files,
    historyMib: Number(row?.history) / 1_048_576,
    otherMib: Number(row?.other) / 1_048_576,
    deadRows: Number(row?.dead),
    tables: new Map(Object.entries(row?.tables ?? {})),
    queueRows: BACKEND === 'redis' ? await redisClient.dbsize() : Number(row?.queue),
  }
}

function print(looks: readonly Look[], perSecond: number, what: string): void {
  const settled = looks.filter(({ videos }) => videos > WARM_VIDEOS)
  const row = (title: string, name: Figure, unit: string) => {
    const slope = slopeOf(settled.map((look) => ({ x: look.videos, y: look[name] })))
    const shown = (value: number | undefined) => value?.toFixed(name === 'files' ? 0 : 1) ?? ''
    const median = percentile(
      settled.map((look) => look[name]),
      0.5,
    )
    return [
      title,
      shown(settled[0]?.[name]),
      shown(median),
      shown(settled.at(-1)?.[name]),
      asSlope(slope, unit),
    ]
  }
  const last = looks.at(-1)
  const [first] = settled
  const bytesPerVideo =
    last === undefined || first === undefined
      ? Number.NaN
      : ((last.historyMib - first.historyMib) * 1_048_576) / (last.videos - first.videos)
  printTable(
    `${what}: ${last?.videos} videos in all, ${perSecond.toFixed(0)}/s, queue on ${BACKEND}, ` +
      `${bytesPerVideo.toFixed(0)} bytes of history per ended video`,
    [
      ['', 'after warm-up', 'median', 'at the end', `slope per ${PER} videos (standard error)`],
      row('resident memory, MiB', 'rssMib', 'MiB'),
      row('live heap after collections, MiB', 'heapMib', 'MiB'),
      row('open files', 'files', ''),
      row('tables that hold no history, MiB', 'otherMib', 'MiB'),
      row('dead rows', 'deadRows', ''),
      row(BACKEND === 'redis' ? 'keys in Redis' : "rows of BullMQ's tables", 'queueRows', ''),
    ],
  )
  process.stdout.write(`  grew most of them: ${grown(first, last)}\n`)
}

/** The tables without history that grew most since the warm-up. */
function grown(first: Look | undefined, last: Look | undefined): string {
  const by = [...(last?.tables ?? [])].map(([name, bytes]) => ({
    name,
    kib: (bytes - (first?.tables.get(name) ?? 0)) / 1_024,
  }))
  const most = by.sort((a, b) => b.kib - a.kib).slice(0, 4)
  return most.map(({ name, kib }) => `${name} ${kib.toFixed(0)} KiB`).join(', ')
}

function asSlope({ perX, error }: Slope, unit: string): string {
  const isSeen = Math.abs(perX) > 2 * error
  return `${(perX * PER).toFixed(2)} ${unit} (${(error * PER).toFixed(2)})${isSeen ? '' : ', none to be seen'}`
}
