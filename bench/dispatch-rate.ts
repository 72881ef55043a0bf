/**
 * How fast the gate gives queued videos to slots. Into 2,000 empty slots: in groups, and one at a time beside
 * it in turns of the same run, on PostgreSQL and on Redis. Then what one look costs when slots become free in
 * a fleet where 10,000 are busy, and with 1,000 lines (keys that wait): told what has changed, and beside it
 * reading everything.
 */
import { join } from 'node:path'
import { pause } from '@sluice/shared/pause'
import { createServices } from '../apps/api/src/compose.ts'
import { readConfig } from '../apps/api/src/config/config.ts'
import { dispatchPass, type GateSettings, type PassParts } from '../apps/api/src/gate/dispatch-pass.ts'
import { FlexWaits } from '../apps/api/src/gate/flex-waits.ts'
import { KnownFleet } from '../apps/api/src/gate/known-fleet.ts'
import { prepareSession } from '../apps/api/src/gate/leader.ts'
import { NewsBox } from '../apps/api/src/gate/news.ts'
import { PutOffTimes } from '../apps/api/src/gate/put-off-times.ts'
import { QueueHeads } from '../apps/api/src/gate/queue-heads.ts'
import type { Services } from '../apps/api/src/services.ts'
import { startPrivateRedis } from '../test/support/start-redis.ts'
import { runSql } from './rig/accounts.ts'
import { startApiProcess } from './rig/api-process.ts'
import { endBench } from './rig/end-bench.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { seedBacklog } from './rig/seed-backlog.ts'
import { asMs, asRate, asTimes, medianAndSpread, percentile, printTable } from './rig/statistics.ts'

const ROUNDS = 3
const EMPTY_SLOTS = 2_000
/** As many as are dispatched one at a time in a round: they take longer. */
const SINGLES = 300
const FLEET_SLOTS = Number(process.env.SLUICE_BENCH_SLOTS ?? 10_000)
const FLEET_POOLS = 10
const WORKERS_OF_POOL = 10
const FLEET_ACCOUNTS = 200
const LINES = 1_000
const LOOKS = 7
const FREED_AT_ONCE = 100
/** Between looks of a leader that rests after each reading of a large fleet. */
const REST_MS = 100

const postgres = await startBenchPostgres()
const redis = await startPrivateRedis()
try {
  if (process.env.SKIP !== '1')
    for (const backend of ['postgres', 'redis'] as const) await measureRate(backend)
  await measureLooks('fleet', `${FLEET_SLOTS} slots busy, ${FLEET_ACCOUNTS} accounts`, {
    slots: FLEET_SLOTS,
    pools: FLEET_POOLS,
    accounts: FLEET_ACCOUNTS,
  })
  await measureLooks('lines', `10 slots busy, ${LINES} keys wait`, { slots: 10, pools: 1, accounts: LINES })
} catch (error) {
  endBench(error)
} finally {
  await redis.close()
  await postgres.stop()
}

/** A database of its own with queued videos, and a gate that is driven by hand. */
async function open(
  name: string,
  settings: { redisUrl: string | null; queued: number; accounts: number },
): Promise<{ services: Services; databaseUrl: string; look: (more?: Partial<GateSettings>) => Look }> {
  const { server } = postgres
  await runSql(server.adminUrl, [
    `create database ${name} owner sluice`,
    `grant connect on database ${name} to sluice_worker`,
  ])
  const databaseUrl = server.url(name)
  const dataDir = join(postgres.dir, name)
  const { redisUrl } = settings
  // Migrates it, and makes its first accounts.
  await (await startApiProcess({ databaseUrl, redisUrl, dataDir })).stop()
  await seedBacklog(server.url(name, 'postgres'), { ...settings, ended: 0 })
  const services = await createServices(
    readConfig({
      SLUICE_DATABASE_URL: databaseUrl,
      SLUICE_DATA_DIR: dataDir,
      SLUICE_LOG: 'silent',
      ...(redisUrl === null ? {} : { REDIS_URL: redisUrl }),
    }),
  )
  const session = await services.internal.db.connect()
  await prepareSession(session)
  const { config, producer } = services
  const look = (more: Partial<GateSettings> = {}): Look => {
    const gate: GateSettings = {
      catalogue: config.catalogue,
      accountSharePercent: 100,
      flexRunMsMin: 30_000,
      leaseMs: config.timings.leaseMs,
      switchMs: 0,
      switchWaitMsMax: 0,
      flexMultiplierBps: 5_000,
      ...more,
    }
    const parts: PassParts = {
      db: session,
      producer,
      settings: gate,
      news: new NewsBox(),
      knownFleet: new KnownFleet(session, gate),
      queueHeads: new QueueHeads(session),
      putOffTimes: new PutOffTimes(),
      flexWaits: new FlexWaits(session),
      keepLeadership: async () => {},
      onError: endBench,
    }
    return {
      news: parts.news,
      run: async () => {
        const startedAtMs = performance.now()
        const { dispatched } = await dispatchPass(parts)
        return { dispatched, ms: performance.now() - startedAtMs }
      },
    }
  }
  return {
    services: {
      ...services,
      close: async () => {
        session.release(true)
        await services.close()
      },
    },
    databaseUrl: server.url(name, 'postgres'),
    look,
  }
}

/** A gate's looks, one after the other. */
interface Look {
  news: NewsBox
  run(): Promise<{ dispatched: number; ms: number }>
}

