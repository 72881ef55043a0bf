import { newClaim, newId } from '@sluice/shared/ids'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runSql } from '../../bench/rig/accounts.ts'
import { eventually } from '../support/eventually.ts'
import { type HandAttempt, HandWorker } from '../support/hand-worker.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi
let worker: HandWorker

beforeAll(async () => {
  api = await startTestApi()
  worker = new HandWorker(api, { slots: 8 })
  await worker.heartbeat()
})
afterAll(async () => {
  await worker?.close()
  await api?.stop()
})

const STEPS = 10
const CONTINUE = { verdict: 'continue' }
const STOP = { verdict: 'stop' }
const progress = (step: number, remainingMs: number | null = null) =>
  ({ type: 'progress', phase: 'denoise', step, remaining_ms: remainingMs }) as const

async function fetchOne(): Promise<HandAttempt> {
  const { status } = await api.call('POST', '/v1/videos', {
    ...{ prompt: 'a boat', num_frames: 5, num_steps: STEPS },
  })
  expect(status).toBe(200)
  return worker.fetch()
}

async function running(): Promise<HandAttempt> {
  const attempt = await fetchOne()
  await attempt.report({ type: 'taken', slot: 0 })
  await attempt.report({ type: 'started' })
  return attempt
}

/** The video and its attempt as they stand. */
async function read({ job }: HandAttempt): Promise<Record<string, unknown> & { heartbeat_at: Date }> {
  const { rows } = await api.context.db.query<Record<string, unknown> & { heartbeat_at: Date }>({
    text: `
      select a.*, v.step as shown_step, v.status, v.error_code
      from video v join attempt a on a.video_id = v.id and a.fence = v.fence
      where v.id = $1`,
    values: [job.video],
  })
  if (rows[0] === undefined) throw new Error(`no attempt at ${job.video}`)
  return rows[0]
}

async function end(...attempts: readonly HandAttempt[]): Promise<void> {
  for (const { job } of attempts) await api.call('DELETE', `/v1/videos/${job.video}`)
  for (const attempt of attempts) await attempt.reportRaw({ type: 'cancelled', step: 0 })
}

test('what a worker’s attempts say in one request is applied and answered for each as it would be alone', async () => {
  const [first, second, third, fourth] = [
    await running(),
    await running(),
    await fetchOne(),
    await fetchOne(),
  ]
  await third.report({ type: 'taken', slot: 2 })
  await api.call('POST', `/v1/videos/${second.job.video}/cancel`)
  const answers = await worker.reportGroup([
    [first, progress(3, 5_000)],
    [second, progress(4)],
    [third, { type: 'started' }],
    [fourth, { type: 'taken', slot: 3 }],
  ])
  expect(answers).toEqual([
    CONTINUE,
    { verdict: 'cancel' },
    CONTINUE,
    { verdict: 'continue', assignment: expect.objectContaining({ resume: null }) },
  ])
  expect(await read(first)).toMatchObject({ phase: 'denoise', step: 3, shown_step: 3, status: 'running' })
  expect(await read(second)).toMatchObject({ step: 4, shown_step: 4, started_at: expect.any(Date) })
  expect(await read(third)).toMatchObject({ status: 'running', slot: 2, started_at: expect.any(Date) })
  expect(await read(fourth)).toMatchObject({ slot: 3, claim: fourth.claim, worker_id: worker.id })
  // Of one attempt in order, whatever it says, and a step never falls.
  expect(
    await worker.reportGroup([
      [first, progress(7)],
      [first, progress(5)],
      [first, { type: 'checkpoint', step: 6, bytes: 1 }],
      [first, { type: 'released' }],
      [second, { type: 'cancelled', step: 4 }],
      [third, { type: 'finished', result: await third.upload() }],
    ]),
  ).toEqual(Array.from({ length: 6 }, () => CONTINUE))
  expect(await read(first)).toMatchObject({ step: 7, shown_step: 7, released_at: expect.any(Date) })
  expect(await read(second)).toMatchObject({ status: 'cancelled', error_code: 'cancelled' })
  expect(await read(third)).toMatchObject({ status: 'completed' })
  await end(first, fourth)
})

test('one report of a group that is refused, comes too late or is no report says nothing about the others', async () => {
  const [good, other, taken] = [await running(), await running(), await fetchOne()]
  const zombie = worker.own(other.job, newClaim())
  const unknown = { ...other, job: { ...other.job, video: newId('video') } }
  const older = { ...other, job: { ...other.job, fence: other.job.fence + 1 } }
  const grouped = (attempt: HandAttempt, body: Parameters<typeof worker.grouped>[1]) =>
    worker.grouped(attempt, body)
  const result = await other.upload()
  const { status, body } = await worker.reportGroupRaw([
    'nonsense',
    { ...grouped(other, progress(2)), video: '../../etc' },
    { ...grouped(other, progress(2)), report: { ...grouped(other, progress(2)).report, step: -1 } },
    grouped(zombie, progress(9)),
    grouped(zombie, { type: 'started' }),
    grouped(unknown, progress(9)),
    grouped(older, { type: 'released' }),
    grouped(other, { type: 'finished', result: { ...result, claim: newClaim() } }),
    grouped(good, progress(4)),
    grouped(taken, { type: 'taken', slot: 1 }),
  ])
  expect(status).toBe(200)
  const refused = (param: string | null) => ({
    status: 400,
    error: expect.objectContaining({ type: 'invalid_request_error', param }),
  })
  expect(body.answers).toEqual([
    refused(null),
    refused('video'),
    refused('report.step'),
    ...[STOP, STOP, STOP, STOP],
    refused('result.claim'),
    CONTINUE,
    { verdict: 'continue', assignment: expect.anything() },
  ])
  expect(await read(other)).toMatchObject({ step: 0, shown_step: 0, claim: other.claim, released_at: null })
  expect(await read(good)).toMatchObject({ step: 4 })
  await end(good, other, taken)
})

