/**
 * Counts the switches of models per hundred videos: an account asks one slot for two models in turns, in the
 * plain order (SLUICE_SWITCH_WAIT_SECONDS=0) and with the preference for what is loaded. Prints both, how
 * long all of it takes, the longest that a video was passed over, and how much later the worst one came than
 * in the plain order. Real API, worker and animatic runner; a switch takes a second.
 */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import { eventually } from '../test/support/eventually.ts'
import { createBenchAccounts } from './rig/accounts.ts'
import { startApiProcess } from './rig/api-process.ts'
import { type BenchPostgres, startBenchPostgres } from './rig/postgres.ts'
import { asTimes, printTable } from './rig/statistics.ts'
import { startWorkerProcess } from './rig/worker-process.ts'

const VIDEOS = 100
const MODELS = ['ink', 'clay']
const SWITCH_MS = 1_000
const RUN_MS_MAX = 600_000

interface Run {
  switches: number
  /** Seconds from the first dispatch to the last end. */
  seconds: number
  /** Seconds from the first dispatch to that of each video, in the order they were asked for. */
  waits: number[]
  passedOverSeconds: number
}

const RUN_SQL = `select
    extract(epoch from a.dispatched_at - min(a.dispatched_at) over ())::float8 as wait,
    extract(epoch from max(v.ended_at) over () - min(a.dispatched_at) over ())::float8 as seconds,
    coalesce(extract(epoch from a.dispatched_at - v.passed_over_at), 0)::float8 as passed_over,
    coalesce((a.result->'timings'->>'load')::float8, 0) > 0 as is_switch
  from video v join attempt a on a.video_id = v.id
  order by v.id`

async function measure(waitSeconds: number | null): Promise<Run> {
  const postgres = await startBenchPostgres()
  try {
    return await serve(postgres, waitSeconds)
  } finally {
    await postgres.stop()
  }
}

async function serve(postgres: BenchPostgres, waitSeconds: number | null): Promise<Run> {
  const { databaseUrl, queueUrl } = postgres.server
  const catalogue = join(postgres.dir, 'models.json')
  const models = MODELS.map((id) => ({ id, base: 'animatic' }))
  await writeFile(catalogue, JSON.stringify({ models }))
  const env = {
    SLUICE_CATALOGUE: catalogue,
    SLUICE_DEFAULT_MODEL: 'ink',
    // What it takes; measured from the first one on.
    SLUICE_SWITCH_SECONDS: '1',
    ...(waitSeconds === null ? {} : { SLUICE_SWITCH_WAIT_SECONDS: String(waitSeconds) }),
  }
  const api = await startApiProcess({ databaseUrl, redisUrl: null, dataDir: join(postgres.dir, 'api'), env })
  const [account] = await createBenchAccounts(databaseUrl, join(postgres.dir, 'api'), 1)
  for (let index = 0; index < VIDEOS; index += 1) {
    const model = MODELS[index % MODELS.length]
    await api.submit({ prompt: 'a paper boat', num_frames: 5, num_steps: 10, model }, account?.key)
  }
  const worker = await startWorkerProcess(api, {
    queueUrl,
    dataDir: join(postgres.dir, 'worker'),
    env: {
      SLUICE_CATALOGUE: catalogue,
      SLUICE_MODEL: MODELS.join(','),
      SLUICE_ANIMATIC_SWITCH_MS: String(SWITCH_MS),
    },
  })
  const db = new pg.Client({ connectionString: databaseUrl })
  await db.connect()
  const left = async () =>
    (await db.query<{ left: string }>('select count(*) as left from video where ended_at is null')).rows[0]
  await eventually(left, (row) => row?.left === '0', RUN_MS_MAX)
  const { rows } = await db.query<{ wait: number; seconds: number; passed_over: number; is_switch: boolean }>(
    RUN_SQL,
  )
  await db.end()
  await worker.stop()
  await api.stop()
  return {
    switches: rows.filter((row) => row.is_switch).length,
    seconds: rows[0]?.seconds ?? Number.NaN,
    waits: rows.map(({ wait }) => wait),
    passedOverSeconds: Math.max(...rows.map((row) => row.passed_over)),
  }
}

const plain = await measure(0)
const preferred = await measure(null)
const laterBy = Math.max(...preferred.waits.map((wait, index) => wait - (plain.waits[index] ?? wait)))
const inSwitches = (seconds: number) => `${((seconds * 1_000) / SWITCH_MS).toFixed(1)} switches`
const row = (name: string, { switches, seconds, passedOverSeconds }: Run) => [
  name,
  String(switches),
  `${seconds.toFixed(1)} s`,
  inSwitches(passedOverSeconds),
]
printTable(`${VIDEOS} videos of two models in turns on one slot, a switch of ${SWITCH_MS} ms`, [
  ['', 'switches', 'all made in', 'longest passed over'],
  row('plain order', plain),
  row('what is loaded is preferred', preferred),
  ['ratio', asTimes(preferred.switches / plain.switches), asTimes(preferred.seconds / plain.seconds), ''],
  ['the worst video came later by', '', inSwitches(laterBy), ''],
])
