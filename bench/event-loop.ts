/**
 * Measures how long each call holds the API's event loop, by the runtime's own histogram, each called alone
 * on a service with 1,000 accounts, 1,000 workers and long lists, beside the same service when nobody calls.
 * Prints median and longest over the rounds. The target is 10 ms.
 * SLUICE_BENCH_QUEUED (100,000) and SLUICE_BENCH_ENDED (20,000) set how many videos there are.
 */
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { newClaim, newId } from '@sluice/shared/ids'
import { pause } from '@sluice/shared/pause'
import { integerSetting } from '@sluice/shared/settings'
import sharp from 'sharp'
import { createBenchAccounts, runSql } from './rig/accounts.ts'
import { type ApiProcess, startApiProcess } from './rig/api-process.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { seedBacklog } from './rig/seed-backlog.ts'
import { asMs, percentile, printTable } from './rig/statistics.ts'

const QUEUED = integerSetting(process.env, 'SLUICE_BENCH_QUEUED', 100_000, { min: 2_000, max: 10_000_000 })
const ENDED = integerSetting(process.env, 'SLUICE_BENCH_ENDED', 20_000, { min: 1_000, max: 10_000_000 })
const ACCOUNTS = 1_000
const WORKERS = 1_000
const SLOTS = 8
const POOLS = 50
const DAYS = 365
const ROUNDS = 11
/** Readings that are kept for a second are made anew in each round. */
const ROUND_PAUSE_MS = 300
const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 2 }

interface Call {
  name: string
  send(): Promise<Response>
}

const postgres = await startBenchPostgres()
try {
  const { databaseUrl } = postgres.server
  const superUrl = postgres.server.url('sluice', 'postgres')
  const dataDir = join(postgres.dir, 'api')
  const api = await startApiProcess({ databaseUrl, redisUrl: null, dataDir })
  const [owner] = await createBenchAccounts(databaseUrl, dataDir, 1)
  if (owner === undefined) throw new Error('no account was made')
  await seed(superUrl, owner.accountId)
  const calls = await callsTo(api, owner.key)
  const quiet: number[] = []
  const held = new Map(calls.map(({ name }): [string, number[]] => [name, []]))
  for (let round = -1; round < ROUNDS; round += 1) {
    for (const { name, send } of calls) {
      await api.watched.ask()
      const response = await send()
      await response.arrayBuffer()
      if (!response.ok && response.status !== 304) throw new Error(`${name}: ${response.status}`)
      const { loop } = await api.watched.ask()
      // The first round compiles.
      if (round >= 0) held.get(name)?.push(loop.max)
    }
    await pause(ROUND_PAUSE_MS)
    quiet.push((await api.watched.ask()).loop.max)
  }
  const rows = [...held].map(([name, samples]): [string, number[]] => [name, samples])
  rows.sort(([, a], [, b]) => percentile(b, 0.5) - percentile(a, 0.5))
  printTable(
    `how long one call holds the event loop: ${QUEUED} queued, ${ENDED} ended, ${ACCOUNTS} accounts, ` +
      `${WORKERS} workers, ${ROUNDS} rounds`,
    [
      ['', 'median', 'longest'],
      ...[['nobody calls, 300 ms', quiet] as const, ...rows].map(([name, samples]) => [
        name,
        asMs(percentile(samples, 0.5)),
        asMs(Math.max(...samples)),
      ]),
    ],
  )
  await api.stop()
} finally {
  await postgres.stop()
}

