import { cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { newClaim } from '@sluice/shared/ids'
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { transaction } from '../../apps/api/src/db/database.ts'
import { migrateDatabase } from '../../apps/api/src/db/migrate.ts'
import { SluiceError } from '../../apps/api/src/errors.ts'
import type { AccountKey } from '../../apps/api/src/keys/authenticate.ts'
import { repairQueueCounts } from '../../apps/api/src/keys/repair-queue-counts.ts'
import { checkLedger } from '../../apps/api/src/ledger/check.ts'
import { cancelVideo } from '../../apps/api/src/videos/cancel.ts'
import { deleteVideo } from '../../apps/api/src/videos/delete.ts'
import { yieldedRequeue } from '../../apps/api/src/videos/requeue.ts'
import { lockVideo, requeueVideo } from '../../apps/api/src/videos/transition.ts'
import { seedBacklog } from '../../bench/rig/seed-backlog.ts'
import { eventually } from '../support/eventually.ts'
import { type HandDrivenService, type Start, startHandDrivenService } from '../support/hand-driven-service.ts'
import { createTestDatabase } from '../support/test-database.ts'

const STEPS = 10
const TRIAL_MICROS = 1_000_000n

let service: HandDrivenService

beforeAll(async () => {
  service = await startHandDrivenService()
})
afterAll(() => service?.[Symbol.asyncDispose]())

const countDrift = async () =>
  Number((await checkLedger(service.context.db)).violations.queue_counts_that_differ_from_their_videos)

/** What is kept of an account, and what its videos are. */
async function countsOf(accountId: string) {
  const { rows } = await service.owner.query<{ kept: string; counted: string }>({
    text: `select
      (select concat(sum(queued), ' queued, ', sum(in_flight), ' in flight') from queue_count
        where account_id = $1 and key_id = '') as kept,
      (select concat(
          count(*) filter (where status = 'queued'), ' queued, ',
          count(*) filter (where status in ('dispatched', 'running')), ' in flight')
        from video where account_id = $1) as counted`,
    values: [accountId],
  })
  return rows[0]
}

/** Ends what is left, so that the next has the slots for itself. */
async function clear(): Promise<void> {
  await service.owner.query({
    text: `update video set execution_expires_at = now() - interval '1 hour' where ended_at is null`,
  })
  await service.recover()
}

async function takeAll(): Promise<Start[]> {
  const { rows } = await service.owner.query<{ id: string; fence: number }>({
    text: `select id, fence from video where status = 'dispatched' order by id`,
  })
  const starts = rows.map(({ id, fence }) => ({ videoId: id, fence, claim: newClaim() }))
  for (const start of starts) await service.report(start, { type: 'taken', slot: 0 })
  return starts
}

/** What happens to a running video. */
const ENDINGS = ['finished', 'yielded', 'retryable', 'bad_input', 'cancel', 'delete', 'silence'] as const

async function meet(ending: (typeof ENDINGS)[number], start: Start, key: AccountKey): Promise<unknown> {
  const failed = { type: 'failed', message: 'by hand', step: 0 } as const
  if (ending === 'finished')
    return service.report(start, { type: 'finished', result: await service.upload(start, STEPS) })
  if (ending === 'yielded') return service.report(start, { type: 'yielded', step: 5 })
  if (ending === 'retryable') return service.report(start, { ...failed, code: 'internal', retryable: true })
  if (ending === 'bad_input') return service.report(start, { ...failed, code: 'bad_input', retryable: false })
  if (ending === 'cancel') return cancelVideo(service.context, key.accountId, start.videoId)
  if (ending === 'delete')
    return deleteVideo(service.context, key.accountId, start.videoId, { isRepeat: false })
  await service.silence()
  return service.recover()
}

test('what is kept of accounts and keys is what their videos are, whatever happens to many of them at the same time', async () => {
  const wave = fc.record({
    submits: fc.array(fc.nat(2), { maxLength: 5 }),
    endings: fc.array(fc.constantFrom(...ENDINGS), { minLength: 3, maxLength: 3 }),
    cancelsQueued: fc.boolean(),
    expires: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(wave, { minLength: 2, maxLength: 6 }), async (waves) => {
      await clear()
      const keys = [await service.account(TRIAL_MICROS), await service.account(TRIAL_MICROS)]
      const ownerOf = new Map<string, AccountKey>()
      for (const { submits, endings, cancelsQueued, expires } of waves) {
        const starts = await takeAll()
        const queued = [...ownerOf].filter(([id]) => starts.every(({ videoId }) => videoId !== id))
        if (expires) {
          await service.owner.query({
            text: `update video set execution_expires_at = now() - interval '1 hour'
              where id in (select id from video where ended_at is null order by id limit 1)`,
          })
        }
        const outcomes = await Promise.allSettled([
          ...submits.map(async (index) => {
            const key = keys[index % 2] as AccountKey
            ownerOf.set((await service.submit(key, STEPS)).id, key)
          }),
          ...starts.map((start, index) =>
            meet(endings[index % 3] ?? 'finished', start, ownerOf.get(start.videoId) as AccountKey),
          ),
          ...(cancelsQueued ? queued.slice(0, 2) : []).map(([id, key]) =>
            cancelVideo(service.context, key.accountId, id),
          ),
          service.recover(),
          service.gatePass(),
        ])
        for (const outcome of outcomes)
          if (outcome.status === 'rejected') expect(outcome.reason).toBeInstanceOf(SluiceError)
        expect(await countDrift()).toBe(0)
        for (const { accountId } of keys) {
          const counts = await countsOf(accountId)
          if (counts?.kept !== ' queued,  in flight') expect(counts?.kept).toBe(counts?.counted)
        }
      }
    }),
    { numRuns: Number(process.env.SLUICE_TEST_RUNS ?? 8), endOnFailure: true },
  )
}, 120_000)

test('what is rolled back was never counted', async () => {
  const key = await service.account(TRIAL_MICROS)
  const { id } = await service.submit(key, STEPS)
  const undone = transaction(service.context.db, async (db) => {
    await db.query({
      text: `update video
        set status = 'cancelled', ended_at = now(), charged_micros = 0, charged_steps = 0, error_code = 'x'
        where id = $1`,
      values: [id],
    })
    await db.query({ text: 'set constraints all immediate' })
    throw new Error('undone')
  })
  await expect(undone).rejects.toThrow('undone')
  expect(await countsOf(key.accountId)).toMatchObject({ kept: '1 queued, 0 in flight' })
})

test('a dispatch and a video that comes back wait for no submission or end of their account', async () => {
  await clear()
  const key = await service.account(TRIAL_MICROS)
  const { id } = await service.submit(key, STEPS)
  const submission = new pg.Client({ connectionString: service.databaseUrl })
  await submission.connect()
  try {
    await submission.query('begin')
    // What a submission or an end that is under way has locked.
    await submission.query('select from ledger_account where account_id = $1 for update', [key.accountId])
    await submission.query(
      `select from queue_count where account_id = $1 and writer = 'account' for update`,
      [key.accountId],
    )
    expect(await service.gatePass()).toBe(1)
    await transaction(service.context.db, async (db) => {
      const video = await lockVideo(db, id)
      if (video === null) throw new Error(`no video ${id}`)
      await requeueVideo(db, video, yieldedRequeue(video))
    })
    await submission.query('rollback')
  } finally {
    await submission.end()
  }
  expect(await countsOf(key.accountId)).toMatchObject({ kept: '1 queued, 0 in flight' })
})

test('an end that waits for the money of its account has locked no count by then, so it and a submission never wait for each other', async () => {
  const key = await service.account(TRIAL_MICROS)
  const { id } = await service.submit(key, STEPS)
  const submission = new pg.Client({ connectionString: service.databaseUrl, lock_timeout: 2_000 })
  await submission.connect()
  try {
    await submission.query('begin')
    await submission.query('select from ledger_account where account_id = $1 for update', [key.accountId])
    const end = cancelVideo(service.context, key.accountId, id)
    await eventually(async () => {
      const { rows } = await submission.query<{ waits: boolean }>(`select exists (
        select from pg_stat_activity
        where datname = current_database() and wait_event_type = 'Lock') as waits`)
      return rows[0]?.waits === true
    }, Boolean)
    await submission.query(
      `update queue_count set queued = queued where account_id = $1 and writer = 'account'`,
      [key.accountId],
    )
    await submission.query('commit')
    await end
  } finally {
    await submission.end()
  }
  expect(await countsOf(key.accountId)).toMatchObject({ kept: '0 queued, 0 in flight' })
})

test('counts that are wrong are found by the check and made right while videos come and go', async () => {
  const key = await service.account(TRIAL_MICROS)
  await service.submit(key, STEPS)
  await service.submit(key, STEPS)
  await service.owner.query({
    text: `update queue_count set queued = queued + 7, in_flight = in_flight - 1 where account_id = $1`,
    values: [key.accountId],
  })
  expect(await countDrift()).toBe(2)
  const [repaired] = await Promise.all([
    repairQueueCounts(service.context, key.id),
    service.submit(key, STEPS),
    service.gatePass(),
    service.submit(key, STEPS),
  ])
  expect(repaired).toMatchObject(
    ['', key.id].map((key_id) => ({ account_id: key.accountId, key_id, queued: 7n, in_flight: -1n })),
  )
  expect(await countDrift()).toBe(0)
  const counts = await countsOf(key.accountId)
  expect(counts?.kept).toBe(counts?.counted)
  expect(await repairQueueCounts(service.context, key.id)).toEqual([])
  const { rows } = await service.owner.query({
    text: `select subject, details from audit where action = 'queue_counts.repaired'`,
  })
  expect(rows).toEqual([{ subject: 'queue', details: { counts: 2 } }])
})

test('the videos that a database already has are counted when it is migrated', async () => {
  await using database = await createTestDatabase()
  const dir = await mkdtemp(path.join(tmpdir(), 'sluice-migrations-'))
  const isEarlier = (name: string) => name < '0028'
  try {
    for (const name of (await readdir('apps/api/migrations')).filter(isEarlier))
      await cp(path.join('apps/api/migrations', name), path.join(dir, name))
    await migrateDatabase(database.databaseUrl, { dir })
  } finally {
    await rm(dir, { recursive: true })
  }
  await seedBacklog(database.adminUrl, { queued: 30, ended: 5, accounts: 3 })
  const client = new pg.Client({ connectionString: database.databaseUrl })
  await client.connect()
  try {
    await client.query(`update video set status = 'dispatched', fence = 1, pool = 'p'
      where id in (select id from video where status = 'queued' order by id limit 4)`)
    await migrateDatabase(database.databaseUrl)
    // The migration ends the sessions of programs of the version before; this one is no such program.
    const { rows } = await client.query(`select key_id = '' as "isOfAccount",
        sum(queued)::int as queued, sum(in_flight)::int as "inFlight"
      from queue_count group by 1 order by 1`)
    expect(rows).toEqual([
      { isOfAccount: false, queued: 26, inFlight: 4 },
      { isOfAccount: true, queued: 26, inFlight: 4 },
    ])
    expect((await client.query('select * from queue_count_drift')).rows).toEqual([])
  } finally {
    await client.end()
  }
})
