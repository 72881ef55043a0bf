import { TIME_LIMITS } from '@sluice/shared/time-limits'
import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { openDatabase, transaction } from '../../apps/api/src/db/database.ts'
import { HeldUpError } from '../../apps/api/src/db/held-up.ts'
import type { AccountKey } from '../../apps/api/src/keys/authenticate.ts'
import { checkLedger } from '../../apps/api/src/ledger/check.ts'
import { createRequestSchema } from '../../apps/api/src/submissions/create-request.ts'
import { insertGroupInTurn, type SubmittedVideo } from '../../apps/api/src/submissions/insert-group.ts'
import type { PreparedSubmission } from '../../apps/api/src/submissions/prepared.ts'
import {
  openSubmissionGroups,
  type SubmitContext,
  submitVideo,
} from '../../apps/api/src/submissions/submit.ts'
import { TenantGroups } from '../../apps/api/src/submissions/tenant-groups.ts'
import { TurnMissedError, waitForTurn } from '../../apps/api/src/submissions/turn.ts'
import type { Video } from '../../apps/api/src/videos/video.ts'
import { eventually } from '../support/eventually.ts'
import { type HandDrivenService, startHandDrivenService } from '../support/hand-driven-service.ts'

const RICH_MICROS = 1_000_000_000n

let service: HandDrivenService
let key: AccountKey

beforeAll(async () => {
  service = await startHandDrivenService()
})
afterAll(() => service?.[Symbol.asyncDispose]())
beforeEach(async () => {
  key = await service.account(RICH_MICROS)
})

interface Given {
  by?: AccountKey
  prompt?: string
  idempotencyKey?: string
  callerGone?: AbortSignal
  metadata?: Record<string, string>
  maxTokens?: number
  /** Through that other process. */
  through?: SubmitContext
}

function submit({
  by = key,
  prompt = 'together',
  idempotencyKey,
  callerGone,
  metadata,
  maxTokens,
  through = service.context,
}: Given = {}) {
  return submitVideo(through, by, {
    request: createRequestSchema.parse({
      prompt,
      num_frames: 5,
      num_steps: 2,
      metadata,
      max_tokens: maxTokens,
    }),
    idempotencyKey: idempotencyKey ?? null,
    tryNumber: null,
    keyHash: () => Buffer.alloc(32),
    callerGone: callerGone ?? new AbortController().signal,
    remixedFromVideoId: null,
  })
}

/** What becomes of submissions that arrive in the same turn: one group decides them. */
const inOneGroup = (given: readonly Given[]) => Promise.allSettled(given.map(submit))

async function lock(holder: pg.PoolClient, keys: readonly AccountKey[]): Promise<void> {
  await holder.query('begin')
  await holder.query('select from ledger_account where account_id = any ($1) for update', [
    keys.map(({ accountId }) => accountId),
  ])
}

/** Another process on the same database. */
const otherProcess = (): SubmitContext => ({
  ...service.context,
  submissionGroups: openSubmissionGroups(service.context),
})

/** How many statements wait for a lock. */
async function waitsForLock(): Promise<number> {
  const { rows } = await service.owner.query({
    text: `select distinct pid from pg_locks join pg_stat_activity using (pid)
      where not granted and datname = current_database()`,
  })
  return rows.length
}

const videoOf = (outcome: PromiseSettledResult<Video> | undefined): Video => {
  if (outcome?.status !== 'fulfilled') throw new Error(`not submitted: ${outcome?.reason}`)
  return outcome.value
}
const commitsOf = (outcomes: readonly PromiseSettledResult<Video>[]) =>
  new Set(outcomes.flatMap((one) => (one.status === 'fulfilled' ? [one.value.created_at.getTime()] : [])))
    .size
const refusals = (outcomes: readonly PromiseSettledResult<Video>[]) =>
  outcomes.map((one) => (one.status === 'rejected' ? one.reason.code : null))

test('submissions that arrive together share one commit, whoever they are of, and each has its hold', async () => {
  const others = await Promise.all(Array.from({ length: 4 }, () => service.account(RICH_MICROS)))
  const outcomes = await inOneGroup([key, ...others, key, key].map((by) => ({ by })))
  expect(commitsOf(outcomes)).toBe(1)
  const ids = outcomes.map((outcome) => videoOf(outcome).id)
  expect(new Set(ids).size).toBe(7)
  // An account's are queued in the order in which they came.
  expect([...(await service.readVideos(key.accountId)).keys()].sort()).toEqual([ids[0], ids[5], ids[6]])
  expect(await checkLedger(service.context.db)).toMatchObject({ ok: true })
})

