/**
 * Measures what further API processes on one database are worth: accepted submissions per second through one,
 * two and four of them, in turns of the same run, with the CPU that the processes and the database use for
 * each submission. Where that stays the same, throughput grows with the cores that they get: on a machine
 * with few cores, clients, processes and database share them, so the last column says what is used of them.
 * Every account asks every process, as behind a proxy that knows nothing of accounts; and, beside that, each
 * account asks one of two. `SLUICE_BENCH_ACCOUNTS=1` measures a single account.
 */
import { cpus } from 'node:os'
import { join } from 'node:path'
import { createBenchAccounts, runSql } from './rig/accounts.ts'
import { type ApiProcess, startApiProcess } from './rig/api-process.ts'
import { acceptedPerSecond } from './rig/load.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { asMs, asRate, asTimes, medianAndSpread, percentile, printTable } from './rig/statistics.ts'

interface Case {
  name: string
  processes: number
  /** Whether each account asks one of the processes only. */
  isByAccount: boolean
}

const ONE: Case = { name: '1', processes: 1, isByAccount: false }
const CASES: readonly Case[] = [
  ONE,
  { name: '2', processes: 2, isByAccount: false },
  { name: '2, an account asks one', processes: 2, isByAccount: true },
  { name: '4', processes: 4, isByAccount: false },
]
const ROUNDS = 5
const ROUND_MS = 2_500
const CONNECTIONS = 64
const ACCOUNTS = Number(process.env.SLUICE_BENCH_ACCOUNTS ?? 16)

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
  while (apis.length < Math.max(...CASES.map(({ processes }) => processes)))
    apis.push(await startApiProcess({ databaseUrl, redisUrl: null, dataDir }))
  const accounts = await createBenchAccounts(databaseUrl, dataDir, ACCOUNTS)
  const cases = CASES.filter(({ isByAccount, processes }) => !isByAccount || accounts.length >= processes)
  for (const each of cases) await accept(apis, accounts, each)
  await runSql(databaseUrl, ['analyze'])
  const rounds = new Map(cases.map((each): [Case, Round[]] => [each, []]))
  for (let round = 0; round < ROUNDS; round += 1)
    for (const each of cases) rounds.get(each)?.push(await accept(apis, accounts, each))
  const median = (of: Case, name: keyof Round) =>
    percentile(rounds.get(of)?.map((round) => round[name]) ?? [], 0.5)
  printTable(
    `API processes on one database, ${ACCOUNTS} accounts, ${CONNECTIONS} connections, ${ROUNDS} rounds, ${cpus().length} cores`,
    [
      ['', 'accepted', 'of one', 'API CPU each', 'of one', 'PostgreSQL CPU each', 'of one', 'cores used'],
      ...[...rounds].map(([of, each]) => [
        of.name,
        medianAndSpread(
          each.map(({ rate }) => rate),
          asRate,
        ),
        asTimes(median(of, 'rate') / median(ONE, 'rate')),
        asMs(median(of, 'apiMs')),
        asTimes(median(of, 'apiMs') / median(ONE, 'apiMs')),
        asMs(median(of, 'databaseMs')),
        asTimes(median(of, 'databaseMs') / median(ONE, 'databaseMs')),
        median(of, 'cores').toFixed(2),
      ]),
    ],
  )
  for (const api of apis) await api.stop()
} finally {
  await postgres.stop()
}

/** Each connection goes to a process of its own turn, as behind a proxy. */
async function accept(
  all: readonly ApiProcess[],
  accounts: readonly { key: string }[],
  { processes, isByAccount }: Case,
): Promise<Round> {
  const apis = all.slice(0, processes)
  const accountsOf = (process: number) =>
    isByAccount ? accounts.filter((_, account) => account % processes === process) : accounts
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
    apis.map((api, at) => acceptedPerSecond(api, accountsOf(at), CONNECTIONS / processes, ROUND_MS)),
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
