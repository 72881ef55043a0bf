/**
 * Measures accepted submissions per second over HTTP, each with a durable commit of the video and its hold,
 * from several connections of several accounts. Beside it, the same SQL transaction without a service around
 * it, in turns of the same run.
 */
import { join } from 'node:path'
import { createBenchAccounts, runSql } from './rig/accounts.ts'
import { startApiProcess } from './rig/api-process.ts'
import { BareSubmissions } from './rig/bare-submissions.ts'
import { acceptedPerSecond } from './rig/load.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { asPercent, asRate, medianAndSpread, printTable } from './rig/statistics.ts'

const ROUNDS = 5
const ROUND_MS = 3_000
const ACCOUNTS = 16
const CONNECTIONS = 16

const postgres = await startBenchPostgres()
try {
  const dataDir = join(postgres.dir, 'api')
  const { databaseUrl } = postgres.server
  const api = await startApiProcess({ databaseUrl, redisUrl: null, dataDir })
  const accounts = await createBenchAccounts(databaseUrl, dataDir, ACCOUNTS)
  const bare = await BareSubmissions.open(databaseUrl, accounts, CONNECTIONS)
  await acceptedPerSecond(api, accounts, CONNECTIONS, ROUND_MS)
  await bare.perSecond(ROUND_MS)
  // Autovacuum does this within a minute; until then the plans are those of empty tables.
  await runSql(databaseUrl, ['analyze'])
  const http: number[] = []
  const sql: number[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    sql.push(await bare.perSecond(ROUND_MS))
    http.push(await acceptedPerSecond(api, accounts, CONNECTIONS, ROUND_MS))
  }
  const load = `${CONNECTIONS} connections, ${ACCOUNTS} accounts, ${ROUNDS} rounds of ${ROUND_MS / 1_000} s`
  const ratios = http.map((rate, round) => rate / (sql[round] ?? Number.NaN))
  printTable(`accepted submissions, ${load}`, [
    ['', 'median (spread)'],
    ['the SQL transaction, driven bare', medianAndSpread(sql, asRate)],
    ['POST /v1/videos', medianAndSpread(http, asRate)],
    ['ratio', medianAndSpread(ratios, asPercent)],
  ])
  await bare.close()
  await api.stop()
} finally {
  await postgres.stop()
}
