/**
 * Measures what a fleet costs one API process: workers whose slots all run, each saying something of every
 * slot once a second, and a heartbeat every five. In turns of the same run: what a worker's slots have to say
 * in one request, and, as workers before that did, one request for each. Then the former once more, with
 * somebody who follows every video. SLUICE_BENCH_WORKERS and SLUICE_BENCH_SLOTS set the size,
 * SLUICE_BENCH_SECONDS the length of a turn.
 */
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { REPORT_MS_MAX } from '@sluice/shared/attempt-contract'
import pg from 'pg'
import { startApiProcess } from './rig/api-process.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { seedBacklog } from './rig/seed-backlog.ts'
import { type Heard, SimulatedWorker } from './rig/simulated-worker.ts'
import { asMs, asRate, asTimes, medianAndSpread, percentile, printTable } from './rig/statistics.ts'

const WORKERS = Number(process.env.SLUICE_BENCH_WORKERS ?? 250)
const SLOTS = Number(process.env.SLUICE_BENCH_SLOTS ?? 8)
const TURN_MS = Number(process.env.SLUICE_BENCH_SECONDS ?? 10) * 1_000
const TURNS = 3
const WARM_UP_MS = 3_000
/** As many watchers as an account may have, and no more. */
const VIDEOS_OF_ACCOUNT = 200
const STEPS = 10_000
const CANCEL_EVERY_MS = 1_000

type Mode = 'together' | 'one by one' | 'together, all followed'

interface Turn extends Heard {
  seconds: number
  events: number
  apiCpu: number
  databaseCpu: number
  loop: { p50: number; p99: number; max: number }
}

const postgres = await startBenchPostgres()
const { databaseUrl } = postgres.server
const superUrl = postgres.server.url('sluice', 'postgres')
const api = await startApiProcess({ databaseUrl, redisUrl: null, dataDir: join(postgres.dir, 'data') })
let turn = emptyTurn()
try {
  await run()
} finally {
  await api.stop()
  await postgres.stop()
}

async function run(): Promise<void> {
  const total = WORKERS * SLOTS
  const accounts = Math.ceil(total / VIDEOS_OF_ACCOUNT)
  await seedBacklog(superUrl, { queued: total, ended: 0, accounts })
  const workers = Array.from({ length: WORKERS }, (_, index) => makeWorker(index, accounts))
  await startAll(workers)
  await Promise.all(workers.map((worker) => worker.heartbeat()))
  const turns: Record<Mode, Turn[]> = { together: [], 'one by one': [], 'together, all followed': [] }
  for (let round = 0; round < TURNS; round += 1)
    for (const mode of ['together', 'one by one'] as const) turns[mode].push(await measure(workers, mode))
  const watchers = await watchAll(workers)
  turns['together, all followed'].push(await measure(workers, 'together, all followed'))
  for (const watcher of watchers) watcher.destroy()
  for (const worker of workers) worker.close()
  print(turns)
}

function makeWorker(index: number, accounts: number): SimulatedWorker {
  const slots = Array.from({ length: SLOTS }, (_, slot) => {
    const number = index * SLOTS + slot
    return { video: `video_00${String(number).padStart(24, '0')}`, key: `seed${number % accounts}` }
  })
  return new SimulatedWorker(api, { id: `worker_fleet_${index}`, slots, heard: () => turn })
}

/** Gives every slot a running video, as if it had been dispatched, taken and started. */
async function startAll(workers: readonly SimulatedWorker[]): Promise<void> {
  const slots = workers.flatMap((worker) =>
    worker.slots.map(({ video, claim }, slot) => ({ video, claim, slot, worker: worker.id })),
  )
  const client = new pg.Client({ connectionString: superUrl })
  await client.connect()
  try {
    await client.query(
      `update api_key set scopes = array['videos:read', 'videos:write'] where prefix = 'seed'`,
    )
    await client.query(
      `update video
      set status = 'running', fence = 1, pool = 'fleet', started_at = now(), num_steps = ${STEPS}
      where status = 'queued'`,
    )
    await client.query({
      text: `
        insert into attempt (video_id, fence, pool, claim, worker_id, key_id, boot, slot, devices, taken_at,
          started_at)
        select s.video, 1, 'fleet', s.claim, s.worker, k.id, 'boot', s.slot, 1, now(), now()
        from unnest($1::text[], $2::text[], $3::text[], $4::int[]) s(video, claim, worker, slot)
        cross join (select id from api_key where 'worker' = any (scopes)) k`,
      values: [
        slots.map(({ video }) => video),
        slots.map(({ claim }) => claim),
        slots.map(({ worker }) => worker),
        slots.map(({ slot }) => slot),
      ],
    })
    await client.query('vacuum analyze video, attempt, worker')
  } finally {
    await client.end()
  }
}

