/**
 * How evenly accounts are served, and how long a small one waits behind a flood: Jain's index over what four
 * accounts with a backlog got (1 = the same for each, 0.25 = all for one), and the longest wait of a fifth
 * that submits a video every second. Beside it the same videos at the same times first come, first served,
 * which is what the gate makes of them when one account submits them all. Real API, worker and animatic
 * runner, two slots.
 */
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { eventually } from '../test/support/eventually.ts'
import { createBenchAccounts } from './rig/accounts.ts'
import { type ApiProcess, startApiProcess } from './rig/api-process.ts'
import { type BenchPostgres, startBenchPostgres } from './rig/postgres.ts'
import { asTimes, percentile, printTable } from './rig/statistics.ts'
import { startWorkerProcess } from './rig/worker-process.ts'

/** Videos that each tenant submits at once, the flood first; the last one submits its own one a second. */
const TENANTS = [
  { name: 'flood', videos: 120, everyMs: 0, steps: 20 },
  { name: 'long', videos: 15, everyMs: 0, steps: 40 },
  { name: 'short', videos: 40, everyMs: 0, steps: 10 },
  { name: 'middle', videos: 30, everyMs: 0, steps: 20 },
  { name: 'small', videos: 12, everyMs: 1_000, steps: 10 },
] as const
type Tenant = (typeof TENANTS)[number]
const SLOTS = 2
const STEP_MS = 15
const RUN_MS_MAX = 200_000

/** One video's life, in seconds since the first one was submitted. */
interface Life {
  tenant: string
  submitted: number
  started: number
  ended: number
}

const LIVES_SQL = `select v.metadata->>'tenant' as tenant,
    extract(epoch from v.created_at - min(v.created_at) over ())::float8 as submitted,
    extract(epoch from a.started_at - min(v.created_at) over ())::float8 as started,
    extract(epoch from a.released_at - min(v.created_at) over ())::float8 as ended
  from video v join attempt a on a.video_id = v.id`

/** Makes all the videos, of an account each or all of one, and returns their lives. */
async function serve(postgres: BenchPostgres, accounts: 'an account each' | 'one account'): Promise<Life[]> {
  const { databaseUrl, queueUrl } = postgres.server
  const dataDir = join(postgres.dir, 'api')
  const api = await startApiProcess({ databaseUrl, redisUrl: null, dataDir })
  const made = await createBenchAccounts(databaseUrl, dataDir, TENANTS.length)
  const worker = await startWorkerProcess(api, {
    queueUrl,
    dataDir: join(postgres.dir, 'worker'),
    env: { SLUICE_SLOTS: String(SLOTS), SLUICE_ANIMATIC_STEP_MS: String(STEP_MS) },
  })
  const [flood, ...others] = TENANTS.map((tenant, index) => {
    const key = made[accounts === 'one account' ? 0 : index]?.key ?? ''
    return () => submitAll(api, tenant, key)
  })
  // All of the flood is there before the others come.
  await flood?.()
  await Promise.all(others.map((submit) => submit()))
  const db = new pg.Client({ connectionString: databaseUrl })
  await db.connect()
  const left = async () =>
    (await db.query<{ left: string }>('select count(*) as left from video where ended_at is null')).rows[0]
  await eventually(left, (row) => row?.left === '0', RUN_MS_MAX)
  const { rows } = await db.query<Life>(LIVES_SQL)
  await db.end()
  await worker.stop()
  await api.stop()
  return rows
}

async function submitAll(
  api: ApiProcess,
  { name, videos, everyMs, steps }: Tenant,
  key: string,
): Promise<void> {
  const request = { prompt: 'a paper boat', num_frames: 5, num_steps: steps, metadata: { tenant: name } }
  for (let video = 0; video < videos; video += 1) {
    if (video > 0 && everyMs > 0) await delay(everyMs)
    await api.submit(request, key)
  }
}

/** The square of the sum by the sum of squares, and by how many there are: 1 when all are the same. */
function jainOf(shares: readonly number[]): number {
  const sum = shares.reduce((total, share) => total + share, 0)
  const squares = shares.reduce((total, share) => total + share * share, 0)
  return (sum * sum) / (shares.length * squares)
}

/** Device time of each tenant with a backlog, until the first of them has nothing queued any more. */
function sharesOf(lives: readonly Life[]): number[] {
  const backlogged = TENANTS.filter(({ everyMs }) => everyMs === 0)
  const ofTenant = (tenant: Tenant) => lives.filter((life) => life.tenant === tenant.name)
  const untilSeconds = Math.min(
    ...backlogged.map((tenant) => Math.max(...ofTenant(tenant).map(({ started }) => started))),
  )
  return backlogged.map((tenant) =>
    ofTenant(tenant)
      .map(({ started, ended }) => Math.max(0, Math.min(ended, untilSeconds) - started))
      .reduce((sum, seconds) => sum + seconds, 0),
  )
}

async function measure(accounts: Parameters<typeof serve>[1]) {
  const postgres = await startBenchPostgres()
  try {
    const lives = await serve(postgres, accounts)
    const small = lives.filter(({ tenant }) => tenant === 'small')
    const waits = small.map(({ submitted, started }) => started - submitted)
    return {
      jain: jainOf(sharesOf(lives)),
      longest: Math.max(...waits),
      median: percentile(waits, 0.5),
      all: Math.max(...lives.map(({ ended }) => ended)),
    }
  } finally {
    await postgres.stop()
  }
}

const fair = await measure('an account each')
const inTurn = await measure('one account')
const inSeconds = (seconds: number) => `${seconds.toFixed(1)} s`
const row = (name: string, of: typeof fair) => [
  ...[name, of.jain.toFixed(2), inSeconds(of.longest), inSeconds(of.median), inSeconds(of.all)],
]
const count = TENANTS.reduce((sum, { videos }) => sum + videos, 0)
printTable(
  `${count} videos of five accounts on ${SLOTS} slots, one account floods with ${TENANTS[0].videos}`,
  [
    ['', "Jain's index of four backlogs", 'longest wait of the small one', 'its median', 'all made in'],
    row('first come, first served', inTurn),
    row('the gate', fair),
    ['ratio', asTimes(fair.jain / inTurn.jain), asTimes(fair.longest / inTurn.longest)],
  ],
)
