/**
 * Measures what further API processes on one database are worth: accepted submissions per second through one,
 * two and four of them, in turns of the same run, with the CPU that the processes and the database use for
 * each submission. Where that stays the same, throughput grows with the cores that they get: on a machine
 * with few cores, clients, processes and database share them, so the last column says what is used of them.
 */
import { cpus } from 'node:os'
import { join } from 'node:path'
import { createBenchAccounts, runSql } from './rig/accounts.ts'
import { type ApiProcess, startApiProcess } from './rig/api-process.ts'
import { acceptedPerSecond } from './rig/load.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { asMs, asRate, asTimes, medianAndSpread, percentile, printTable } from './rig/statistics.ts'

const REPLICAS = [1, 2, 4]
const ROUNDS = 5
const ROUND_MS = 2_500
const CONNECTIONS = 64
const ACCOUNTS = 16

interface Round {
  rate: number
  apiMs: number
  databaseMs: number
  cores: number
}

const postgres = await startBenchPostgres()
try {
  const { databaseUrl } = postgres.server
  const dataDir = join(postgres.dir, 'api')
  const apis: ApiProcess[] = []
  while (apis.length < Math.max(...REPLICAS))
    apis.push(await startApiProcess({ databaseUrl, redisUrl: null, dataDir }))
  const accounts = await createBenchAccounts(databaseUrl, dataDir, ACCOUNTS)
  for (const count of REPLICAS) await accept(apis.slice(0, count), accounts)
  await runSql(databaseUrl, ['analyze'])
  const rounds = new Map(REPLICAS.map((count): [number, Round[]] => [count, []]))
  for (let round = 0; round < ROUNDS; round += 1)
    for (const count of REPLICAS) rounds.get(count)?.push(await accept(apis.slice(0, count), accounts))
  const median = (count: number, name: keyof Round) =>
    percentile(rounds.get(count)?.map((round) => round[name]) ?? [], 0.5)
  printTable(
    `API processes on one database, ${CONNECTIONS} connections, ${ROUNDS} rounds, ${cpus().length} cores`,
    [
      ['', 'accepted', 'of one', 'API CPU each', 'of one', 'PostgreSQL CPU each', 'of one', 'cores used'],
      ...[...rounds].map(([count, each]) => [
        `${count}`,
        medianAndSpread(
          each.map(({ rate }) => rate),
          asRate,
        ),
        asTimes(median(count, 'rate') / median(1, 'rate')),
        asMs(median(count, 'apiMs')),
        asTimes(median(count, 'apiMs') / median(1, 'apiMs')),
        asMs(median(count, 'databaseMs')),
        asTimes(median(count, 'databaseMs') / median(1, 'databaseMs')),
        median(count, 'cores').toFixed(2),
      ]),
    ],
  )
  for (const api of apis) await api.stop()
} finally {
  await postgres.stop()
}

/** Each connection goes to a process of its own turn, as behind a proxy. */
async function accept(apis: readonly ApiProcess[], accounts: readonly { key: string }[]): Promise<Round> {
  const apiSeconds = async () => {
    const told = await Promise.all(apis.map(({ watched }) => watched.ask()))
    return told.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0)
  }
  const [apiBefore, databaseBefore, ownBefore] = [
    await apiSeconds(),
    await postgres.cpuSeconds(),
    process.cpuUsage(),
  ]
  const startedAtMs = performance.now()
  const rates = await Promise.all(
    apis.map((api) => acceptedPerSecond(api, accounts, CONNECTIONS / apis.length, ROUND_MS)),
  )
  const seconds = (performance.now() - startedAtMs) / 1_000
  const rate = rates.reduce((sum, each) => sum + each, 0)
  const accepted = rate * seconds
  const api = (await apiSeconds()) - apiBefore
  const database = (await postgres.cpuSeconds()) - databaseBefore
  const { user, system } = process.cpuUsage(ownBefore)
  return {
    rate,
    apiMs: (api * 1_000) / accepted,
    databaseMs: (database * 1_000) / accepted,
    cores: (api + database + (user + system) / 1_000_000) / seconds,
  }
}