test('what a submission answers is the row that is stored, to the last column', async () => {
  const outcomes = await inOneGroup([
    { metadata: { shot: '12', a: 'b' }, idempotencyKey: 'whole' },
    { prompt: '"quoted" \\ and ümlaut \u2028' },
  ])
  for (const outcome of outcomes) {
    const { passed_over_at, ...stored } = (await service.readVideo(videoOf(outcome).id)) as Video & {
      passed_over_at: Date | null
    }
    expect(passed_over_at).toBeNull()
    expect(videoOf(outcome)).toEqual(stored)
  }
})

test('two of one group with the same Idempotency-Key are one video; another request with it is refused', async () => {
  const other = await service.account(RICH_MICROS)
  const outcomes = await inOneGroup([
    { idempotencyKey: 'same' },
    { idempotencyKey: 'same' },
    { idempotencyKey: 'same', prompt: 'another' },
    { idempotencyKey: 'same', by: other },
  ])
  expect(commitsOf(outcomes)).toBe(1)
  const [first, second, , ofOther] = outcomes
  expect(videoOf(second).id).toBe(videoOf(first).id)
  expect(videoOf(ofOther).id).not.toBe(videoOf(first).id)
  expect(refusals(outcomes)).toEqual([null, null, 'idempotency_conflict', null])
  expect((await service.readVideos(key.accountId)).size).toBe(1)
  const repeated = await inOneGroup([
    { idempotencyKey: 'same' },
    { idempotencyKey: 'same', prompt: 'another' },
  ])
  expect(videoOf(repeated[0]).id).toBe(videoOf(first).id)
  expect(refusals(repeated)).toEqual([null, 'idempotency_conflict'])
})

test('of an Idempotency-Key whose first submission in a group is refused, the next is decided for itself', async () => {
  const outcomes = await inOneGroup([
    { idempotencyKey: 'again', maxTokens: 1 },
    { idempotencyKey: 'again' },
    { idempotencyKey: 'again' },
  ])
  expect(refusals(outcomes)).toEqual(['max_tokens_too_small', null, null])
  expect(videoOf(outcomes[2]).id).toBe(videoOf(outcomes[1]).id)
})

test('with money for two of four in a group the first two are taken, and the neighbours’ are not touched', async () => {
  const { hold_micros: costMicros } = await submit()
  const poor = await service.account(2n * costMicros)
  const outcomes = await inOneGroup([poor, key, poor, poor, key, poor].map((by) => ({ by })))
  expect(refusals(outcomes)).toEqual([null, null, null, 'insufficient_balance', null, 'insufficient_balance'])
  expect(commitsOf(outcomes)).toBe(1)
  expect((await service.readVideos(poor.accountId)).size).toBe(2)
  expect(await checkLedger(service.context.db)).toMatchObject({ ok: true })
})

test('a budget for one of two in a group takes one, and a queue with room for one of two takes one', async () => {
  const tokens = await tokensOf(await submit())
  const budgeted = await service.account(RICH_MICROS)
  await service.owner.query({
    text: 'update api_key set token_budget = $2 where id = $1',
    values: [budgeted.id, tokens],
  })
  const limited = await service.account(RICH_MICROS)
  const withLimits = {
    budgeted: { ...budgeted, limits: { ...budgeted.limits, tokenBudget: tokens } },
    limited: { ...limited, limits: { ...limited.limits, queuedMax: 1 } },
  }
  const outcomes = await inOneGroup([
    { by: withLimits.budgeted },
    { by: withLimits.limited },
    { by: withLimits.budgeted },
    { by: withLimits.limited },
    {},
  ])
  expect(refusals(outcomes)).toEqual([null, null, 'budget_exceeded', 'queue_full', null])
  expect(commitsOf(outcomes)).toBe(1)
  expect(await checkLedger(service.context.db)).toMatchObject({ ok: true })
})

test('a group that the database refuses is tried again one by one: only what it refuses is lost', async () => {
  await service.owner.query({
    text: `create function refuse_poison() returns trigger language plpgsql as $$
      begin
        if new.request ->> 'prompt' = 'poison' then raise exception 'poison'; end if;
        return new;
      end $$`,
  })
  await service.owner.query({
    text: 'create trigger poison before insert on video for each row execute function refuse_poison()',
  })
  try {
    const other = await service.account(RICH_MICROS)
    const outcomes = await inOneGroup([{}, { prompt: 'poison' }, { by: other }, { idempotencyKey: 'after' }])
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled'])
    expect(outcomes[1]).toMatchObject({ reason: { message: 'poison' } })
    expect((await service.readVideos(key.accountId)).size).toBe(2)
    expect(await checkLedger(service.context.db)).toMatchObject({ ok: true })
  } finally {
    await service.owner.query({ text: 'drop trigger poison on video' })
  }
})