/** Fills the tables: of the account with that id as much as fills its lists. */
async function seed(superUrl: string, accountId: string): Promise<void> {
  await seedBacklog(superUrl, { queued: QUEUED, ended: ENDED, accounts: ACCOUNTS })
  const own = `account_id = '${accountId}', key_id = (select id from api_key where account_id = '${accountId}')`
  await runSql(superUrl, [
    `update video set ${own}
      where id in (select id from video where status = 'queued' order by id desc limit 200)`,
    `update video set ${own}, ended_at = now() - make_interval(days => (abs(hashtext(id)) % ${DAYS}))
      where id in (select id from video where status = 'cancelled' order by id desc limit 2000)`,
    'set session_replication_role = replica',
    `insert into attempt (video_id, fence, pool, worker_id, claim, taken_at, started_at)
      select id, 1, 'pool-' || (n / ${SLOTS} % ${POOLS}), 'worker_seed' || (n / ${SLOTS}),
        md5(id), now(), now()
      from (
        select id, row_number() over (order by id) - 1 as n
        from video where status = 'cancelled' order by id limit ${Math.min(ENDED, WORKERS * SLOTS)}) v`,
    `insert into worker (id, key_id, boot, pool, queue, slots, device, devices_per_slot, vram_bytes,
        models, frames_max, pixels_max, draining, heartbeat_at, loaded)
      select 'worker_seed' || n, 'key_worker', 'boot', 'pool-' || (n % ${POOLS}), 'pool-' || (n % ${POOLS}),
        ${SLOTS}, 'h100', 1, 80000000000, array['open-sora-2'], 129, 589824, false, now() + interval '1 hour',
        (select jsonb_agg(jsonb_build_object('slot', s, 'model', 'open-sora-2'))
          from generate_series(0, ${SLOTS - 1}) s)
      from generate_series(0, ${WORKERS - 1}) n`,
    `insert into fact_hour (hour, pool, fact, value)
      select date_trunc('hour', now()) - make_interval(hours => 5, days => d), 'pool-' || p, f, 1
      from generate_series(0, ${DAYS - 1}) d, generate_series(0, ${POOLS - 1}) p,
        unnest(array['completed', 'charged_tokens', 'revenue_micros', 'busy_gpu_ms', 'available_gpu_ms']) f`,
    'vacuum analyze',
  ])
}

async function callsTo(api: ApiProcess, key: string): Promise<Call[]> {
  const call = (method: string, path: string, secret: string, body?: object): Call => ({
    name: `${method} ${path}`,
    send: () =>
      fetch(api.url + path, {
        method,
        headers: {
          authorization: `Bearer ${secret}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        body: body === undefined ? null : JSON.stringify(body),
      }),
  })
  const get = (path: string) => call('GET', path, key)
  const admin = (path: string) => call('GET', path, api.adminKey)
  const submitted = (await (await call('POST', '/v1/videos', key, SMALL).send()).json()) as { id: string }
  const image = await largeImage()
  const metadata = Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`key-${n}`, 'x'.repeat(512)]))
  return [
    call('POST', '/v1/videos', key, SMALL),
    { ...call('POST', '/v1/videos', key, { ...SMALL, metadata }), name: 'POST /v1/videos, much metadata' },
    {
      ...call('POST', '/v1/videos', key, { ...SMALL, input_reference: image }),
      name: `POST /v1/videos, an image of ${(image.length / 1_048_576).toFixed(0)} MiB in JSON`,
    },
    call('POST', '/v1/videos/quote', key, SMALL),
    get(`/v1/videos/${submitted.id}`),
    get('/v1/videos?limit=100'),
    get('/v1/models'),
    get('/v1/credits'),
    get('/v1/key'),
    get('/v1/ledger?limit=100'),
    get('/v1/usage?from=2020-01-01'),
    get('/v1/usage?from=2020-01-01&format=csv'),
    get('/v1/webhook_deliveries?limit=100'),
    admin('/v1/admin/accounts?limit=100'),
    admin('/v1/admin/keys?limit=100'),
    admin('/v1/admin/audit?limit=100'),
    admin('/v1/admin/workers'),
    admin('/v1/admin/economics?from=2020-01-01&group_by=pool_day'),
    admin('/v1/admin/economics?from=2020-01-01&group_by=pool_day&format=csv'),
    admin('/v1/admin/economics?from=2020-01-01&group_by=total'),
    admin('/v1/admin/prices'),
    admin('/v1/admin/ledger/check'),
    admin('/metrics'),
    admin('/openapi.json'),
    call('POST', '/internal/heartbeat', api.workerToken, heartbeat()),
  ]
}

/** Nothing that compresses, as a data URL: about the largest that is accepted. */
async function largeImage(): Promise<string> {
  const [width, height] = [1_800, 1_800]
  const png = await sharp(randomBytes(width * height * 3), { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 0 })
    .toBuffer()
  return `data:image/png;base64,${png.toString('base64')}`
}

function heartbeat(): object {
  return {
    worker: 'worker_bench',
    boot: 'one',
    pool: 'bench',
    slots: 64,
    device: 'cpu',
    devices_per_slot: 1,
    vram_bytes: 0,
    models: ['animatic'],
    limits: { frames_max: 129, pixels_max: 589_824 },
    cost_per_hour_micros: null,
    draining: true,
    attempts: Array.from({ length: 64 }, () => ({ video: newId('video'), fence: 1, claim: newClaim() })),
  }
}
