/**
 * What one might have built instead, in one run: the same Express and zod in front of BullMQ on Redis (append
 * only file, written out every second), pg-boss and graphile-worker on the same PostgreSQL (fsync), none of
 * them with keys, money or idempotency; FastAPI with Celery on Redis where Python has them; and Sluice, which
 * has all of it, from one account and from sixteen. Prints accepted submissions per second, the time from a
 * submission to its start on an idle worker, and the share of the time that one worker's device is at work on
 * videos of 0.1 s while the store is 50 ms away. SLUICE_BENCH_ROUNDS (4) sets how many rounds of 2 s.
 */
import { join } from 'node:path'
import { integerSetting } from '@sluice/shared/settings'
import { startPrivateRedis } from '../test/support/start-redis.ts'
import { createBenchAccounts, runSql } from './rig/accounts.ts'
import { startApiProcess } from './rig/api-process.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { RawClient } from './rig/raw-client.ts'
import { HOW_TO_HAVE_CELERY, openCeleryContender } from './rig/rivals/celery-contender.ts'
import type { Contender } from './rig/rivals/contender.ts'
import { openExpressContender } from './rig/rivals/express-contender.ts'
import { openDistantStore, openSluiceContender } from './rig/rivals/sluice-contender.ts'
import {
  asMs,
  asPercent,
  asRate,
  asTimes,
  medianAndSpread,
  percentile,
  printTable,
} from './rig/statistics.ts'

const ROUNDS = integerSetting(process.env, 'SLUICE_BENCH_ROUNDS', 4, { min: 1, max: 100 })
const ROUND_MS = 2_000
const CONNECTIONS = 64
const ACCOUNTS = 16
const STARTS = 40
const WARM_UP = 10
const VIDEOS = 40

/** What was measured of one contender. */
interface Figures {
  rates: number[]
  databaseMs: number[]
  startsMs: number[]
  share: number
}

const postgres = await startBenchPostgres()
const redis = await startPrivateRedis({ appendonly: 'yes' })
let apiUrl = ''
const store = await openDistantStore(() => apiUrl)
try {
  const contenders = await openAll()
  const figures = new Map<Contender, Figures>()
  for (const contender of contenders) {
    const startsMs: number[] = []
    for (let index = -WARM_UP; index < STARTS; index += 1) {
      const ms = await contender.startMs()
      if (index >= 0) startsMs.push(ms)
    }
    const { workMs, allMs } = await contender.workOff(VIDEOS)
    figures.set(contender, { rates: [], databaseMs: [], startsMs, share: workMs / allMs })
  }
  for (const contender of contenders) await acceptedPerSecond(contender)
  await runSql(postgres.server.url('sluice', 'postgres'), ['analyze'])
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const contender of contenders) {
      const { rate, databaseMs } = await acceptedPerSecond(contender)
      figures.get(contender)?.rates.push(rate)
      figures.get(contender)?.databaseMs.push(databaseMs)
    }
  }
  print(figures)
  for (const contender of contenders) await contender.close()
} finally {
  await store.close()
  await redis.close()
  await postgres.stop()
}

async function openAll(): Promise<Contender[]> {
  const { server } = postgres
  const urlOf = async (database: string) => {
    await runSql(server.adminUrl, [`create database ${database} owner sluice`])
    return server.url(database)
  }
  const dataDir = join(postgres.dir, 'api')
  const api = await startApiProcess({
    databaseUrl: server.databaseUrl,
    redisUrl: null,
    dataDir,
    env: { SLUICE_INTERNAL_URL: store.url },
  })
  apiUrl = api.url
  const accounts = await createBenchAccounts(server.databaseUrl, dataDir, ACCOUNTS)
  const sluice = (name: string, count: number) =>
    openSluiceContender(name, {
      api,
      accounts: accounts.slice(0, count),
      queueUrl: server.queueUrl,
      dir: join(postgres.dir, `${count}`),
    })
  const one = await sluice('Sluice, one account', 1)
  const many = await sluice(`Sluice, ${ACCOUNTS} accounts`, ACCOUNTS)
  const celery = await openCeleryContender(`${redis.url}/1`)
  if (celery === null) process.stdout.write(`${HOW_TO_HAVE_CELERY}\n`)
  return [
    await openExpressContender('bullmq', redis.url),
    await openExpressContender('pg-boss', await urlOf('boss')),
    await openExpressContender('graphile-worker', await urlOf('graphile')),
    ...(celery === null ? [] : [celery]),
    { ...one, close: async () => {} },
    {
      ...many,
      close: async () => {
        await one.close()
        await many.close()
        await api.stop()
      },
    },
  ]
}

async function acceptedPerSecond(contender: Contender): Promise<{ rate: number; databaseMs: number }> {
  const opened = Array.from({ length: CONNECTIONS }, () => RawClient.open(contender.url))
  const clients = await Promise.all(opened)
  const databaseBefore = await postgres.cpuSeconds()
  const startedAtMs = performance.now()
  let accepted = 0
  const drive = async (client: RawClient, connection: number): Promise<void> => {
    for (let turn = connection; performance.now() - startedAtMs < ROUND_MS; turn += CONNECTIONS) {
      await client.send(contender.acceptRequest(turn))
      accepted += 1
    }
  }
  await Promise.all(clients.map(drive))
  const rate = (accepted * 1_000) / (performance.now() - startedAtMs)
  for (const client of clients) client.close()
  return { rate, databaseMs: ((await postgres.cpuSeconds()) - databaseBefore) * (1_000 / accepted) }
}

function print(figures: ReadonlyMap<Contender, Figures>): void {
  const all = [...figures]
  const ratesOf = (name: string) => all.find(([contender]) => contender.name.endsWith(name))?.[1].rates ?? []
  const beside = (rates: readonly number[], name: string) =>
    asTimes(percentile(rates, 0.5) / percentile(ratesOf(name), 0.5))
  printTable(
    `side by side: ${CONNECTIONS} connections, ${ROUNDS} rounds of 2 s; ${STARTS} starts; ${VIDEOS} videos`,
    [
      [
        '',
        'accepted',
        'of BullMQ',
        'of pg-boss',
        'of graphile-worker',
        'PostgreSQL',
        'start p50',
        'p99',
        'at work',
      ],
      ...all.map(([{ name }, { rates, databaseMs, startsMs, share }]) => [
        name,
        medianAndSpread(rates, asRate),
        beside(rates, 'bullmq'),
        beside(rates, 'pg-boss'),
        beside(rates, 'graphile-worker'),
        `${asMs(percentile(databaseMs, 0.5))} each`,
        asMs(percentile(startsMs, 0.5)),
        asMs(percentile(startsMs, 0.99)),
        asPercent(share),
      ]),
    ],
  )
}
