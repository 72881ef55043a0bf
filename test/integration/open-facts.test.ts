import { afterAll, beforeAll, expect, test } from 'vitest'
import { transaction } from '../../apps/api/src/db/database.ts'
import { closeHours } from '../../apps/api/src/economics/closed-hours.ts'
import { FACTS_SQL } from '../../apps/api/src/economics/facts-sql.ts'
import { HourTotals } from '../../apps/api/src/economics/hour-totals.ts'
import { countEnded } from '../../apps/api/src/economics/open-facts.ts'
import { readPoolDays } from '../../apps/api/src/economics/pool-days.ts'
import { pruneAttempts } from '../../apps/api/src/videos/attempt-store.ts'
import { failedEnd } from '../../apps/api/src/videos/end.ts'
import { endVideo, lockVideo } from '../../apps/api/src/videos/transition.ts'
import { pruneShifts } from '../../apps/api/src/workers/note-shift.ts'
import { runSql } from '../../bench/rig/accounts.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.stop())

const db = () => api.context.db
const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }
const submit = async () => (await api.call('POST', '/v1/videos', SMALL)).body.id as string
const sql = async (text: string, values: unknown[] = []) =>
  (await db().query<Record<string, string>>({ text, values })).rows

/**
 * Facts of videos, which no clock moves: from the rows, and as a report has them. What was foretold is stored
 * a moment after it was answered, and by then such a short video has been counted.
 */
const MOVING = [
  ...['busy_gpu_ms', 'available_gpu_ms', 'unpriced_gpu_ms', 'cost_micros_per_hour_ms'],
  ...['eta_compared', 'eta_early_ms', 'eta_late_ms', 'eta_within_p90'],
]
const fromRows = async () =>
  new Map(
    (
      await sql(
        `select fact, sum(value)::text as value from (${FACTS_SQL}) f where fact <> all ($3) group by 1`,
        ['-infinity', 'infinity', MOVING],
      )
    ).map(({ fact = '', value = '' }) => [fact, BigInt(value)]),
  )
const reported = async () => {
  const facts = new Map<string, bigint>()
  for (const day of await readPoolDays(db(), { from: new Date(0), to: null }))
    for (const [fact, value] of Object.entries(day.facts))
      if (!MOVING.includes(fact)) facts.set(fact, (facts.get(fact) ?? 0n) + value)
  return facts
}
const sorted = (facts: Map<string, bigint>) => [...facts].sort(([a], [b]) => (a < b ? -1 : 1))

/** A worker completes, fails and is lost; each time with some steps done. */
async function live(count: number): Promise<void> {
  await using worker = new HandWorker(api)
  await worker.heartbeat([], { cost_per_hour_micros: '5000000' })
  for (let index = 0; index < count; index += 1) {
    await submit()
    const attempt = await worker.fetch()
    await attempt.report({ type: 'taken', slot: 0 })
    await attempt.report({ type: 'started' })
    await attempt.report({ type: 'progress', phase: 'denoise', step: 3, remaining_ms: null })
    if (index % 2 === 0) await attempt.report({ type: 'finished', result: await attempt.upload() })
    else await attempt.report({ type: 'failed', code: 'bad_input', message: 'no', retryable: false, step: 4 })
  }
  await worker.heartbeat([], { draining: true })
}

test('what ended counts once, in reports and totals, whether it has been counted, has not, or is being counted', async () => {
  const totals = new HourTotals(db())
  const completed = async () =>
    [...(await totals.read()).values()].reduce((sum, facts) => sum + facts.completed, 0n)
  await live(2)
  expect(sorted(await reported())).toEqual(sorted(await fromRows()))
  await Promise.all(Array.from({ length: 4 }, () => countEnded(db())))
  expect(await sql('select from uncounted_video')).toHaveLength(0)
  expect(sorted(await reported())).toEqual(sorted(await fromRows()))
  expect(await completed()).toBe(1n)
  await live(3)
  const seen = await Promise.all(
    Array.from({ length: 8 }, async (_, index) => (index % 2 === 0 ? reported() : await countEnded(db()))),
  )
  const rows = sorted(await fromRows())
  for (const facts of seen) if (facts instanceof Map) expect(sorted(facts)).toEqual(rows)
  expect(await completed()).toBe(3n)
})