test('a caller that goes away while it waits for its group gets no video, and its neighbours do', async () => {
  const gone = new AbortController()
  const deciding = inOneGroup([{}, { callerGone: gone.signal }, {}])
  gone.abort(new Error('gone'))
  const outcomes = await deciding
  expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(outcomes[1]).toMatchObject({ reason: { message: 'gone' } })
  expect((await service.readVideos(key.accountId)).size).toBe(2)
})

test('an account that somebody has locked keeps nobody waiting who came together with it', async () => {
  const other = await service.account(RICH_MICROS)
  const holder = await service.context.internal.db.connect()
  try {
    await lock(holder, [key])
    const [late, first, second] = [submit(), submit({ by: other }), submit({ by: other })]
    expect((await first).created_at).toEqual((await second).created_at)
    await holder.query('commit')
    expect((await late).status).toBe('queued')
  } finally {
    holder.release()
  }
})

test('what comes for several accounts while another process is in its turn shares one commit after it', async () => {
  const other = await service.account(RICH_MICROS)
  const holder = await service.context.internal.db.connect()
  try {
    await lock(holder, [key, other])
    await holder.query('select from submission_turn for update')
    const early = inOneGroup([{}, { by: other }])
    await eventually(waitsForLock, (count) => count === 1)
    const late = inOneGroup([{}, { by: other }, {}])
    await holder.query('commit')
    const outcomes = [...(await early), ...(await late)]
    expect(refusals(outcomes)).toEqual([null, null, null, null, null])
    expect(commitsOf(outcomes)).toBe(1)
  } finally {
    holder.release()
  }
})

test('a process that hangs in its turn keeps only those waiting whom it has locked', async () => {
  const other = await service.account(RICH_MICROS)
  const holder = await service.context.internal.db.connect()
  try {
    await lock(holder, [key])
    await holder.query('select from submission_turn for update')
    const [late, first, second] = [submit(), submit({ by: other }), submit({ by: other })]
    await Promise.all([first, second])
    expect((await submit({ by: other })).status).toBe('queued')
    await holder.query('commit')
    expect((await late).status).toBe('queued')
  } finally {
    holder.release()
  }
})

test('who has another row of one account, such as a budget, keeps nobody waiting who came together with it, and that account for as long', async () => {
  const other = await service.account(RICH_MICROS)
  const budgeted = { ...key, limits: { ...key.limits, tokenBudget: 1_000_000n } }
  await service.owner.query({
    text: 'update api_key set token_budget = $2 where id = $1',
    values: [key.id, budgeted.limits.tokenBudget],
  })
  await submit({ by: budgeted })
  const holder = await service.context.internal.db.connect()
  try {
    await holder.query('begin')
    await holder.query('select from key_budget where key_id = $1 for update', [key.id])
    const late = inOneGroup([{ by: budgeted }, { by: budgeted }])
    const [first, second] = [submit({ by: other }), submit({ by: other })]
    expect((await Promise.all([first, second])).map(({ status }) => status)).toEqual(['queued', 'queued'])
    // By itself, for longer than a group waits.
    await eventually(waitsForLock, (count) => count === 1)
    await holder.query('commit')
    expect(refusals(await late)).toEqual([null, null])
  } finally {
    holder.release()
  }
})

test('of a group in which somebody has rows of several accounts the others share one commit, however many those are', async () => {
  const accounts = await Promise.all(Array.from({ length: 12 }, () => service.account(RICH_MICROS)))
  const held = accounts.slice(0, 6)
  const holder = await service.context.internal.db.connect()
  try {
    await holder.query('begin')
    // As an operator does who changes them.
    await holder.query('update account set weight = weight where id = any ($1)', [
      held.map(({ accountId }) => accountId),
    ])
    const late = inOneGroup(held.map((by) => ({ by })))
    const outcomes = await inOneGroup(accounts.slice(6).flatMap((by) => [{ by }, { by }]))
    expect(refusals(outcomes)).toEqual(Array(12).fill(null))
    expect(commitsOf(outcomes)).toBe(1)
    await holder.query('commit')
    expect(refusals(await late)).toEqual(Array(6).fill(null))
    expect(await checkLedger(service.context.db)).toMatchObject({ ok: true })
  } finally {
    holder.release()
  }
})

/** A caller of whom the process asks so often whether it is gone, and stands still for so long each time. */
function stallingCaller(...stallsMs: number[]) {
  const stalls = { count: 0 }
  const callerGone = new AbortController().signal
  callerGone.throwIfAborted = () => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, stallsMs[stalls.count] ?? 0)
    stalls.count += 1
  }
  return { stalls, callerGone }
}

