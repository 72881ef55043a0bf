import { FACTS, type Fact, WASTE_CAUSES, type WasteCause } from '@sluice/shared/economics/facts'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { giveUpAttempt } from '../../apps/api/src/attempts/give-up.ts'
import { recoverDue } from '../../apps/api/src/attempts/recovery.ts'
import { type Database, transaction } from '../../apps/api/src/db/database.ts'
import { FACTS_SQL } from '../../apps/api/src/economics/facts-sql.ts'
import { readPoolDays } from '../../apps/api/src/economics/pool-days.ts'
import { stretchesOf } from '../../apps/api/src/economics/stretches.ts'
import { eventually } from '../support/eventually.ts'
import { type HandAttempt, HandWorker } from '../support/hand-worker.ts'
import { type Operator, operatorOf } from '../support/operator.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi
let operator: Operator
let poolNumber = 0

/** 504 video tokens a step. */
const STEPS = 10
const STEP_TOKENS = 504
const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: STEPS }

beforeAll(async () => {
  api = await startTestApi({ attemptsMax: 3 })
  operator = operatorOf(api)
})
afterAll(() => api.stop())

const economics = (query = '') => operator.must('GET', `/v1/admin/economics${query}`)
const sql = (text: string, values: unknown[] = []) =>
  api.context.db.query<Record<string, string>>({ text, values })