test('of a group that the database refuses each is applied alone, and the one at fault hears it', async () => {
  const [bad, good] = [await running(), await running()]
  await runSql(api.database.adminUrl, [
    `alter table attempt add constraint no_step check (video_id <> '${bad.job.video}' or step < 5)`,
  ])
  expect(
    await worker.reportGroup([
      [bad, progress(5)],
      [good, progress(5)],
    ]),
  ).toEqual([
    { status: 400, error: expect.objectContaining({ message: expect.stringContaining('no_step') }) },
    CONTINUE,
  ])
  expect([await read(bad), await read(good)]).toMatchObject([{ step: 0 }, { step: 5 }])
  await end(bad, good)
})

test('a report waits for its own video only: one that is locked holds up none that comes with it, nor its answer', async () => {
  const [locked, free, taken] = [await running(), await running(), await fetchOne()]
  await using client = await openTransaction()
  await client.query('select from video where id = $1 for update', [locked.job.video])
  await api.call('POST', `/v1/videos/${free.job.video}/cancel`)
  // The lock is held until all are answered.
  expect(
    await worker.reportGroup([
      [locked, progress(3)],
      [free, progress(3)],
      [taken, { type: 'taken', slot: 0 }],
    ]),
  ).toMatchObject([{ status: 503, error: { code: 'unavailable' } }, { verdict: 'cancel' }, CONTINUE])
  expect([await read(free), await read(taken)]).toMatchObject([{ step: 3 }, { claim: taken.claim }])
  await client.query('commit')
  expect(await worker.reportGroup([[locked, progress(4)]])).toEqual([CONTINUE])
  expect(await read(locked)).toMatchObject({ step: 4 })
  await end(locked, free, taken)
})

test('what a group was told to say again is not begun later: nothing piles up behind a video that is locked', async () => {
  const locked = await running()
  const client = await openTransaction()
  await client.query('select from video where id = $1 for update', [locked.job.video])
  const said = await worker.reportGroup([
    [locked, progress(3)],
    [locked, progress(7)],
    [locked, progress(9)],
  ])
  expect(said).toMatchObject(Array.from({ length: 3 }, () => ({ status: 503 })))
  await client.query('commit')
  await client[Symbol.asyncDispose]()
  const seen = async () => (await read(locked)).step
  await eventually(seen, (step) => step === 3)
  // Whatever waited behind it has been looked at once a later report is answered.
  expect(await worker.reportGroup([[locked, progress(4)]])).toEqual([CONTINUE])
  expect(await seen()).toBe(4)
  await end(locked)
})

test('a heartbeat waits for no attempt that another call writes, and renews the others', async () => {
  const [locked, free] = [await running(), await running()]
  const named = [locked.owned, free.owned]
  // Of one that was heard of just now nothing is written.
  const oldMs = api.config.timings.leaseMs / 10
  await api.context.db.query({
    text: `update attempt set heartbeat_at = now() - $1::int * interval '1 millisecond' where ended_at is null`,
    values: [oldMs],
  })
  const heardMsAgo = async (attempt: HandAttempt) => Date.now() - (await read(attempt)).heartbeat_at.getTime()
  {
    await using client = await openTransaction()
    await client.query('select from attempt where video_id = $1 for update', [locked.job.video])
    // The lock is held until it is answered.
    const { attempts } = await worker.heartbeat(named)
    expect(attempts.map(({ verdict }) => verdict)).toEqual(['continue', 'continue'])
  }
  expect(await heardMsAgo(free)).toBeLessThan(oldMs / 2)
  expect(await heardMsAgo(locked)).toBeGreaterThan(oldMs / 2)
  await worker.heartbeat(named)
  expect(await heardMsAgo(locked)).toBeLessThan(oldMs / 2)
  await end(locked, free)
})

test('a group is taken from a worker token alone', async () => {
  const attempt = await running()
  for (const key of [api.key, api.adminKey])
    expect(await worker.reportGroupRaw([worker.grouped(attempt, progress(3))], key)).toMatchObject({
      status: 403,
    })
  expect(await worker.reportGroupRaw([])).toMatchObject({ status: 400 })
  expect(await read(attempt)).toMatchObject({ step: 0 })
  await end(attempt)
})

async function openTransaction(): Promise<pg.Client & AsyncDisposable> {
  const client = new pg.Client(api.database.adminUrl)
  await client.connect()
  await client.query('begin')
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() })
}