test('a process that stands still with accounts locked loses its group to the database, and does it again', async () => {
  const { stalls, callerGone } = stallingCaller(TIME_LIMITS.database.groupIdleMs + 500)
  const outcomes = await inOneGroup([{ callerGone }, {}])
  expect(refusals(outcomes)).toEqual([null, null])
  expect(stalls.count).toBe(2)
  expect((await service.readVideos(key.accountId)).size).toBe(2)
  expect(await checkLedger(service.context.db)).toMatchObject({ ok: true })
})

test('what ended a transaction in a hurry is known also where the driver only says that the connection broke', async () => {
  const { db } = service.context
  const hung = transaction(
    db,
    async (tx) => {
      const pid = (await tx.query({ text: 'select pg_backend_pid() as pid' })).rows[0]?.pid
      const isThere = async () =>
        (await service.owner.query({ text: 'select from pg_stat_activity where pid = $1', values: [pid] }))
          .rowCount
      await eventually(isThere, (count) => count === 0)
      await tx.query({ text: 'select 1' })
    },
    { hurry: { lockMs: 100, idleMs: 100 } },
  )
  await expect(hung).rejects.toThrow(HeldUpError)
})

test('a process knows that its turn was slow', async () => {
  const seen: boolean[] = []
  const submissionGroups = new TenantGroups<PreparedSubmission, SubmittedVideo>({
    tenantOf: ({ key: by }) => by.accountId,
    work: async (group) => {
      const { outcomes, wasSlow } = await insertGroupInTurn(service.context, () => group)
      seen.push(wasSlow)
      return outcomes
    },
    workInTurn: () => Promise.reject(new Error('no tenant is busy here')),
    faultOf: () => 'pieces',
    tooLate: () => new Error('nobody waits for a place here'),
    ownPlaceMsMax: 60_000,
    groupsMax: { together: 1, apart: 1, patient: 1 },
    piecesMax: 1,
  })
  const { callerGone } = stallingCaller(150)
  expect((await submit({ callerGone, through: { ...service.context, submissionGroups } })).status).toBe(
    'queued',
  )
  expect(seen).toEqual([true])
})

test('a turn that does not come is no outage of the database', async () => {
  const outcomes: unknown[] = []
  const db = openDatabase({
    url: service.databaseUrl,
    connectionsMax: 2,
    onError: () => {},
    onOutcome: (unavailable) => outcomes.push(unavailable),
  })
  const holder = await db.connect()
  try {
    await holder.query('begin')
    await holder.query('select from submission_turn for update')
    outcomes.length = 0
    await expect(transaction(db, waitForTurn)).rejects.toThrow(TurnMissedError)
    expect(outcomes.filter((outcome) => outcome !== null)).toEqual([])
    await holder.query('commit')
    // What comes after it in the transaction waits for no lock as long as others for the turn.
    const read = transaction(db, async (tx) => {
      const turn = await waitForTurn(tx)
      const { rows } = await tx.query({ text: 'show lock_timeout' })
      return { turn, rows }
    })
    expect(await read).toEqual({ turn: { wasFree: true }, rows: [{ lock_timeout: '100ms' }] })
  } finally {
    holder.release()
    await db.end()
  }
})

test('three processes that submit for the same accounts take every submission once, whoever waits for whom', async () => {
  const accounts = [
    key,
    ...(await Promise.all(Array.from({ length: 4 }, () => service.account(RICH_MICROS)))),
  ]
  const processes = [service.context, otherProcess(), otherProcess()]
  const submitAgain = async (through: SubmitContext, turn: number) => {
    const by = accounts[turn % accounts.length] ?? key
    const outcomes = [
      await submit({ by, through }),
      await submit({ by, through, idempotencyKey: `k${turn}` }),
    ]
    return outcomes.map(({ id }) => id)
  }
  const ids = await Promise.all(
    processes.flatMap((through) => Array.from({ length: 20 }, (_, turn) => submitAgain(through, turn))),
  )
  const stored = await Promise.all(accounts.map(({ accountId }) => service.readVideos(accountId)))
  // Of the same Idempotency-Key through three processes is one video.
  expect(stored.map(({ size }) => size)).toEqual(accounts.map(() => 4 * 3 + 4))
  expect(new Set(stored.flatMap((videos) => [...videos.keys()]))).toEqual(new Set(ids.flat()))
  expect(await checkLedger(service.context.db)).toMatchObject({ ok: true })
})

const tokensOf = async (video: Video) => video.video_tokens * BigInt(video.num_steps)
