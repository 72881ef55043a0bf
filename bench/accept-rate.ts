/**
 * Measures accepted submissions per second over HTTP, each answered after the durable commit of its video and
 * its hold, from one account and from sixteen. Beside each, in turns of the same run, the same SQL for the
 * same accounts without a service around it, a transaction each; and beside a submission that comes alone,
 * one such transaction that comes alone.
 */
import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { createBenchAccounts, runSql } from './rig/accounts.ts'
import { startApiProcess } from './rig/api-process.ts'
import { BareSubmissions } from './rig/bare-submissions.ts'
import { acceptedOf, acceptedPerSecond, submissionOf } from './rig/load.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { cpuSecondsOfFamily } from './rig/process-times.ts'
import { RawClient } from './rig/raw-client.ts'
import { asMs, asRate, asTimes, medianAndSpread, percentile, printTable } from './rig/statistics.ts'

const ROUNDS = Number(process.env.SLUICE_BENCH_ROUNDS ?? 5)
const ROUND_MS = Number(process.env.SLUICE_BENCH_ROUND_MS ?? 2_500)
const CONNECTIONS = Number(process.env.SLUICE_BENCH_CONNECTIONS ?? 64)
/** With more they wait for each other's locks: of one to sixteen, four were the best for one account. */
const BARE_CONNECTIONS_MAX = 16
const BARE_CONNECTIONS_OF_ACCOUNT = 4
const LONE = 150

interface Measured {
  rates: number[]
  /** Of the database, for a thousand submissions. */
  databaseMs: number[]
}

const postgres = await startBenchPostgres()
try {
  const dataDir = join(postgres.dir, 'api')
  const { databaseUrl, pid } = postgres.server
  const api = await startApiProcess({ databaseUrl, redisUrl: null, dataDir })
  const accounts = await createBenchAccounts(databaseUrl, dataDir, 17)
  const [one, ...sixteen] = accounts.map((account) => [account])
  const kinds = { 'one account': one ?? [], 'sixteen accounts': sixteen.flat() }

  const measure = async (into: Measured, work: () => Promise<number>): Promise<void> => {
    const beforeSeconds = await cpuSecondsOfFamily(pid)
    const startedMs = performance.now()
    const rate = await work()
    const accepted = (rate * (performance.now() - startedMs)) / 1_000
    into.rates.push(rate)
    into.databaseMs.push((((await cpuSecondsOfFamily(pid)) - beforeSeconds) * 1_000_000) / accepted)
  }

  for (const [name, ofKind] of Object.entries(kinds)) {
    const bare = await BareSubmissions.open(
      databaseUrl,
      ofKind,
      Math.min(BARE_CONNECTIONS_MAX, BARE_CONNECTIONS_OF_ACCOUNT * ofKind.length),
    )
    const limited = (key: string) => submissionOf(api, key, { 'idempotency-key': randomUUID() })
    const ways = {
      'the SQL, bare, a transaction each': () => bare.perSecond(ROUND_MS),
      'POST /v1/videos': () => acceptedPerSecond(api, ofKind, CONNECTIONS, ROUND_MS),
      'the same with limits, a budget and an Idempotency-Key': async () => {
        await setLimits(databaseUrl, ofKind)
        const rate = await acceptedOf(api, ofKind, {
          connections: CONNECTIONS,
          forMs: ROUND_MS,
          requestOf: limited,
        })
        await unsetLimits(databaseUrl, ofKind)
        return rate
      },
    }
    const measured = new Map(Object.keys(ways).map((way) => [way, { rates: [], databaseMs: [] } as Measured]))
    for (const work of Object.values(ways)) await work()
    // Autovacuum does this within a minute; until then the plans are those of empty tables.
    await runSql(databaseUrl, ['analyze'])
    for (let round = 0; round < ROUNDS; round += 1) {
      for (const [way, work] of Object.entries(ways)) {
        const into = measured.get(way)
        if (into !== undefined) await measure(into, work)
      }
    }
    const reference = measured.get('the SQL, bare, a transaction each')?.rates ?? []
    printTable(
      `accepted submissions, ${name}, ${CONNECTIONS} connections, ${ROUNDS} rounds of ${ROUND_MS} ms`,
      [
        ['', 'a second', 'times the bare SQL', 'CPU of the database for a thousand'],
        ...[...measured].map(([way, { rates, databaseMs }]) => [
          way,
          medianAndSpread(rates, asRate),
          medianAndSpread(
            rates.map((rate, round) => rate / (reference[round] ?? Number.NaN)),
            asTimes,
          ),
          medianAndSpread(databaseMs, asMs),
        ]),
      ],
    )
    await bare.close()
  }

  const bare = await BareSubmissions.open(databaseUrl, kinds['one account'], 1)
  const client = await RawClient.open(api.url)
  const request = submissionOf(api, kinds['one account'][0]?.key ?? '')
  const alone = { sql: [] as number[][], http: [] as number[][] }
  for (let round = 0; round < ROUNDS; round += 1) {
    alone.sql.push(await timesOf(() => bare.submitOne()))
    alone.http.push(await timesOf(() => client.send(request)))
  }
  printTable(`a submission that comes alone, ${ROUNDS} rounds of ${LONE}`, [
    ['', 'p50', 'p99'],
    ...Object.entries({ 'the SQL, bare': alone.sql, 'POST /v1/videos': alone.http }).map(([name, rounds]) => [
      name,
      medianAndSpread(
        rounds.map((times) => percentile(times, 0.5)),
        asMs,
      ),
      medianAndSpread(
        rounds.map((times) => percentile(times, 0.99)),
        asMs,
      ),
    ]),
  ])
  client.close()
  await bare.close()
  await api.stop()
} finally {
  await postgres.stop()
}

async function timesOf(work: () => Promise<void>): Promise<number[]> {
  const times: number[] = []
  for (let turn = 0; turn < LONE; turn += 1) {
    const startedMs = performance.now()
    await work()
    times.push(performance.now() - startedMs)
  }
  return times
}

/** Limits that are looked at and never reached. */
async function setLimits(databaseUrl: string, accounts: readonly { accountId: string }[]): Promise<void> {
  const ids = accounts.map(({ accountId }) => `'${accountId}'`).join(', ')
  await runSql(databaseUrl, [
    `update account set unfinished_max = 100000000 where id in (${ids})`,
    `update api_key set queued_max = 100000000, token_budget = 1000000000000, budget_interval = 'day'
      where account_id in (${ids})`,
  ])
}

async function unsetLimits(databaseUrl: string, accounts: readonly { accountId: string }[]): Promise<void> {
  const ids = accounts.map(({ accountId }) => `'${accountId}'`).join(', ')
  await runSql(databaseUrl, [
    `update account set unfinished_max = null where id in (${ids})`,
    `update api_key set queued_max = null, token_budget = null, budget_interval = 'none'
      where account_id in (${ids})`,
  ])
}