async function measure(workers: readonly SimulatedWorker[], mode: Mode): Promise<Turn> {
  const stopping = new AbortController()
  const working = workers.map((worker, index) =>
    worker.work(mode === 'one by one' ? 'alone' : 'together', {
      // Spread over the second, as workers that began at different times are.
      afterMs: (index * REPORT_MS_MAX) / workers.length,
      signal: stopping.signal,
    }),
  )
  await delay(WARM_UP_MS)
  await api.watched.ask()
  const database = await postgres.cpuSeconds()
  const startedAtMs = performance.now()
  turn = emptyTurn()
  const { cpuSeconds: cpuBefore } = await api.watched.ask()
  while (performance.now() - startedAtMs < TURN_MS) {
    await delay(CANCEL_EVERY_MS)
    const worker = workers[Math.floor(Math.random() * workers.length)]
    worker?.cancelOne().catch((error: unknown) => console.warn(error))
  }
  const told = await api.watched.ask()
  const done = turn
  done.seconds = (performance.now() - startedAtMs) / 1_000
  done.apiCpu = told.cpuSeconds - cpuBefore
  done.databaseCpu = (await postgres.cpuSeconds()) - database
  done.loop = told.loop
  // What comes from here on counts no more.
  turn = emptyTurn()
  stopping.abort()
  await Promise.all(working)
  return done
}

/** Follows every video; resolves when all streams have begun. */
async function watchAll(workers: readonly SimulatedWorker[]): Promise<IncomingMessage[]> {
  const slots = workers.flatMap((worker) => worker.slots)
  const followed: IncomingMessage[] = []
  const next = async (): Promise<void> => {
    for (let slot = slots.shift(); slot !== undefined; slot = slots.shift())
      followed.push(await watch(slot.video, slot.key))
  }
  await Promise.all(Array.from({ length: 16 }, next))
  return followed
}

function watch(video: string, key: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${key}` }
    get(`${api.url}/v1/videos/${video}/events`, { headers, agent: false }, (response) => {
      if (response.statusCode !== 200) reject(new Error(`events: ${response.statusCode}`))
      response.setEncoding('utf8')
      response.on('data', (text: string) => {
        if (text.includes('data:')) turn.events += 1
      })
      response.on('error', () => {})
      resolve(response)
    }).on('error', reject)
  })
}

function emptyTurn(): Turn {
  return {
    ...{ seconds: 0, reports: 0, answerMs: [], cancelMs: [], events: 0, apiCpu: 0, databaseCpu: 0 },
    loop: { p50: 0, p99: 0, max: 0 },
  }
}

function print(turns: Record<Mode, Turn[]>): void {
  const modes = Object.keys(turns) as Mode[]
  const row = (title: string, of: (turn: Turn) => number, format: (value: number) => string) => [
    title,
    ...modes.map((mode) => medianAndSpread(turns[mode].map(of), format)),
  ]
  const cores = (value: number) => value.toFixed(2)
  const perThousand = (value: number) => `${value.toFixed(2)} s`
  const apiOf = (turn: Turn) => (turn.apiCpu * 1_000) / turn.reports
  const databaseOf = (turn: Turn) => (turn.databaseCpu * 1_000) / turn.reports
  printTable(
    `${WORKERS} workers of ${SLOTS} slots, a report of each a second, turns of ${TURN_MS / 1_000} s`,
    [
      ['', ...modes],
      row('reports answered', (turn) => turn.reports / turn.seconds, asRate),
      row('events sent to watchers', (turn) => turn.events / turn.seconds, asRate),
      row('CPU of the API, cores', (turn) => turn.apiCpu / turn.seconds, cores),
      row('CPU of PostgreSQL, cores', (turn) => turn.databaseCpu / turn.seconds, cores),
      row('CPU of the API for 1,000 reports', apiOf, perThousand),
      row('CPU of PostgreSQL for 1,000 reports', databaseOf, perThousand),
      row('answer, p50', ({ answerMs }) => percentile(answerMs, 0.5), asMs),
      row('answer, p99', ({ answerMs }) => percentile(answerMs, 0.99), asMs),
      row('event loop late, p99', ({ loop }) => loop.p99, asMs),
      row('event loop late, at most', ({ loop }) => loop.max, asMs),
      row('cancel to its verdict, p50', ({ cancelMs }) => percentile(cancelMs, 0.5), asMs),
      row('cancel to its verdict, at most', ({ cancelMs }) => Math.max(...cancelMs), asMs),
    ],
  )
  const ratio = (of: (turn: Turn) => number) =>
    medianAndSpread(
      turns['one by one'].map((alone, round) => of(alone) / of(turns.together[round] ?? alone)),
      asTimes,
    )
  process.stdout.write(
    `  one by one over together, CPU per report: the API ${ratio(apiOf)}, PostgreSQL ${ratio(databaseOf)}\n`,
  )
}
