import { afterAll, beforeAll, expect, test } from 'vitest'
import { readLoss } from '../../apps/api/src/attempts/loss.ts'
import { recoverDue } from '../../apps/api/src/attempts/recovery.ts'
import { NO_LIMITS } from '../../apps/api/src/keys/api-key.ts'
import { readLoad } from '../../apps/api/src/keys/key-store.ts'
import { QueueLimits } from '../../apps/api/src/submissions/check-queue.ts'
import type { Attempt } from '../../apps/api/src/videos/attempt.ts'
import { Sweeper } from '../../apps/api/src/videos/sweep.ts'
import type { LockedVideo } from '../../apps/api/src/videos/transition.ts'
import { runSql } from '../../bench/rig/accounts.ts'
import { seedBacklog } from '../../bench/rig/seed-backlog.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

const VIDEOS = 10_000

let api: TestApi

beforeAll(async () => {
  api = await startTestApi({ timings: { reconcileEveryMs: 600_000 } })
  await seedBacklog(api.database.adminUrl, { queued: VIDEOS, ended: VIDEOS, accounts: 10 })
  const ends = `now() - n * interval '10 seconds'`
  await runSql(api.database.adminUrl, [
    `insert into attempt (video_id, fence, pool, heartbeat_at, ended_at, outcome)
      select id, 1, 'p', ${ends}, ${ends}, case when n % 2 = 0 then 'completed' else 'lost' end
      from (select id, row_number() over () as n from video where status = 'cancelled') v`,
    `insert into attempt (video_id, fence, pool) select id, 1, 'p' from video where status = 'queued' limit 1`,
    'vacuum analyze attempt',
  ])
})
afterAll(() => api.stop())

/** The most rows that any part of the statement reads. */
async function mostRowsRead(name: string, use: (db: TestApi['context']['db']) => Promise<unknown>) {
  const { db } = api.context
  const used: { text: string; values: unknown[] }[] = []
  const watched = new Proxy(db, {
    get: (target, property) => {
      const value: unknown = Reflect.get(target, property, target)
      if (property !== 'query') return typeof value === 'function' ? value.bind(target) : value
      return (statement: { name?: string; text: string; values: unknown[] }) => {
        if (statement.name === name) used.push(statement)
        return target.query(statement)
      }
    },
  })
  await use(watched)
  const [statement] = used
  if (statement === undefined) throw new Error(`no statement ${name} was used`)
  const { rows } = await db.query<{ 'QUERY PLAN': [{ Plan: Plan }] }>({
    text: `explain (analyze, format json) ${statement.text}`,
    values: statement.values,
  })
  const plan = rows[0]?.['QUERY PLAN'][0].Plan
  if (plan === undefined) throw new Error('no plan')
  return rowsRead(plan)
}

interface Plan {
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  Plans?: Plan[]
}

function rowsRead({ Plans = [], ...node }: Plan): number {
  const own = (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops']
  return Math.max(own, ...Plans.map(rowsRead))
}

test('whose doing a loss was is found out among the newest attempts, however many there have been', async () => {
  const { rows } = await api.context.db.query<Attempt>({
    text: 'select * from attempt where ended_at is null',
  })
  const [attempt] = rows
  if (attempt === undefined) throw new Error('no attempt lasts')
  const video = { id: attempt.video_id } as LockedVideo
  const read = (db: TestApi['context']['db']) => readLoss({ db, video, attempt, context: api.context })
  expect(await mostRowsRead('attempt-loss', read)).toBeLessThan(100)
})

test('what an account and a key have queued is read and not counted, however much that is', async () => {
  const key = {
    id: 'key_seed00000000',
    accountId: 'acct_seed00000000',
    scopes: [],
    limits: { ...NO_LIMITS, queuedMax: 1 },
  }
  const full = QueueLimits.read(api.context.db, [key])
  await expect(full.then((limits) => limits.check(key))).rejects.toThrow('This key has 1000 videos queued')
  expect(await mostRowsRead('queue-limits', (db) => QueueLimits.read(db, [key]))).toBeLessThan(50)
  expect(await mostRowsRead('key-load', (db) => readLoad(db, key))).toBeLessThan(50)
})

test('when the time of a whole backlog is over, recovery reads a part of it at a time', async () => {
  await runSql(api.database.adminUrl, [
    `update video set execution_expires_at = now() - interval '1 hour' where status = 'queued'`,
    'vacuum analyze video',
  ])
  const read = (db: TestApi['context']['db']) => recoverDue({ ...api.context, db })
  expect(await mostRowsRead('reconcile-due', read)).toBeLessThanOrEqual(2_000)
  const { rows } = await api.context.db.query<{ count: bigint }>({
    text: `select count(*) from video where status = 'failed'`,
  })
  expect(rows[0]?.count).toBe(200n)
})

test('what many videos left behind is removed batch after batch without a rest', async () => {
  await runSql(api.database.adminUrl, [
    // The rows were written by hand, without sums.
    'set session_replication_role = replica',
    // What the tests before let end is not due, or is by now: it is no part of this.
    'update video set swept_at = now() where ended_at is not null',
    `update video set swept_at = null
      where id in (select id from video where ended_at is not null order by ended_at, id limit 250)`,
    `update video set ended_at = ended_at - interval '1 hour' where ended_at is not null and swept_at is null`,
  ])
  const sweeper = new Sweeper(api.context)
  const more: boolean[] = []
  do more.push(await sweeper.sweep())
  while (more.at(-1) === true)
  expect(more).toEqual([true, true, false])
  const { rows } = await api.context.db.query<{ count: bigint }>({
    text: 'select count(*) from video where ended_at is not null and swept_at is null',
  })
  expect(rows[0]?.count).toBe(0n)
})
