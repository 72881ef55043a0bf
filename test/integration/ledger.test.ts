import { newId } from '@sluice/shared/ids'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Database, transaction } from '../../apps/api/src/db/database.ts'
import { lockOwned, readOwned } from '../../apps/api/src/ledger/accounts.ts'
import { topUp } from '../../apps/api/src/ledger/fund.ts'
import { BalanceTooSmallError, holdOf, settle } from '../../apps/api/src/ledger/hold.ts'
import { post, postAll } from '../../apps/api/src/ledger/post.ts'
import { lockPurse } from '../../apps/api/src/ledger/purse.ts'
import { cancelledEnd, completedEnd, failedEnd, type VideoEnd } from '../../apps/api/src/videos/end.ts'
import { yieldedRequeue } from '../../apps/api/src/videos/requeue.ts'
import {
  endVideo,
  type LockedVideo,
  lockVideo,
  requeueVideo,
  startVideo,
} from '../../apps/api/src/videos/transition.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.stop())

const db = () => api.context.db
const system = () => api.context.systemAccounts
const balances = async (accountId: string) => {
  const owned = await readOwned(db(), accountId, 'USD')
  return {
    customer: owned.customer.balanceMicros,
    trial: owned.trial.balanceMicros,
    hold: owned.hold.balanceMicros,
  }
}
const ledger = async (of: TestApi) =>
  (await of.call('GET', '/v1/admin/ledger/check?since=beginning', undefined, { key: of.adminKey })).body
const constraintOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work
  } catch (error) {
    if (error instanceof pg.DatabaseError) return error.constraint ?? error.message
    throw error
  }
  throw new Error('nothing was refused')
}
/** A video row of the account's, for postings made by hand. */
const videoOf = async (accountId: string): Promise<string> => {
  const id = newId('video')
  await db().query({
    text: `insert into video (
      id, account_id, key_id, model, service_tier, resolution, width, height, num_frames, num_steps,
      request, request_hash, video_tokens, currency, price_micros_per_million, multiplier_bps, hold_micros,
      execution_expires_at)
    select
      $1, $2, id, 'by-hand', 'standard', '256px', 16, 16, 5, 10,
      '{}', '', 2, 'USD', 0, 10000, 0,
      now() + interval '1 day'
    from api_key where account_id = $2`,
    values: [id, accountId],
  })
  return id
}
const funded = async (trialMicros: bigint, paidMicros: bigint) => {
  const { accountId, key } = await api.account(trialMicros)
  if (paidMicros > 0n) {
    const funding = {
      accountId,
      currency: 'USD',
      amountMicros: paidMicros,
      idempotencyKey: `top-up:${accountId}`,
    }
    await transaction(db(), (tx) => topUp(tx, funding, system()))
  }
  return { accountId, key }
}
const holdFor = (accountId: string, video: string, amountMicros: bigint) =>
  transaction(db(), async (tx) =>
    postAll(tx, [holdOf(video, amountMicros, await lockPurse(tx, accountId, 'USD')).transfer]),
  )
const settleFor = (accountId: string, video: string, chargeMicros: bigint, rebateMicros = 0n) =>
  transaction(db(), (tx) =>
    settle(tx, { videoId: video, accountId, currency: 'USD', chargeMicros, rebateMicros }, system()),
  )

const underLock = (id: string, work: (video: LockedVideo, tx: Database) => Promise<void>) =>
  transaction(db(), async (tx) => {
    const video = await lockVideo(tx, id)
    if (video === null) throw new Error(`no video ${id}`)
    await work(video, tx)
  })
const endOf = (status: 'completed' | 'failed' | 'cancelled', video: LockedVideo): VideoEnd => {
  switch (status) {
    case 'completed':
      return completedEnd(video, 'videos/none')
    case 'failed':
      return failedEnd({ code: 'internal', message: 'a test' })
    case 'cancelled':
      return cancelledEnd(video, 0)
  }
}