const micros = (amount: string): bigint => {
  const [, sign = '', whole = '', fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(amount) ?? []
  return BigInt(`${sign}${whole}${fraction.padEnd(6, '0')}`)
}
interface Row {
  day?: string
  pool?: string | null
  revenue: string
  generated_tokens: number
  charged_tokens: number
  wasted_tokens: number
  wasted: Record<WasteCause, number>
}
const ofPool = async (pool: string): Promise<Row | undefined> =>
  (await economics('?group_by=pool')).data.find((row: Row) => row.pool === pool)
/** What the revenue account's entries say, from the ledger alone. */
const ledgerRevenue = async (from = '-infinity', to = 'infinity'): Promise<bigint> => {
  const { rows } = await sql(
    `select coalesce(sum(e.amount), 0)::text as revenue
    from entry e
    join ledger_account a on a.id = e.ledger_account_id
    join transfer t on t.id = e.transfer_id
    where a.kind = 'revenue' and t.created_at >= $1 and t.created_at < $2`,
    [from, to],
  )
  return BigInt(rows[0]?.revenue ?? '0')
}
const submit = async (more: Record<string, unknown> = {}): Promise<string> =>
  (await api.call('POST', '/v1/videos', { ...SMALL, ...more })).body.id
const overlapsOf = async (worker: string) =>
  (
    await sql(
      `select a.id::text
      from worker_shift a
      join worker_shift b on b.worker_id = a.worker_id and b.id > a.id and b.began_at < a.until
      where a.worker_id = $1`,
      [worker],
    )
  ).rows
const handWorker = (changes: { slots?: number } = {}) => {
  const pool = `econ${poolNumber++}`
  return { pool, worker: new HandWorker(api, { pool, ...changes }) }
}

/** What one attempt is to do: run `steps` steps, keep a checkpoint after `kept` of them, and end. */
interface Script {
  steps: number
  kept: number
  end: (typeof ENDS)[number]
  /** Steps it says it did beyond those it had reported, in its last word. */
  more: number
}
const ENDS = [
  'finish',
  'finish',
  'fail',
  'fatal',
  'lost',
  'yield',
  'unusable',
  'cancel',
  'cancel_finish',
  'expire',
] as const
const scripts = fc.record({
  steps: fc.nat(STEPS),
  kept: fc.nat(STEPS),
  end: fc.constantFrom(...ENDS),
  more: fc.nat(2),
})
const videos = fc.record({
  attempts: fc.array(scripts, { minLength: 1, maxLength: 4 }),
  tier: fc.constantFrom('priority', 'standard', 'flex'),
})

/** One step that one attempt ran: what the test counts by hand. */
interface Ran {
  step: number
  attempt: number
  /** A later attempt went on from beyond it. */
  wasKept: boolean
  isDropped: boolean
}

/** Plays a video as scripted. Returns what became of each step it ran, by the script alone. */
async function play(
  worker: HandWorker,
  video: { attempts: Script[]; tier: string },
): Promise<Record<'charged' | WasteCause, number>> {
  const id = await submit({ service_tier: video.tier })
  const ran: Ran[] = []
  const fates = Object.fromEntries(['charged', ...WASTE_CAUSES].map((fate) => [fate, 0])) as Record<
    'charged' | WasteCause,
    number
  >
  const outcomes: WasteCause[] = []
  let checkpoint = 0
  for (const [index, script] of video.attempts.entries()) {
    const { status } = (await operator.must('GET', `/v1/admin/videos/${id}`)) as { status: string }
    if (status === 'completed' || status === 'failed') break
    await worker.heartbeat()
    const attempt = await fetchOf(worker, id)
    const began = checkpoint
    for (const step of ran.filter((one) => !one.isDropped)) {
      if (step.step < began) step.wasKept = true
      else {
        step.isDropped = true
        fates[step.wasKept ? 'lost_checkpoint' : (outcomes[step.attempt] ?? 'failed')] += 1
      }
    }
    const ended = await playAttempt(attempt, id, script, began)
    checkpoint = ended.checkpoint
    outcomes.push(ended.cause)
    for (let step = began; step < ended.reached; step++)
      ran.push({ step, attempt: index, wasKept: false, isDropped: false })
  }
  const before = await operator.must('GET', `/v1/admin/videos/${id}`)
  if (before.error === null && before.status !== 'completed')
    await api.call('POST', `/v1/videos/${id}/cancel`)
  const end = await operator.must('GET', `/v1/admin/videos/${id}`)
  expect(['completed', 'failed']).toContain(end.status)
  const charged: number = end.internal_status === 'failed' ? 0 : end.usage.steps
  const byEnd: WasteCause =
    end.error?.code === 'cancelled' ? 'cancelled' : end.error?.code === 'expired' ? 'expired' : 'failed'
  for (const step of ran.filter((one) => !one.isDropped)) {
    if (step.step < charged) fates.charged += 1
    else if (step.step < checkpoint) fates[byEnd] += 1
    else fates[step.wasKept ? 'lost_checkpoint' : (outcomes[step.attempt] ?? 'failed')] += 1
  }
  return fates
}

/** Jobs of videos that were cancelled before anybody took them are still in the queue. */
async function fetchOf(worker: HandWorker, id: string): Promise<HandAttempt> {
  for (;;) {
    const attempt = await worker.fetch()
    if (attempt.job.video === id) return attempt
  }
}

/** How far it came, what is kept of it, and what its unkept steps were wasted by. */
async function playAttempt(
  attempt: HandAttempt,
  id: string,
  script: Script,
  began: number,
): Promise<{ reached: number; checkpoint: number; cause: WasteCause }> {
  let reached = Math.min(STEPS, began + script.steps)
  let checkpoint = began
  await attempt.report({ type: 'taken', slot: 0 })
  await attempt.report({ type: 'started' })
  await attempt.report({ type: 'progress', phase: 'denoise', step: reached, remaining_ms: null })
  if (script.kept > 0 && began + script.kept <= reached) {
    checkpoint = began + script.kept
    await attempt.report({ type: 'checkpoint', step: checkpoint, bytes: 1 })
  }
  const reported = Math.min(STEPS, reached + script.more)
  switch (script.end) {
    case 'finish':
    case 'cancel_finish':
      if (script.end === 'cancel_finish') await api.call('POST', `/v1/videos/${id}/cancel`)
      await attempt.report({ type: 'finished', result: await attempt.upload() })
      return { reached: STEPS, checkpoint, cause: 'cancelled' }
    case 'fail':
    case 'fatal':
    case 'unusable':
      reached = reported
      await attempt.report({
        type: 'failed',
        code: script.end === 'unusable' ? 'checkpoint_unusable' : 'internal',
        message: 'no',
        retryable: script.end !== 'fatal',
        step: reached - began,
      })
      if (script.end === 'unusable') {
        const { internal_status } = await operator.must('GET', `/v1/admin/videos/${id}`)
        if (internal_status !== 'failed') checkpoint = 0
      }
      return { reached, checkpoint, cause: 'failed' }
    case 'lost':
      await giveUpAttempt(api.context, id, attempt.job.fence)
      return { reached, checkpoint, cause: 'lost_worker' }
    case 'yield':
      await attempt.report({ type: 'yielded', step: reported })
      return { reached: reported, checkpoint, cause: 'yielded' }
    case 'cancel':
      await api.call('POST', `/v1/videos/${id}/cancel`)
      await attempt.report({ type: 'cancelled', step: reported })
      return { reached: reported, checkpoint, cause: 'cancelled' }
    case 'expire':
      await sql(`update video set execution_expires_at = now() - interval '1 second' where id = $1`, [id])
      await recoverDue(api.context)
      return { reached, checkpoint, cause: 'expired' }
    default:
      return script.end satisfies never
  }
}

test('over random endings: every generated token is charged or wasted by its cause, and revenue is the ledger to the last micro-unit', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(videos, { minLength: 1, maxLength: 3 }), async (batch) => {
      const { pool, worker } = handWorker()
      await using _ = worker
      const expected = Object.fromEntries(['charged', ...WASTE_CAUSES].map((fate) => [fate, 0])) as Record<
        'charged' | WasteCause,
        number
      >
      for (const video of batch) {
        const fates = await play(worker, video)
        for (const fate of ['charged', ...WASTE_CAUSES] as const) expected[fate] += fates[fate]
      }
      await worker.heartbeat([], { draining: true })
      const { charged, ...wasted } = expected
      const row = await ofPool(pool)
      expect(row?.charged_tokens ?? 0).toBe(charged * STEP_TOKENS)
      expect(row?.wasted ?? {}).toEqual(
        Object.fromEntries(Object.entries(wasted).map(([cause, steps]) => [cause, steps * STEP_TOKENS])),
      )
      expect(row?.generated_tokens).toBe((row?.charged_tokens ?? 0) + (row?.wasted_tokens ?? 0))
    }),
    { numRuns: 25 },
  )
  const revenue = await ledgerRevenue()
  expect(revenue).toBeGreaterThan(0n)
  for (const group of ['total', 'pool', 'day', 'pool_day']) {
    const { data, total } = await economics(`?group_by=${group}`)
    expect(data.reduce((sum: bigint, row: Row) => sum + micros(row.revenue), 0n)).toBe(revenue)
    expect(micros(total.revenue)).toBe(revenue)
    for (const field of ['generated_tokens', 'charged_tokens', 'wasted_tokens'] as const) {
      expect(data.reduce((sum: number, row: Row) => sum + row[field], 0)).toBe(total[field])
    }
  }
  expect((await operator.ledgerIsOk()).ok).toBe(true)
}, 240_000)

