/**
 * Measures what a long queue costs, whoever owns it: one account, one key, a thousand keys of one account or
 * a thousand accounts. For each: accepted submissions per second, what a quote, a read, a list, key and
 * credits take, and the time from the report that frees a slot to the worker's next job. Beside it, an almost
 * empty queue on the same server in the same run. SLUICE_BENCH_QUEUED sets how long the queue is (50,000),
 * SLUICE_BENCH_SHAPES whose it is (account,key,keys,accounts).
 */
import { join } from 'node:path'
import { createBenchAccounts, runSql } from './rig/accounts.ts'
import { type ApiProcess, startApiProcess } from './rig/api-process.ts'
import { BenchWorker } from './rig/bench-worker.ts'
import { Connection } from './rig/connection.ts'
import { acceptedPerSecond } from './rig/load.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { type Owners, seedBacklog } from './rig/seed-backlog.ts'
import { asMs, asRate, asTimes, medianAndSpread, percentile, printTable } from './rig/statistics.ts'

const QUEUED = Number(process.env.SLUICE_BENCH_QUEUED ?? 50_000)
const ROUNDS = 5
const ROUND_MS = 1_000
const CONNECTIONS = 16
const CALLS = 40
const DISPATCHES = 20
/** Of the caller, on either side: what a list shows. */
const OWN_VIDEOS = 20
const CLIP = { prompt: 'a paper boat', num_frames: 5, num_steps: 2 }

type Caller = Awaited<ReturnType<typeof createBenchAccounts>>[number] & { keyId: string }

/** Whose the queue is, and whether the callers are that account or sixteen others. */
const SHAPES: Record<string, { title: string; ownersOf: (caller: Caller) => Owners }> = {
  account: {
    title: "of the caller's account, of ten other keys",
    ownersOf: ({ accountId }) => ({ accountId, keys: 10 }),
  },
  key: { title: "of the caller's own key", ownersOf: ({ accountId, keyId }) => ({ accountId, keys: keyId }) },
  keys: {
    title: "of a thousand keys of the caller's account",
    ownersOf: ({ accountId }) => ({ accountId, keys: 1_000 }),
  },
  accounts: { title: 'of a thousand other accounts', ownersOf: () => ({ accounts: 1_000 }) },
}

/** Each call by its name, for a caller's key and one of its videos. */
const READS: Record<string, (connection: Connection, key: string, video: string) => Promise<unknown>> = {
  quote: (connection, key) => connection.post('/v1/videos/quote', key, CLIP),
  'read of a video': (connection, key, video) => connection.get(`/v1/videos/${video}`, key),
  'list of 20': (connection, key) => connection.get('/v1/videos?limit=20', key),
  key: (connection, key) => connection.get('/v1/key', key),
  credits: (connection, key) => connection.get('/v1/credits', key),
}

/** One of the two services that are compared, and what was measured of it: a value a round. */
interface Side {
  api: ApiProcess
  databaseUrl: string
  callers: [Caller, ...Caller[]]
  measured: Map<string, number[]>
}

const postgres = await startBenchPostgres()
try {
  for (const name of (process.env.SLUICE_BENCH_SHAPES ?? Object.keys(SHAPES).join(',')).split(','))
    await compare(name)
} finally {
  await postgres.stop()
}

async function compare(name: string): Promise<void> {
  const shape = SHAPES[name]
  if (shape === undefined) throw new Error(`SLUICE_BENCH_SHAPES has ${name}: there is ${Object.keys(SHAPES)}`)
  const isOfOthers = name === 'accounts'
  const [empty, backlog] = [await open(`${name}_empty`, isOfOthers), await open(name, isOfOthers)]
  const startedAtMs = performance.now()
  const owners = shape.ownersOf(backlog.callers[0])
  await seedBacklog(postgres.server.url(name, 'postgres'), { queued: QUEUED, ended: 0, ...owners })
  const seconds = ((performance.now() - startedAtMs) / 1_000).toFixed(0)
  process.stdout.write(`seeded ${QUEUED} queued videos ${shape.title} in ${seconds} s\n`)
  const sides = [empty, backlog]
  await measureReads(sides)
  await measureAccepting(sides)
  await measureDispatches(sides, name)
  printTable(`${QUEUED} queued videos ${shape.title} beside an empty queue, ${ROUNDS} rounds`, [
    ['', 'empty', 'backlog', 'ratio'],
    ...[...empty.measured].map(([what, before]) => {
      const after = backlog.measured.get(what) ?? []
      const format = what.startsWith('accepted') ? asRate : asMs
      const ratios = after.map((value, round) => value / (before[round] ?? Number.NaN))
      return [
        what,
        ...[before, after].map((values) => medianAndSpread(values, format)),
        medianAndSpread(ratios, asTimes),
      ]
    }),
  ])
  for (const { api } of sides) await api.stop()
  await runSql(postgres.server.adminUrl, [`drop database ${name} with (force)`])
}