test('a hold takes trial credit first; a settlement charges it first and gives the rest back where it came from', async () => {
  const { accountId } = await funded(100n, 100n)
  const video = await videoOf(accountId)
  await holdFor(accountId, video, 150n)
  expect(await balances(accountId)).toEqual({ trial: 0n, customer: 50n, hold: 150n })
  await settleFor(accountId, video, 120n)
  expect(await balances(accountId)).toEqual({ trial: 0n, customer: 80n, hold: 0n })
  const other = await videoOf(accountId)
  await holdFor(accountId, other, 80n)
  await settleFor(accountId, other, 0n)
  expect(await balances(accountId)).toEqual({ trial: 0n, customer: 80n, hold: 0n })
})

test('a hold larger than the balance writes nothing', async () => {
  const { accountId } = await funded(10n, 10n)
  await expect(holdFor(accountId, await videoOf(accountId), 21n)).rejects.toBeInstanceOf(BalanceTooSmallError)
  expect(await balances(accountId)).toEqual({ trial: 10n, customer: 10n, hold: 0n })
})

test('a charge larger than the hold is refused', async () => {
  const { accountId } = await funded(100n, 0n)
  const video = await videoOf(accountId)
  await holdFor(accountId, video, 50n)
  await expect(settleFor(accountId, video, 51n)).rejects.toBeInstanceOf(RangeError)
  expect(await balances(accountId)).toEqual({ trial: 50n, customer: 0n, hold: 50n })
})

test('a rebate larger than the charge is refused, and one that fits returns to the money that the charge took last', async () => {
  const { accountId } = await funded(100n, 100n)
  const video = await videoOf(accountId)
  await holdFor(accountId, video, 150n)
  for (const rebate of [121n, -1n])
    await expect(settleFor(accountId, video, 120n, rebate)).rejects.toBeInstanceOf(RangeError)
  expect(await balances(accountId)).toEqual({ trial: 0n, customer: 50n, hold: 150n })
  await settleFor(accountId, video, 120n, 30n)
  expect(await balances(accountId)).toEqual({ trial: 10n, customer: 100n, hold: 0n })
})

test('a video is held once and settled once, however many try at the same time', async () => {
  const { accountId } = await funded(1_000n, 0n)
  const video = await videoOf(accountId)
  const holds = await Promise.allSettled(Array.from({ length: 5 }, () => holdFor(accountId, video, 100n)))
  expect(holds.filter((one) => one.status === 'fulfilled')).toHaveLength(1)
  const settles = await Promise.allSettled(Array.from({ length: 5 }, () => settleFor(accountId, video, 60n)))
  expect(settles.filter((one) => one.status === 'fulfilled')).toHaveLength(1)
  expect(await balances(accountId)).toEqual({ trial: 940n, customer: 0n, hold: 0n })
  const again = post(db(), { kind: 'settle', idempotencyKey: 'another key', videoId: video, postings: [] })
  expect(await constraintOf(again)).toBe('transfer_once_per_video')
  // Twice secured: the key names the video alone as well.
  const { rows } = await db().query<{ idempotency_key: string }>({
    text: 'select idempotency_key from transfer where video_id = $1 order by id',
    values: [video],
  })
  expect(rows.map((row) => row.idempotency_key)).toEqual([`hold:${video}`, `settle:${video}`])
})