test('a video whose end is committed after later ones were counted is counted then', async () => {
  const [early, late] = [await submit(), await submit()]
  const end = (id: string, before: () => Promise<void>) =>
    transaction(db(), async (tx) => {
      const video = await lockVideo(tx, id)
      if (video === null) throw new Error(`no video ${id}`)
      await before()
      await endVideo(
        tx,
        video,
        failedEnd({ code: 'internal', message: 'a test' }),
        api.context.systemAccounts,
      )
    })
  const failed = async () => (await reported()).get('failed') ?? 0n
  const before = await failed()
  await end(early, async () => {
    await end(late, async () => {})
    await countEnded(db())
    expect(await failed()).toBe(before + 1n)
  })
  expect(await failed()).toBe(before + 2n)
  await countEnded(db())
  expect(await failed()).toBe(before + 2n)
  expect(sorted(await reported())).toEqual(sorted(await fromRows()))
})

test('GPU time counts once, before and after it has been counted', async () => {
  await live(1)
  // Minutes ago, so that no clock moves it; and nothing was counted since.
  const ago = (minutes: number) => `now() - interval '${minutes} minutes'`
  await runSql(api.database.adminUrl, [
    `update facts_closed set counted_from = date_trunc('hour', ${ago(10)}, 'UTC'),
      clock_until = date_trunc('hour', ${ago(10)}, 'UTC')`,
    `update worker_shift set began_at = ${ago(8)}, until = ${ago(4)}`,
    `update attempt set started_at = ${ago(7)}, released_at = ${ago(5)}`,
  ])
  const gpu = async () => {
    const [row] = await readPoolDays(db(), { from: new Date(0), to: null }, ['pool']).then((days) =>
      days.filter(({ pool }) => pool === 'hand'),
    )
    return [row?.facts.busy_gpu_ms, row?.facts.available_gpu_ms]
  }
  const before = await gpu()
  expect(before[0]).toBeGreaterThan(0n)
  await countEnded(db())
  expect(
    Number((await sql(`select count(*) as facts from fact_open where fact = 'busy_gpu_ms'`))[0]?.facts),
  ).toBeGreaterThan(0)
  expect(await gpu()).toEqual(before)
  await countEnded(db())
  expect(await gpu()).toEqual(before)
})

test('an open hour that is over closes to what was counted', async () => {
  await countEnded(db())
  const before = sorted(await reported())
  await runSql(api.database.adminUrl, [
    // As if all of it had been two hours ago.
    `update fact_open set hour = hour - interval '2 hours'`,
    `update facts_closed set until = counted_from - interval '2 hours',
      counted_from = counted_from - interval '2 hours', clock_until = now()`,
  ])
  const until = await closeHours(db())
  expect(until?.getTime()).toBeLessThan(Date.now())
  expect(Number((await sql('select count(*) as facts from fact_hour'))[0]?.facts)).toBeGreaterThan(3)
  expect(sorted(await reported())).toEqual(before)
})

test('attempts and shifts are kept as long as the setting says, and until their hour is closed', async () => {
  await live(4)
  const ids = (await sql('select video_id from attempt order by dispatched_at desc limit 4')).map(
    ({ video_id: id }) => id,
  )
  const end = (id: string | undefined, ago: string) =>
    `update attempt set ended_at = now() - interval '${ago}' where video_id = '${id}'`
  await runSql(api.database.adminUrl, [
    `update facts_closed set until = now() - interval '20 days'`,
    end(ids[0], '31 days'),
    end(ids[1], '21 days'),
    end(ids[2], '19 days'),
    end(ids[3], '1 hour'),
    `update worker_shift set began_at = now() - interval '40 days', until = now() - interval '31 days'
      where id = (select min(id) from worker_shift)`,
  ])
  const left = async () =>
    (await sql('select video_id from attempt where video_id = any ($1::text[])', [ids])).map(
      ({ video_id: id }) => ids.indexOf(id),
    )
  expect(await pruneAttempts(db(), 30)).toBe(false)
  expect((await left()).toSorted()).toEqual([1, 2, 3])
  // The hours since twenty days ago are not closed.
  await pruneAttempts(db(), 10)
  expect((await left()).toSorted()).toEqual([2, 3])
  const shifts = async () => (await sql('select from worker_shift')).length
  const before = await shifts()
  await pruneShifts(db(), 30)
  expect(await shifts()).toBe(before - 1)
})
