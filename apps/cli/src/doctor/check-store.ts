import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import pg from 'pg'
import { z } from 'zod'
import { type Finding, fail, note, ok } from './finding.ts'

const run = promisify(execFile)

/** The API's own judgement of its S3 settings. */
const PROGRAM = fileURLToPath(new URL('../../../api/src/check-store.ts', import.meta.url))
/** To start the program, and for it to ask. */
const PROGRAM_MS_MAX = 10_000 + TIME_LIMITS.store.answerMs
/** As /ready has it: receivers of webhooks refuse what is dated more than 5 minutes from their own time. */
const CLOCK_APART_MS_MAX = 240_000

const answerSchema = z.object({
  problem: z.string().nullable(),
  is_missing_bucket: z.boolean(),
  clock_ahead_ms: z.number(),
})

/** Judges the S3 settings as the API does at its start, and this machine's clock by the server's. */
export async function checkStore(env: NodeJS.ProcessEnv): Promise<Finding[]> {
  const todo = 'correct the setting, or unset SLUICE_S3_ENDPOINT to keep files in the data dir'
  try {
    const { stdout } = await run(process.execPath, [PROGRAM], { env, timeout: PROGRAM_MS_MAX })
    const { problem, is_missing_bucket, clock_ahead_ms } = answerSchema.parse(JSON.parse(stdout))
    const clock = checkClock('the S3 server', clock_ahead_ms)
    if (is_missing_bucket)
      return [note('store', `${problem}`, 'the first start makes it, if the credentials may'), clock]
    return problem === null
      ? [ok('store', 'the S3 bucket can be used'), clock]
      : [fail('store', problem, todo)]
  } catch (error) {
    return [fail('store', error instanceof Error ? error.message : String(error), todo)]
  }
}

/** Compares this machine's clock with the database's; nothing when that cannot be asked. */
export async function checkDatabaseClock(url: string): Promise<Finding[]> {
  const { connectMs } = TIME_LIMITS.database
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: connectMs,
    query_timeout: connectMs,
  })
  client.on('error', () => {})
  try {
    await client.connect()
    const askedAtMs = Date.now()
    const { rows } = await client.query<{ now_ms: number }>(
      'select extract(epoch from clock_timestamp())::float8 * 1000 as now_ms',
    )
    return [checkClock('the database', (rows[0]?.now_ms ?? 0) - (askedAtMs + Date.now()) / 2)]
  } catch {
    return []
  } finally {
    await client.end().catch(() => {})
  }
}

function checkClock(of: string, aheadMs: number): Finding {
  const seconds = Math.round(Math.abs(aheadMs) / 1_000)
  if (Math.abs(aheadMs) <= CLOCK_APART_MS_MAX) return ok('clock', `within ${seconds + 1} s of that of ${of}`)
  return fail(
    'clock',
    `this machine's clock is ${seconds} s ${aheadMs > 0 ? 'behind' : 'ahead of'} that of ${of}`,
    'set the clocks of both by NTP',
  )
}