/** Workers that were just heard of, and stay so for the run. */
function workerSql(pools: number, slots: number): string {
  return `
    insert into worker (
      id, key_id, boot, pool, queue, slots, device, devices_per_slot, vram_bytes, models,
      frames_max, pixels_max, draining, heartbeat_at)
    select 'worker_' || n, k.id, 'boot', 'pool' || n % ${pools}, 'pool' || n % ${pools},
      ${slots / pools / WORKERS_OF_POOL}, 'cpu', 1, 0, array['animatic'],
      129, 589824, false, now() + interval '1 hour'
    from generate_series(0, ${pools * WORKERS_OF_POOL - 1}) n,
      (select id from api_key where 'worker' = any (scopes) limit 1) k`
}

async function measureRate(backend: 'postgres' | 'redis'): Promise<void> {
  const redisUrl = backend === 'redis' ? redis.url : null
  const gate = await open(`rate_${backend}`, { redisUrl, queued: 3 * EMPTY_SLOTS, accounts: 50 })
  const rates = { groups: [] as number[], singles: [] as number[] }
  try {
    for (let round = 0; round <= ROUNDS; round += 1) {
      for (const way of ['singles', 'groups'] as const) {
        const slots = way === 'groups' ? EMPTY_SLOTS : SINGLES
        await runSql(gate.databaseUrl, [
          'delete from worker',
          'delete from attempt',
          `update video set status = 'queued', pool = null where status = 'dispatched'`,
          'truncate gate_tag',
          'update gate_clock set virtual_ms = 0',
          ...(redisUrl === null ? ['truncate bullmq.job cascade'] : []),
          workerSql(1, slots),
          'vacuum analyze video, attempt',
        ])
        const { dispatched, ms } = await gate.look(way === 'groups' ? {} : { groupMax: 1 }).run()
        if (dispatched !== slots) throw new Error(`${dispatched} of ${slots} were dispatched`)
        if (round > 0) rates[way].push((dispatched * 1_000) / ms)
      }
    }
  } finally {
    await gate.services.close()
  }
  const ratios = rates.groups.map((rate, round) => rate / (rates.singles[round] ?? Number.NaN))
  printTable(`videos dispatched into empty slots, queue on ${backend}, ${ROUNDS} rounds`, [
    ['', 'videos a second', 'a slot'],
    [
      `one at a time, ${SINGLES} slots`,
      medianAndSpread(rates.singles, asRate),
      asMs(1_000 / percentile(rates.singles, 0.5)),
    ],
    [
      `in groups, ${EMPTY_SLOTS} slots`,
      medianAndSpread(rates.groups, asRate),
      asMs(1_000 / percentile(rates.groups, 0.5)),
    ],
    ['ratio', medianAndSpread(ratios, asTimes), ''],
  ])
}

async function measureLooks(
  name: string,
  title: string,
  { slots, pools, accounts }: { slots: number; pools: number; accounts: number },
): Promise<void> {
  const gate = await open(name, {
    redisUrl: null,
    queued: slots + 40 * FREED_AT_ONCE + 10 * accounts,
    accounts,
  })
  try {
    await runSql(gate.databaseUrl, [workerSql(pools, slots)])
    const kept = gate.look()
    const { dispatched } = await kept.run()
    if (dispatched !== slots) throw new Error(`${dispatched} of ${slots} were dispatched`)
    await runSql(gate.databaseUrl, ['vacuum analyze video, attempt'])
    const rows: string[][] = [['', 'a look', 'a slot', 'ratio']]
    for (const freed of [1, Math.min(FREED_AT_ONCE, slots)]) {
      const times = { read: [] as number[], told: [] as number[] }
      for (let index = 0; index < LOOKS; index += 1) {
        for (const way of ['read', 'told'] as const) {
          const news = await free(gate, freed)
          // What the other way did is read before, as it is now and then; the look itself is told the rest.
          if (way === 'told') {
            kept.news.put(undefined)
            for (let seen = 0; seen < freed; seen += (await kept.run()).dispatched) await pause(REST_MS)
            news.push(...(await free(gate, freed)))
          }
          const look = way === 'told' ? kept : gate.look()
          look.news.put({ freed: news })
          const seen = await look.run()
          if (seen.dispatched !== freed) throw new Error(`${seen.dispatched} of ${freed} were dispatched`)
          times[way].push(seen.ms)
        }
      }
      const perSlot = (ms: readonly number[]) =>
        medianAndSpread(
          ms.map((each) => each / freed),
          asMs,
        )
      const ratio = percentile(times.told, 0.5) / percentile(times.read, 0.5)
      rows.push(
        [`${freed} freed, everything is read`, medianAndSpread(times.read, asMs), perSlot(times.read), ''],
        [
          `${freed} freed, told of it`,
          medianAndSpread(times.told, asMs),
          perSlot(times.told),
          asTimes(ratio),
        ],
      )
    }
    printTable(`the gate's look when slots become free: ${title}, ${LOOKS} looks each`, rows)
  } finally {
    await gate.services.close()
  }
}

/** Gives devices back, as a report would. */
async function free(
  { services }: { services: Services },
  count: number,
): Promise<{ videoId: string; fence: number; inMs: number }[]> {
  const { db } = services.internal
  // What nobody takes for some seconds would be given to other pools.
  await db.query({ text: 'update attempt set taken_at = now() where taken_at is null' })
  const { rows } = await db.query<{ video_id: string; fence: number }>({
    text: `
      update attempt set released_at = now()
      where (video_id, fence) in (
        select video_id, fence from device_occupant order by random() limit $1)
      returning video_id, fence`,
    values: [count],
  })
  return rows.map(({ video_id: videoId, fence }) => ({ videoId, fence, inMs: 0 }))
}
