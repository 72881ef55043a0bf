import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readUsage } from '../../apps/api/src/accounts/usage.ts'
import { transaction } from '../../apps/api/src/db/database.ts'
import { cancelledEnd, failedEnd } from '../../apps/api/src/videos/end.ts'
import { endVideo, lockVideo } from '../../apps/api/src/videos/transition.ts'
import { runSql } from '../../bench/rig/accounts.ts'
import { type Operator, operatorOf } from '../support/operator.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi
let operator: Operator

beforeAll(async () => {
  api = await startTestApi()
  operator = operatorOf(api)
})
afterAll(() => api.stop())

const sql = async (text: string, values: unknown[] = []) =>
  (await api.context.db.query<Record<string, string>>({ text, values })).rows

/** An account with two keys, one with a budget, and videos of two models. */
async function accountWithVideos(count: number): Promise<{ accountId: string; ids: string[] }> {
  const accountId = await operator.account({ paid: '1' })
  const keys = [
    await operator.key(accountId),
    await operator.key(accountId, { token_budget: 10_000_000, budget_interval: 'day' }),
  ]
  const ids: string[] = []
  for (let index = 0; index < count; index += 1) {
    const { body } = await api.call(
      'POST',
      '/v1/videos',
      {
        prompt: 'a paper boat',
        num_frames: 5,
        num_steps: 10,
        model: index % 3 === 0 ? 'open-sora-2' : 'animatic',
      },
      { key: keys[index % 2]?.key ?? '' },
    )
    ids.push(body.id)
  }
  return { accountId, ids }
}

/** Ends a video as a worker's report does: charged for `steps`, or failed and free. */
const end = (id: string, steps: number | null) =>
  transaction(api.context.db, async (db) => {
    const video = await lockVideo(db, id)
    if (video === null) throw new Error(`no video ${id}`)
    const how =
      steps === null
        ? failedEnd({ code: 'internal', message: 'a test' })
        : cancelledEnd({ ...video, cancel_step: steps }, steps)
    await endVideo(db, video, how, api.context.systemAccounts)
  })

/** What was charged to an account, from the ledger's entries alone. */
async function ledgerCharge(accountId: string): Promise<bigint> {
  const [row] = await sql(
    `select coalesce(sum(e.amount), 0)::text as charged
    from transfer t
    join entry e on e.transfer_id = t.id
    join ledger_account a on a.id = e.ledger_account_id and a.kind = 'revenue'
    join video v on v.id = t.video_id
    where v.account_id = $1`,
    [accountId],
  )
  return BigInt(row?.charged ?? '0')
}

/** The sums that the videos themselves give, and the kept ones: the same rows, or they differ. */
const SUMS = `key_id, span, starts_at::text, model, completed::text, failed::text, cancelled::text,
  tokens::text, charged_micros::text`
const fromVideos = (accountId: string) =>
  sql(
    `select key_id, span, starts_at::text, model,
      count(*) filter (where status = 'completed')::text as completed,
      count(*) filter (where status = 'failed')::text as failed,
      count(*) filter (where status = 'cancelled')::text as cancelled,
      sum(video_tokens * charged_steps)::text as tokens, sum(charged_micros)::text as charged_micros
    from video
    cross join lateral (values
      ('hour', date_trunc('hour', ended_at, 'UTC')), ('day', date_trunc('day', ended_at, 'UTC')),
      ('ever', '-infinity'::timestamptz), ('budget', budget_starts_at)) s(span, starts_at)
    where account_id = $1 and ended_at is not null and starts_at is not null
    group by 1, 2, 3, 4 order by 1, 2, 3, 4`,
    [accountId],
  )
const kept = (accountId: string) =>
  sql(
    `select ${SUMS} from usage_sum where account_id = $1 and completed + failed + cancelled > 0
    order by 1, 2, 3, 4`,
    [accountId],
  )

test('the kept sums are those of the videos and the ledger to the last micro-unit, however many end at once and however they end', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.option(fc.nat(10), { freq: 3 }), { minLength: 1, maxLength: 24 }),
      async (ends) => {
        const { accountId, ids } = await accountWithVideos(ends.length)
        // Each twice, at the same time: the second finds its video ended, and its sums roll back with it.
        const ended = await Promise.allSettled(
          [...ids, ...ids].map((id, index) => end(id, ends[index % ends.length] ?? null)),
        )
        expect(ended.filter(({ status }) => status === 'fulfilled')).toHaveLength(ends.length)
        expect(await kept(accountId)).toEqual(await fromVideos(accountId))
        const { total } = await readUsage(api.context.db, accountId, { from: new Date(0), to: null }, 'key')
        expect(total.costMicros).toBe(await ledgerCharge(accountId))
        expect(total.videos).toBe(BigInt(ends.length))
      },
    ),
    { numRuns: 4 },
  )
})

test('usage of any range is that of the videos that ended in it, whether days, hours or moments are asked for', async () => {
  const { accountId, ids } = await accountWithVideos(12)
  for (const [index, id] of ids.entries()) await end(id, index % 5)
  await runSql(api.database.adminUrl, [
    `update video set ended_at = timestamptz '2026-03-01T00:00:00Z' + n * interval '5 hours 59 minutes'
      from (
        select id, row_number() over (order by id) - 1 as n from video where account_id = '${accountId}'
      ) v
      where v.id = video.id`,
  ])
  expect(await kept(accountId)).toEqual(await fromVideos(accountId))
  const hour = 3_600_000
  const moment = fc.oneof(
    fc.nat(4 * 24 * 60).map((minutes) => minutes * 60_000),
    fc.nat(4 * 24).map((hours) => hours * hour),
  )
  await fc.assert(
    fc.asyncProperty(moment, moment, async (one, other) => {
      const start = Date.parse('2026-03-01T00:00:00Z')
      const range = {
        from: new Date(start + Math.min(one, other)),
        to: new Date(start + Math.max(one, other)),
      }
      const [row] = await sql(
        `select count(*)::text as videos, coalesce(sum(charged_micros), 0)::text as cost from video
        where account_id = $1 and ended_at >= $2 and ended_at < $3`,
        [accountId, range.from, range.to],
      )
      const { total } = await readUsage(api.context.db, accountId, range, 'day')
      expect([total.videos, total.costMicros].map(String)).toEqual([row?.videos, row?.cost])
    }),
    { numRuns: 40 },
  )
})

test('a program of the version before, which knows of no sums, keeps them all the same', async () => {
  const { accountId, ids } = await accountWithVideos(2)
  await sql(
    `update video
    set status = 'cancelled', error_code = 'cancelled', ended_at = now(),
      charged_steps = 3, charged_micros = 7
    where id = any ($1::text[])`,
    [ids],
  )
  expect(await kept(accountId)).toEqual(await fromVideos(accountId))
})