async function open(database: string, hasSeveralCallers: boolean): Promise<Side> {
  const { server, dir } = postgres
  await runSql(server.adminUrl, [
    `create database ${database} owner sluice`,
    `grant connect on database ${database} to sluice_worker`,
  ])
  const databaseUrl = server.url(database)
  const dataDir = join(dir, database)
  const api = await startApiProcess({ databaseUrl, redisUrl: null, dataDir, env: { SLUICE_LOG: 'error' } })
  const made = await createBenchAccounts(databaseUrl, dataDir, hasSeveralCallers ? CONNECTIONS : 1)
  const connection = new Connection(api.url)
  const callers = await Promise.all(
    made.map(async (account) => {
      const { id } = (await connection.get('/v1/key', account.key)) as { id: string }
      return { ...account, keyId: id }
    }),
  )
  connection.close()
  const [first, ...others] = callers
  if (first === undefined) throw new Error('no account')
  return { api, databaseUrl, callers: [first, ...others], measured: new Map() }
}

function note({ measured }: Side, what: string, value: number): void {
  const values = measured.get(what)
  if (values === undefined) measured.set(what, [value])
  else values.push(value)
}

async function measureReads(sides: readonly Side[]): Promise<void> {
  const parts = await Promise.all(
    sides.map(async (side) => {
      const { key } = side.callers[0]
      const connection = new Connection(side.api.url)
      let video = ''
      for (let index = 0; index < OWN_VIDEOS; index += 1)
        video = ((await side.api.submit(CLIP, key)) as { id: string }).id
      return { side, key, connection, video }
    }),
  )
  // The first round warms up.
  for (let round = -1; round < ROUNDS; round += 1) {
    for (const [what, call] of Object.entries(READS)) {
      const times = parts.map((): number[] => [])
      // Call by call in turns, so that what else the machine does falls on both.
      for (let index = 0; index < CALLS; index += 1) {
        for (const [at, { key, connection, video }] of parts.entries()) {
          const startedAtMs = performance.now()
          await call(connection, key, video)
          times[at]?.push(performance.now() - startedAtMs)
        }
      }
      if (round < 0) continue
      for (const [at, { side }] of parts.entries())
        note(side, `${what}, p50`, percentile(times[at] ?? [], 0.5))
    }
  }
  for (const { connection } of parts) connection.close()
}

async function measureAccepting(sides: readonly Side[]): Promise<void> {
  for (let round = -1; round < ROUNDS; round += 1) {
    for (const side of sides) {
      const before = await postgres.cpuSeconds()
      const rate = await acceptedPerSecond(side.api, side.callers, CONNECTIONS, ROUND_MS)
      if (round < 0) continue
      note(side, 'accepted submissions', rate)
      const cpuMs = ((await postgres.cpuSeconds()) - before) * 1_000
      note(side, 'CPU of PostgreSQL for one of them', cpuMs / ((rate * ROUND_MS) / 1_000))
    }
  }
}

async function measureDispatches(sides: readonly Side[], name: string): Promise<void> {
  // The rounds before left thousands of queued videos; the empty side keeps only those that it will dispatch.
  const kept = (ROUNDS + 1) * (DISPATCHES + 2)
  await runSql(postgres.server.url(`${name}_empty`, 'postgres'), [
    // Without foreign keys: what belongs to the deleted videos stays where it is.
    'set session_replication_role = replica',
    `delete from video where id not in (select id from video order by id limit ${kept})`,
    'vacuum analyze video',
  ])
  await runSql(postgres.server.url(name, 'postgres'), ['vacuum analyze video'])
  const workers = sides.map((side) => {
    const queue = { backend: 'postgres', url: side.databaseUrl, connectionsMax: 4 } as const
    return { side, worker: new BenchWorker(side.api, queue, { pool: 'bench' }) }
  })
  for (const { worker } of workers) await worker.heartbeat()
  for (let round = -1; round < ROUNDS; round += 1) {
    for (const { side, worker } of workers) {
      const latencies = await dispatchLatencies(worker, DISPATCHES)
      if (round >= 0) note(side, 'slot free to next job, p50', percentile(latencies, 0.5))
    }
  }
  for (const { worker } of workers) await worker.close()
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