test('a video that has ended changes its state no more: it is refused before the ledger would refuse it', async () => {
  const { accountId } = await funded(1_000n, 0n)
  for (const ended of ['completed', 'failed', 'cancelled'] as const) {
    const id = await videoOf(accountId)
    await holdFor(accountId, id, 0n)
    if (ended === 'completed') {
      await db().query({
        text: `update video set status = 'dispatched', fence = 1, pool = 'none' where id = $1`,
        values: [id],
      })
    }
    await underLock(id, (video, tx) => endVideo(tx, video, endOf(ended, video), system()))
    for (const next of ['completed', 'failed', 'cancelled'] as const) {
      const again = underLock(id, (video, tx) => endVideo(tx, video, endOf(next, video), system()))
      await expect(again).rejects.toThrow(`cannot go from ${ended} to ${next}`)
    }
    const back = underLock(id, (video, tx) => requeueVideo(tx, video, yieldedRequeue(video)))
    await expect(back).rejects.toThrow(`cannot go from ${ended} to queued`)
    const start = underLock(id, (video, tx) => startVideo(tx, video))
    await expect(start).rejects.toThrow(`cannot go from ${ended} to running`)
  }
})

test('the database refuses a charge larger than the hold', async () => {
  const { accountId } = await funded(1_000n, 0n)
  const id = await videoOf(accountId)
  const charge = db().query({
    text: `update video
      set status = 'failed', ended_at = now(), charged_micros = hold_micros + 1, charged_steps = 1,
        error_code = 'internal'
      where id = $1`,
    values: [id],
  })
  expect(await constraintOf(charge)).toBe('video_charge_within_hold')
})

test('the role the API works as has no right to rewrite the ledger, whatever a trigger would say', async () => {
  const { rows } = await db().query<{ may: boolean }>({
    text: `select has_table_privilege('sluice_app', relation, privilege) as may
      from unnest(array['transfer', 'entry']) relation,
        unnest(array['update', 'delete', 'truncate']) privilege`,
  })
  expect(rows.map(({ may }) => may)).toEqual(Array.from({ length: 6 }, () => false))
})

test('the same top-up twice is one top-up', async () => {
  const { accountId } = await funded(0n, 70n)
  const again = { accountId, currency: 'USD', amountMicros: 70n, idempotencyKey: `top-up:${accountId}` }
  expect(await constraintOf(transaction(db(), (tx) => topUp(tx, again, system())))).toBe(
    'transfer_idempotency_key_key',
  )
  expect((await balances(accountId)).customer).toBe(70n)
})

test('the database refuses a transfer that does not sum to zero', async () => {
  const { accountId } = await funded(0n, 50n)
  const lopsided = transaction(db(), async (tx) => {
    const owned = await lockOwned(tx, accountId, 'USD')
    await post(tx, {
      kind: 'top_up',
      idempotencyKey: 'lopsided',
      videoId: null,
      postings: [{ ledgerAccountId: owned.customer.id, amountMicros: 5n }],
    })
  })
  expect(await constraintOf(lopsided)).toBe('transfer_sums_to_zero')
  expect((await balances(accountId)).customer).toBe(50n)
})

test('the database refuses a negative balance and an entry of nothing', async () => {
  const { accountId } = await funded(0n, 50n)
  const overdraft = transaction(db(), async (tx) => {
    const owned = await lockOwned(tx, accountId, 'USD')
    await post(tx, {
      kind: 'refund',
      idempotencyKey: 'overdraft',
      videoId: null,
      postings: [
        { ledgerAccountId: owned.customer.id, amountMicros: -51n },
        { ledgerAccountId: system().funding, amountMicros: 51n },
      ],
    })
  })
  expect(await constraintOf(overdraft)).toBe('ledger_account_balance_check')
  const transfer = (await db().query<{ id: string }>({ text: 'select id from transfer limit 1' })).rows[0]?.id
  const nothing = db().query({
    text: 'insert into entry (transfer_id, ledger_account_id, amount) values ($1, $2, 0)',
    values: [transfer, system().revenue],
  })
  expect(await constraintOf(nothing)).toBe('entry_amount_check')
})