test('revenue of a range that cuts hours is what the ledger has from its first to just before its last moment', async () => {
  const { rows } = await sql(
    `select t.created_at::text as at from transfer t where t.kind = 'settle' order by t.created_at`,
  )
  const at = (index: number) => new Date(rows[index % rows.length]?.at ?? 0).toISOString()
  await fc.assert(
    fc.asyncProperty(fc.nat(rows.length - 1), fc.nat(rows.length - 1), async (one, other) => {
      const [from, to] = [at(Math.min(one, other)), at(Math.max(one, other))]
      const { total } = await economics(`?group_by=total&from=${from}&to=${to}`)
      expect(micros(total.revenue)).toBe(await ledgerRevenue(from, to))
    }),
    { numRuns: 20 },
  )
})

describe('hours that are over', () => {
  test('are summed once, to what their rows say, and a range takes each moment once', async () => {
    await sql(
      `update video
      set ended_at = ended_at
        - interval '1 day' * (1 + abs(hashtext(id)) % 3)
        - interval '1 minute' * (abs(hashtext(id)) % 700)
      where ended_at is not null and ended_at > now() - interval '1 day'`,
    )
    const to = new Date()
    const raw = await api.context.db.query<{ fact: Fact; value: string }>({
      text: `select fact, sum(value)::text as value from (${FACTS_SQL}) f where fact <> all ($3) group by 1`,
      values: [new Date(0), to, ['busy_gpu_ms', 'available_gpu_ms', 'unpriced_gpu_ms']],
    })
    // Nothing is closed yet that ended days ago: the first reader sums all of it.
    await sql(`update facts_closed set until = '-infinity'`)
    await ownerSql('truncate fact_hour')
    const days = await readPoolDays(api.context.db, { from: new Date(0), to })
    const counted = (fact: Fact) => days.reduce((sum, { facts }) => sum + (facts[fact] ?? 0n), 0n)
    expect(raw.rows.length).toBeGreaterThan(8)
    for (const { fact, value } of raw.rows) expect([fact, counted(fact)]).toEqual([fact, BigInt(value)])
    expect(days.every(({ facts }) => Object.keys(facts).every((fact) => FACTS.includes(fact as Fact)))).toBe(
      true,
    )
    const closed = await sql('select count(*)::text as hours from fact_hour')
    expect(Number(closed.rows[0]?.hours)).toBeGreaterThan(0)
    const again = await readPoolDays(api.context.db, { from: new Date(0), to })
    expect(again).toEqual(days)
  })

  test('are closed once a transaction that ends a video in them can no longer be open', async () => {
    await sql(`update facts_closed set until = '-infinity'`)
    await ownerSql('truncate fact_hour')
    await readPoolDays(api.context.db, { from: new Date(0), to: new Date() })
    const { rows } = await sql(
      `select (until <= date_trunc('hour', now() - interval '15 minutes', 'UTC'))::text as "isOver"
      from facts_closed`,
    )
    expect(rows).toEqual([{ isOver: 'true' }])
  })

  test('are closed by one of many readers at once', async () => {
    const id = await submit()
    await api.call('POST', `/v1/videos/${id}/cancel`)
    await sql(`update video set ended_at = ended_at - interval '2 days' where id = $1`, [id])
    await sql(`update facts_closed set until = '-infinity'`)
    await ownerSql('truncate fact_hour')
    const range = { from: new Date(0), to: new Date() }
    const watcher = await api.context.db.connect()
    // Who works as another role than its login sees of no other session what it waits for.
    await watcher.query('set role none')
    const waiting = async () =>
      (
        await watcher.query(
          `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        )
      ).rows.length
    // All have seen that hours are due before any of them may close them.
    const { reads } = await transaction(api.context.db, async (db) => {
      await db.query({ text: 'select from facts_closed for update' })
      const started = Promise.all(Array.from({ length: 3 }, () => readPoolDays(api.context.db, range)))
      await eventually(waiting, (count) => count === 3)
      return { reads: started }
    }).finally(() => watcher.release(true))
    const [first, ...others] = await reads
    expect(first?.length).toBeGreaterThan(0)
    for (const other of others) expect(other).toEqual(first)
  })

  test('cut a range into stretches that have each moment once', () => {
    const moment = fc.nat(100 * 3_600_000).map((ms) => new Date(ms))
    const hour = fc.nat(100).map((hours) => new Date(hours * 3_600_000))
    fc.assert(
      fc.property(
        moment,
        fc.option(moment),
        fc.option(hour),
        hour,
        (one, other, closedUntil, countedFrom) => {
          const [from, to] = other === null || one <= other ? [one, other] : [other, one]
          let end: number | null = from.getTime()
          for (const stretch of stretchesOf({ from, to }, closedUntil, countedFrom)) {
            expect(stretch.from.getTime()).toBe(end)
            end = stretch.to?.getTime() ?? null
            if (stretch.source === 'rows') continue
            expect([stretch.from.getTime() % 3_600_000, (end ?? 0) % 3_600_000]).toEqual([0, 0])
            if (stretch.source === 'closed') expect(end).toBeLessThanOrEqual(closedUntil?.getTime() ?? 0)
            else {
              expect(stretch.from >= countedFrom).toBe(true)
              expect(stretch.from >= (closedUntil ?? new Date(0))).toBe(true)
            }
          }
          expect(end).toBe(to?.getTime() ?? null)
        },
      ),
    )
  })
})

describe('the time a worker was there', () => {
  /** The shifts of a worker, oldest first. */
  const shifts = async (id: string) =>
    (
      await sql(
        'select id::text, slots::text, extract(epoch from until - began_at)::text as seconds from worker_shift where worker_id = $1 order by id',
        [id],
      )
    ).rows
  const past = (id: string, seconds: number, began = seconds) =>
    sql(
      `update worker_shift
      set until = now() - make_interval(secs => $2), began_at = now() - make_interval(secs => $3)
      where id = (select max(id) from worker_shift where worker_id = $1)`,
      [id, seconds, began],
    )

  test('grows with each heartbeat, and a silence longer than the lease is not counted', async () => {
    const { worker } = handWorker()
    await using _ = worker
    await worker.heartbeat()
    await past(worker.id, 5, 10)
    await worker.heartbeat()
    expect(await shifts(worker.id)).toMatchObject([{ seconds: expect.stringMatching(/^10\./) }])
    const leaseSeconds = api.config.timings.leaseMs / 1_000
    await past(worker.id, leaseSeconds + 1, leaseSeconds + 11)
    await worker.heartbeat()
    expect(await shifts(worker.id)).toMatchObject([
      { seconds: expect.stringMatching(/^10\.0/) },
      { seconds: expect.stringMatching(/^0\./) },
    ])
    await worker.heartbeat([], { draining: true })
  })

  test('is one row per offer and process: another number of slots ends one and begins the next without a gap, a new process leaves one', async () => {
    const { worker } = handWorker()
    await using _ = worker
    await worker.heartbeat()
    await past(worker.id, 5, 10)
    await worker.heartbeat([], { slots: 3 })
    expect(await shifts(worker.id)).toMatchObject([
      { slots: '1', seconds: expect.stringMatching(/^10\./) },
      { slots: '3' },
    ])
    await past(worker.id, 5)
    worker.boot = 'another'
    await worker.heartbeat([], { slots: 3 })
    expect(await shifts(worker.id)).toMatchObject([
      {},
      { seconds: expect.stringMatching(/^0\.0/) },
      { slots: '3' },
    ])
    await worker.heartbeat([], { draining: true })
  })

  test('never overlaps, however many heartbeats of a worker arrive at once, and whichever of them began first', async () => {
    const { worker } = handWorker()
    await using _ = worker
    for (let round = 0; round < 5; round += 1) {
      await Promise.all(
        Array.from({ length: 12 }, (_, index) => worker.heartbeat([], { slots: 1 + (index % 2) })),
      )
    }
    expect(await overlapsOf(worker.id)).toEqual([])
    expect((await shifts(worker.id)).length).toBeGreaterThan(1)
    await worker.heartbeat([], { draining: true })
  })

  test('never overlaps when a heartbeat waited while others changed its slots and changed them back', async () => {
    const { worker } = handWorker()
    await using _ = worker
    await worker.heartbeat([], { slots: 1 })
    const begin = (db: Database, slots: number) =>
      db.query({
        text: `insert into worker_shift
            (worker_id, boot, pool, slots, devices_per_slot, cost_per_hour_micros, began_at, until)
          select worker_id, boot, pool, $2::int, devices_per_slot, cost_per_hour_micros, until, until
          from worker_shift where worker_id = $1 order by id desc limit 1`,
        values: [worker.id, slots],
      })
    let waiting: Promise<unknown> = Promise.resolve()
    await transaction(api.context.db, async (db) => {
      await db.query({ text: 'update worker set heartbeat_at = now() where id = $1', values: [worker.id] })
      waiting = worker.heartbeat([], { slots: 1 })
      await eventually(
        async () => (await sql(`select from pg_locks where not granted`)).rows.length,
        (count) => count > 0,
      )
      await begin(db, 2)
      await begin(db, 1)
    })
    await waiting
    expect(await overlapsOf(worker.id)).toEqual([])
    await worker.heartbeat([], { draining: true })
  })

  test('costs what its slots cost, on the UTC days it was there, and is unknown, never 0, when a worker declared none', async () => {
    const { pool, worker } = handWorker()
    await using _ = worker
    await worker.heartbeat([], {
      slots: 2,
      devices_per_slot: 4,
      cost_per_hour_micros: '3000000',
      draining: true,
    })
    await sql(
      `update worker_shift set began_at = '2026-03-01T22:30:00Z', until = '2026-03-02T01:00:00Z' where worker_id = $1`,
      [worker.id],
    )
    const days = async () => {
      await sql(`update facts_closed set until = '-infinity'`)
      await ownerSql('truncate fact_hour')
      return (await economics('?group_by=pool_day&from=2026-03-01&to=2026-03-03')).data.filter(
        (row: Row) => row.pool === pool,
      )
    }
    expect(await days()).toMatchObject([
      {
        day: '2026-03-01',
        available_gpu_seconds: 1.5 * 3_600 * 8,
        gpu_cost: '9',
        utilisation: 0,
        revenue: '0',
        margin: null,
      },
      { day: '2026-03-02', available_gpu_seconds: 3_600 * 8, gpu_cost: '6', unpriced_gpu_seconds: 0 },
    ])
    // The range may cut it anywhere.
    const cut = await economics('?group_by=pool&from=2026-03-01T23:15:00Z&to=2026-03-02T00:30:00Z')
    expect(cut.data.find((row: Row) => row.pool === pool)).toMatchObject({
      gpu_cost: '7.5',
      available_gpu_seconds: 1.25 * 3_600 * 8,
    })
    const stranger = new HandWorker(api, { pool })
    await stranger.heartbeat([], { draining: true })
    await sql(
      `update worker_shift set began_at = '2026-03-01T23:59:00Z', until = '2026-03-02T00:00:00Z' where worker_id = $1`,
      [stranger.id],
    )
    await stranger.close()
    expect(await days()).toMatchObject([
      { day: '2026-03-01', gpu_cost: null, unpriced_gpu_seconds: 60 },
      { day: '2026-03-02', gpu_cost: '6' },
    ])
  })
})

test('busy time, tokens per GPU second, switching, cost and margin come from what the worker said and when', async () => {
  const { pool, worker } = handWorker()
  await using _ = worker
  await worker.heartbeat([], { devices_per_slot: 8, cost_per_hour_micros: '36' })
  const id = await submit()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'started' })
  const live = (await economics()).live.find((row: Row) => row.pool === pool)
  expect(live).toMatchObject({
    pool,
    workers: 1,
    slots: 1,
    busy_slots: 1,
    gpus: 8,
    busy_gpus: 8,
    cost_per_hour: '0.000036',
  })
  const result = await attempt.upload()
  await attempt.report({ type: 'released' })
  await attempt.report({ type: 'finished', result: { ...result, timings: { denoise: 1, load: 2.5 } } })
  await worker.heartbeat([], { draining: true })
  // The work took ten seconds of a shift of forty.
  await sql(
    `update attempt set started_at = '2026-04-01T10:00:10Z', released_at = '2026-04-01T10:00:20Z', ended_at = '2026-04-01T10:00:25Z' where video_id = $1`,
    [id],
  )
  await sql(`update video set ended_at = '2026-04-01T10:00:25Z' where id = $1`, [id])
  await sql(
    `update worker_shift set began_at = '2026-04-01T10:00:00Z', until = '2026-04-01T10:00:40Z' where worker_id = $1 and cost_per_hour_micros = 36`,
    [worker.id],
  )
  await sql(
    `update worker_shift set cost_per_hour_micros = 0, until = began_at where worker_id = $1 and cost_per_hour_micros is null`,
    [worker.id],
  )
  const { data } = await economics(`?group_by=pool&from=2026-04-01T10:00:00.000Z&to=2026-04-01T10:00:59Z`)
  expect(data.filter((row: Row) => row.pool === pool)).toEqual([
    {
      pool,
      completed: 1,
      failed: 0,
      cancelled: 0,
      generated_tokens: 5_040,
      charged_tokens: 5_040,
      wasted_tokens: 0,
      wasted: { lost_worker: 0, failed: 0, yielded: 0, lost_checkpoint: 0, cancelled: 0, expired: 0 },
      available_gpu_seconds: 320,
      busy_gpu_seconds: 80,
      switching_seconds: 20,
      switches: 1,
      // 5,040 tokens in 80 GPU seconds; 40 s at 36 micro-units an hour round to 0
      tokens_per_gpu_second: 63,
      utilisation: 0.25,
      unpriced_gpu_seconds: 0,
      gpu_cost: '0',
      revenue: '0.001008',
      promises_kept: 0,
      promises_missed: 0,
      rebates: '0',
      cost_per_million: '0',
      revenue_per_million: '0.2',
      margin: 1,
      profit_over_cost: null,
      break_even_utilisation: 0,
    },
  ])
})

test('a runner whose clock is wrong is believed no longer than its device was at work', async () => {
  const { pool, worker } = handWorker()
  await using _ = worker
  await worker.heartbeat()
  const id = await submit()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'started' })
  const result = await attempt.upload()
  await attempt.report({ type: 'released' })
  await attempt.report({ type: 'finished', result: { ...result, timings: { load: 80_000 } } })
  await worker.heartbeat([], { draining: true })
  await sql(
    `update attempt set started_at = '2026-04-02T10:00:10Z', released_at = '2026-04-02T10:00:20Z', ended_at = '2026-04-02T10:00:25Z' where video_id = $1`,
    [id],
  )
  await sql(`update video set ended_at = '2026-04-02T10:00:25Z' where id = $1`, [id])
  const { data } = await economics(`?group_by=pool&from=2026-04-02T10:00:00.000Z&to=2026-04-02T10:00:59Z`)
  expect(data.find((row: Row) => row.pool === pool)).toMatchObject({ switching_seconds: 10, switches: 1 })
})

test('a video that ends at the moment a range begins is in it, and in none that ends then', async () => {
  const { worker } = handWorker()
  await using _ = worker
  await worker.heartbeat()
  const id = await submit()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  await worker.heartbeat([], { draining: true })
  await sql(`update video set ended_at = '2026-05-01T10:20:30.123Z' where id = $1`, [id])
  const revenue = async (range: string) => (await economics(`?group_by=total&${range}`)).total.revenue
  expect(await revenue('from=2026-05-01&to=2026-05-01T10:20:30.123Z')).toBe('0')
  expect(await revenue('from=2026-05-01T10:20:30.123Z&to=2026-05-01T10:20:30.124Z')).toBe('0.001008')
})

test('economics as CSV has a line per group with the same numbers, and what is unknown is empty', async () => {
  const answer = await fetch(`${api.url}/v1/admin/economics?group_by=pool&format=csv`, {
    headers: { authorization: `Bearer ${api.adminKey}` },
  })
  expect(answer.headers.get('content-type')).toBe('text/csv; charset=utf-8')
  expect(answer.headers.get('content-disposition')).toBe('attachment; filename=economics-by-pool.csv')
  const [header = '', ...lines] = (await answer.text()).trimEnd().split('\r\n')
  const { data } = await economics('?group_by=pool')
  expect(lines).toHaveLength(data.length)
  const column = (name: string) => lines.map((line) => line.split(',')[header.split(',').indexOf(name)])
  expect(column('revenue')).toEqual(data.map((row: Row) => row.revenue))
  expect(column('wasted_lost_worker')).toEqual(data.map((row: Row) => String(row.wasted.lost_worker)))
  expect(column('gpu_cost')).toEqual(data.map((row: { gpu_cost: string | null }) => row.gpu_cost ?? ''))
})

/** What only the owner of the tables may do: the sums of hours are for good to the role the API works as. */
const ownerSql = async (text: string): Promise<void> => {
  const client = await api.context.db.connect()
  try {
    await client.query('set role none')
    await client.query(text)
  } finally {
    client.release(true)
  }
}
