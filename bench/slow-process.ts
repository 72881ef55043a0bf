/**
 * Measures what a slow API process costs another on the same database: accepted submissions per second of
 * sixteen accounts through a quick process alone, and while a second one, whose every word to the database
 * and back takes long (`SLUICE_BENCH_DELAY_MS`, 25), submits for two of the same accounts, in turns of the
 * same run. Those two are locked for as long as the slow one takes; the other fourteen need not wait for it.
 */
import { cpus } from 'node:os'
import { join } from 'node:path'
import { startTcpProxy } from '../test/support/tcp-proxy.ts'
import { createBenchAccounts, runSql } from './rig/accounts.ts'
import { startApiProcess } from './rig/api-process.ts'
import { acceptedPerSecond } from './rig/load.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { asRate, asTimes, medianAndSpread, percentile, printTable } from './rig/statistics.ts'

const DELAY_MS = Number(process.env.SLUICE_BENCH_DELAY_MS ?? 25)
const ROUNDS = 5
const ROUND_MS = 3_000
const ACCOUNTS = 16
const SLOW_ACCOUNTS = 2
const CONNECTIONS = 48
const SLOW_CONNECTIONS = 8

const postgres = await startBenchPostgres()
try {
  const { databaseUrl } = postgres.server
  const dataDir = join(postgres.dir, 'api')
  const quick = await startApiProcess({ databaseUrl, redisUrl: null, dataDir })
  await using proxy = await startTcpProxy(databaseUrl, {
    onOpen: (connection) => connection.delayBy(DELAY_MS),
  })
  const slow = await startApiProcess({ databaseUrl: proxy.url, redisUrl: null, dataDir })
  const accounts = await createBenchAccounts(databaseUrl, dataDir, ACCOUNTS)
  const alone = () => acceptedPerSecond(quick, accounts, CONNECTIONS, ROUND_MS)
  const beside = async () => {
    const ofSlow = accounts.slice(0, SLOW_ACCOUNTS)
    const [rate, slowRate] = await Promise.all([
      alone(),
      acceptedPerSecond(slow, ofSlow, SLOW_CONNECTIONS, ROUND_MS),
    ])
    return { rate, slowRate }
  }
  await alone()
  await beside()
  await runSql(databaseUrl, ['analyze'])
  const rounds: { alone: number; rate: number; slowRate: number }[] = []
  for (let round = 0; round < ROUNDS; round += 1) rounds.push({ alone: await alone(), ...(await beside()) })
  const row = (name: string, values: readonly number[]) => [
    name,
    medianAndSpread(values, asRate),
    asTimes(
      percentile(values, 0.5) /
        percentile(
          rounds.map((round) => round.alone),
          0.5,
        ),
    ),
  ]
  printTable(
    `a process ${DELAY_MS} ms from its database beside another, ${ROUNDS} rounds, ${cpus().length} cores`,
    [
      ['', 'accepted', 'of it alone'],
      row(
        'the quick one, alone',
        rounds.map((round) => round.alone),
      ),
      row(
        'the quick one, beside the slow one',
        rounds.map(({ rate }) => rate),
      ),
      row(
        'the slow one',
        rounds.map(({ slowRate }) => slowRate),
      ),
    ],
  )
  await slow.stop()
  await quick.stop()
} finally {
  await postgres.stop()
}