test('nobody rewrites the ledger: not the role the API works as, and not its owner', async () => {
  for (const role of ['sluice_app', 'owner'] as const) {
    const client = new pg.Client({
      connectionString: api.database.databaseUrl,
      ...(role === 'sluice_app' ? { options: '-c role=sluice_app' } : {}),
    })
    await client.connect()
    try {
      for (const table of ['transfer', 'entry']) {
        for (const sql of [
          `update ${table} set ${table === 'entry' ? 'amount = 1' : "kind = 'hold'"}`,
          `delete from ${table}`,
          `truncate ${table} cascade`,
        ]) {
          await expect(client.query(sql), `${role}: ${sql}`).rejects.toMatchObject({ code: '42501' })
        }
      }
    } finally {
      await client.end()
    }
  }
})

test('the role GPU hosts get sees schema bullmq alone', async () => {
  const client = new pg.Client({ connectionString: api.database.queueUrl })
  await client.connect()
  try {
    for (const sql of [
      'select * from public.video',
      'select * from public.entry',
      'select * from public.api_key',
      "insert into public.ledger_account (kind, currency) values ('revenue', 'EUR')",
      'create table public.mine (x int)',
      'create table bullmq.mine (x int)',
      'set role sluice_app',
    ]) {
      await expect(client.query(sql), sql).rejects.toMatchObject({ code: '42501' })
    }
    if (api.config.queue.backend === 'postgres') {
      await client.query('select count(*) from bullmq.bullmq_jobs').catch((error: pg.DatabaseError) => {
        // The name is BullMQ's business; the right to look is what counts.
        expect(error.code).not.toBe('42501')
      })
    }
  } finally {
    await client.end()
  }
})

test('the ledger check finds what was tampered with behind its back', async () => {
  await using api = await startTestApi()
  const { key } = await api.account(10_000_000n)
  const { id } = (await api.call('POST', '/v1/videos', { prompt: 'x', num_frames: 5 }, { key })).body
  expect(await ledger(api)).toMatchObject({ ok: true })
  const admin = new pg.Client({ connectionString: api.database.adminUrl })
  await admin.connect()
  try {
    const tampered: [string, string, string][] = [
      [
        "update ledger_account set balance = balance + 1 where kind = 'trial'",
        "update ledger_account set balance = balance - 1 where kind = 'trial'",
        'balances_that_differ_from_their_entries',
      ],
      [
        `update video set hold_micros = hold_micros + 1 where id = '${id}'`,
        `update video set hold_micros = hold_micros - 1 where id = '${id}'`,
        'holds_that_differ_from_their_video',
      ],
    ]
    for (const [breakIt, mendIt, violation] of tampered) {
      await admin.query(breakIt)
      const broken = await ledger(api)
      expect(broken.ok).toBe(false)
      expect(broken.violations[violation]).toBeGreaterThan(0)
      await admin.query(mendIt)
      expect(await ledger(api)).toMatchObject({ ok: true })
    }
  } finally {
    await admin.end()
  }
  await api.call('POST', `/v1/videos/${id}/cancel`, undefined, { key })
})

test('a database whose ledger is kept in another currency refuses to start', async () => {
  await expect(api.replica({ currency: 'EUR' })).rejects.toThrow(
    /SLUICE_CURRENCY is "EUR": this database keeps its ledger in USD/,
  )
})

test('a hundred submissions at once against money for ten: exactly ten are taken, and nothing is overspent', async () => {
  await using api = await startTestApi()
  // 5 frames x 50 steps = 25,200 tokens = 5,040 micro-units each
  const { key } = await api.account(50_400n)
  const answers = await Promise.all(
    Array.from({ length: 100 }, () =>
      api.call('POST', '/v1/videos', { prompt: 'x', num_frames: 5 }, { key }),
    ),
  )
  expect(answers.filter((answer) => answer.status === 200)).toHaveLength(10)
  expect(answers.filter((answer) => answer.status === 402)).toHaveLength(90)
  expect((await api.call('GET', '/v1/credits', undefined, { key })).body).toMatchObject({
    balance: { amount: '0' },
    held: { amount: '0.0504' },
  })
  expect(await ledger(api)).toMatchObject({ ok: true })
})
