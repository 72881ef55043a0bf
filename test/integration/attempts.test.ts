import { type FailureCode, UPLOAD_CONTENT_TYPES } from '@sluice/shared/attempt-contract'
import { newClaim } from '@sluice/shared/ids'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { giveUpAttempt } from '../../apps/api/src/attempts/give-up.ts'
import { attemptPrefix, OUTPUT_FILES } from '../../apps/api/src/videos/video.ts'
import { eventually } from '../support/eventually.ts'
import { type HandAttempt, HandWorker } from '../support/hand-worker.ts'
import { recoverSilent } from '../support/recover-silent.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi
let worker: HandWorker
let poolNumber = 0

beforeAll(async () => {
  api = await startTestApi({ attemptsMax: 3 })
})
afterAll(() => api.stop())
beforeEach(async () => {
  worker = new HandWorker(api, { pool: `hand${poolNumber++}` })
  await worker.heartbeat()
})
afterEach(async () => {
  // Gone for the gate, so that the next test's videos go to the next test's worker.
  await worker.heartbeat([], { draining: true })
  await worker.close()
})

const submit = async (fields: Record<string, unknown> = {}): Promise<string> => {
  const answer = await api.call('POST', '/v1/videos', {
    prompt: 'a paper boat',
    num_frames: 5,
    num_steps: 10,
    ...fields,
  })
  expect(answer.body).toMatchObject({ status: 'queued' })
  return answer.body.id
}
const admin = async (id: string) =>
  (await api.call('GET', `/v1/admin/videos/${id}`, undefined, { key: api.adminKey })).body
const video = async (id: string) => (await api.call('GET', `/v1/videos/${id}`)).body
const ledgerOk = async () =>
  (await api.call('GET', '/v1/admin/ledger/check?since=beginning', undefined, { key: api.adminKey })).body
const transfersOf = async (id: string): Promise<string[]> =>
  (await admin(id)).transfers.map((transfer: { kind: string }) => transfer.kind)
const age = (id: string, column: string, seconds: number) =>
  api.context.db.query({
    text: `update ${column === 'heartbeat_at' ? 'attempt' : 'video'} set ${column} = now() - make_interval(secs => $2)
    where ${column === 'heartbeat_at' ? 'video_id' : 'id'} = $1`,
    values: [id, seconds],
  })

test('a finished video is charged for every generated token, once, and its files are its own', async () => {
  const id = await submit()
  const attempt = await worker.fetch()
  expect(attempt.job).toEqual({ video: id, fence: 1, pool: expect.any(String), model: 'animatic' })
  const result = await attempt.upload()
  expect(await attempt.report({ type: 'started' })).toEqual({ verdict: 'continue' })
  expect(await attempt.report({ type: 'progress', phase: 'denoise', step: 4, remaining_ms: 600 })).toEqual({
    verdict: 'continue',
  })
  expect(await video(id)).toMatchObject({ status: 'in_progress', progress: 40, cost: { state: 'held' } })
  await attempt.report({ type: 'released' })
  await attempt.report({ type: 'finished', result })
  const done = await video(id)
  expect(done).toMatchObject({ status: 'completed', progress: 100, error: null, cost: { state: 'charged' } })
  // 5 frames = 2 latent frames x 12 x 21 positions x 10 steps
  expect(done.usage).toEqual({ video_tokens: 504, steps: 10, generated_tokens: 5_040 })
  // 5,040 tokens at 0.20 per million, rounded up to the micro-unit
  expect(done.cost).toEqual({ amount: '0.001008', currency: 'USD', state: 'charged' })
  const content = await fetch(`${api.url}/v1/videos/${id}/content`, {
    headers: { authorization: `Bearer ${api.key}` },
  })
  expect(await content.text()).toBe(`mp4 of ${id} ${attempt.claim}`)
  expect(await transfersOf(id)).toEqual(['hold', 'settle'])
  expect(await ledgerOk()).toMatchObject({ ok: true })
})

test('finished may be repeated, arrive before started, and settles once', async () => {
  const id = await submit()
  const attempt = await worker.fetch()
  const result = await attempt.upload()
  await Promise.all(Array.from({ length: 8 }, () => attempt.reportRaw({ type: 'finished', result })))
  expect((await attempt.reportRaw({ type: 'started' })).body).toEqual({ verdict: 'stop' })
  expect(await video(id)).toMatchObject({ status: 'completed' })
  expect(await transfersOf(id)).toEqual(['hold', 'settle'])
  // Nor is it taken again, though its fence is still the video's.
  expect(await attempt.report({ type: 'taken', slot: 5 })).toEqual({ verdict: 'stop' })
})

test('a zombie with an older fence is answered stop and nothing is written', async () => {
  const id = await submit()
  const zombie = await worker.fetch()
  const result = await zombie.upload()
  await giveUpWithoutResult(id, 1)
  const heir = await worker.fetch()
  expect(heir.job).toMatchObject({ video: id })
  expect(heir.job.fence).toBeGreaterThan(zombie.job.fence)
  const before = await admin(id)
  for (const body of [
    { type: 'taken', slot: 1 },
    { type: 'started' },
    { type: 'progress', phase: 'denoise', step: 9, remaining_ms: 0 },
    { type: 'checkpoint', step: 9, bytes: 1 },
    { type: 'released' },
    { type: 'finished', result },
    { type: 'failed', code: 'internal', message: 'x', retryable: false, step: 1 },
    { type: 'cancelled', step: 1 },
    { type: 'yielded', step: 1 },
  ] as const) {
    expect(await zombie.report(body)).toEqual({ verdict: 'stop' })
  }
  // The clock goes on.
  expect({ ...(await admin(id)), eta_seconds: null }).toEqual({ ...before, eta_seconds: null })
  await heir.report({ type: 'finished', result: await heir.upload() })
  expect(await video(id)).toMatchObject({ status: 'completed' })
  expect(await transfersOf(id)).toEqual(['hold', 'settle'])
})

test('the first report binds its claim: a second start of the same job, another worker and another key are zombies', async () => {
  const id = await submit()
  const first = await worker.fetch()
  const second = worker.own(first.job, newClaim())
  expect(await first.report({ type: 'taken', slot: 0 })).toMatchObject({ verdict: 'continue' })
  expect(await second.report({ type: 'taken', slot: 0 })).toEqual({ verdict: 'stop' })
  expect(
    await second.report({ type: 'finished', result: { ...(await first.upload()), claim: second.claim } }),
  ).toEqual({ verdict: 'stop' })
  expect((await first.reportRaw({ type: 'started' }, { worker: 'worker_other' })).body).toEqual({
    verdict: 'stop',
  })
  const made = await api.call(
    'POST',
    '/v1/admin/keys',
    { name: 'another host', scope: 'worker' },
    { key: api.adminKey },
  )
  expect((await first.reportRaw({ type: 'started' }, { token: made.body.key })).body).toEqual({
    verdict: 'stop',
  })
  expect(await video(id)).toMatchObject({ status: 'in_progress' })
  await first.report({ type: 'finished', result: await first.upload() })
  expect(await video(id)).toMatchObject({ status: 'completed' })
})

test('a job delivered twice starts at most one attempt that counts', async () => {
  const id = await submit()
  const job = await worker.fetchJob()
  const claims = await Promise.all(
    Array.from({ length: 6 }, () => worker.own(job).report({ type: 'taken', slot: 0 })),
  )
  expect(claims.filter((answer) => answer.verdict === 'continue')).toHaveLength(1)
  expect((await admin(id)).attempts).toHaveLength(1)
  await api.call('POST', `/v1/videos/${id}/cancel`)
})

test('progress only ever raises the step', async () => {
  const id = await submit()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'progress', phase: 'denoise', step: 7, remaining_ms: 1 })
  await attempt.report({ type: 'progress', phase: 'denoise', step: 3, remaining_ms: 1 })
  expect(await admin(id)).toMatchObject({ progress: 70, attempts: [{ step: 7 }] })
  await attempt.report({ type: 'finished', result: await attempt.upload() })
})

test('a video whose worker fell silent gets a new fence and goes on from its checkpoint', async () => {
  const id = await submit()
  const lost = await worker.fetch()
  const { assignment } = await lost.report({ type: 'taken', slot: 0 })
  await fetch(assignment?.uploads.checkpoint ?? '', {
    method: 'PUT',
    headers: { 'content-type': 'application/octet-stream' },
    body: 'state after 6 steps',
  })
  await lost.report({ type: 'progress', phase: 'denoise', step: 7, remaining_ms: 1 })
  await lost.report({ type: 'checkpoint', step: 6, bytes: 19 })
  await age(id, 'heartbeat_at', 601)
  await worker.heartbeat([], { slots: 0 })
  await recoverSilent(api.context)
  expect(await admin(id)).toMatchObject({ status: 'queued', fence: lost.job.fence + 1 })
  await worker.heartbeat()
  const heir = await worker.fetch()
  const taken = await heir.report({ type: 'taken', slot: 0 })
  expect(taken.assignment?.resume?.step).toBe(6)
  expect(await (await fetch(taken.assignment?.resume?.url ?? '')).text()).toBe('state after 6 steps')
  expect(await video(id)).toMatchObject({ progress: 60 })
  await heir.report({ type: 'started' })
  expect(await video(id)).toMatchObject({ progress: 60 })
  await heir.report({ type: 'finished', result: await heir.upload() })
  const seen = await admin(id)
  expect(seen.attempts).toMatchObject([
    { fence: lost.job.fence, outcome: 'lost', claim: lost.claim, worker: worker.id },
    { fence: heir.job.fence, outcome: 'completed', resumed_from_step: 6, steps: 4 },
  ])
  // The repeated step is the operator's cost.
  expect(seen.usage).toMatchObject({ steps: 10 })
  expect(await transfersOf(id)).toEqual(['hold', 'settle'])
})

test('a heartbeat keeps an attempt alive, by name, fence and claim', async () => {
  const id = await submit()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'taken', slot: 0 })
  await age(id, 'heartbeat_at', 601)
  expect(await worker.heartbeat([attempt.owned])).toMatchObject({
    attempts: [{ ...attempt.owned, verdict: 'continue' }],
  })
  await recoverSilent(api.context)
  expect((await admin(id)).attempts).toMatchObject([{ outcome: null }])
  await age(id, 'heartbeat_at', 601)
  const wrong = { ...attempt.owned, claim: newClaim() }
  expect(await worker.heartbeat([wrong])).toMatchObject({ attempts: [{ ...wrong, verdict: 'stop' }] })
  await recoverSilent(api.context)
  expect((await admin(id)).attempts[0]).toMatchObject({ outcome: 'lost' })
  await api.call('POST', `/v1/videos/${id}/cancel`)
})

test('finished work of a worker that died before it could say so is settled from result.json, never done again', async () => {
  const id = await submit()
  const attempt = await worker.fetch()
  await attempt.upload()
  await age(id, 'heartbeat_at', 601)
  await recoverSilent(api.context)
  expect(await admin(id)).toMatchObject({ status: 'completed', attempts: [{ outcome: 'completed' }] })
  expect(await transfersOf(id)).toEqual(['hold', 'settle'])
})

test('a result of another start, in the place of its own, is no finished work', async () => {
  const id = await submit()
  const attempt = await worker.fetch()
  const result = await attempt.upload()
  const { assignment } = await attempt.report({ type: 'taken', slot: 0 })
  const other = newClaim()
  const prefix = attemptPrefix(id, attempt.job.fence, other)
  for (const name of ['video', 'thumbnail', 'spritesheet'] as const) {
    const bytes = Buffer.alloc(result.files[name].bytes)
    await api.context.store.put(`${prefix}/${OUTPUT_FILES[name]}`, bytes, UPLOAD_CONTENT_TYPES[name])
  }
  const put = await fetch(assignment?.uploads.result ?? '', {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...result, claim: other }),
  })
  expect(put.status).toBeLessThan(300)
  await giveUpAttempt(api.context.internal, id, attempt.job.fence)
  expect((await admin(id)).attempts[0]).toMatchObject({ outcome: 'lost' })
  await api.call('POST', `/v1/videos/${id}/cancel`)
})

test('a new boot of a worker proves its earlier process gone: what it does not name is given up at once', async () => {
  const kept = await submit()
  const dropped = await submit()
  worker.slots = 2
  await worker.heartbeat()
  const attempts = [await worker.fetch(), await worker.fetch()]
  for (const attempt of attempts) await attempt.report({ type: 'taken', slot: 0 })
  const named = attempts.find((attempt) => attempt.job.video === kept)
  worker.boot = 'another'
  await worker.heartbeat(named === undefined ? [] : [named.owned])
  expect((await admin(kept)).attempts).toMatchObject([{ outcome: null }])
  expect((await admin(dropped)).attempts[0]).toMatchObject({ outcome: 'lost' })
  for (const id of [kept, dropped]) await api.call('POST', `/v1/videos/${id}/cancel`)
})

test('a queued video cancels at once and costs nothing', async () => {
  await worker.heartbeat([], { slots: 0 })
  const id = await submit()
  const cancelled = await api.call('POST', `/v1/videos/${id}/cancel`)
  expect(cancelled.body).toMatchObject({
    status: 'failed',
    error: { code: 'cancelled' },
    cost: { amount: '0', state: 'released' },
  })
  expect(cancelled.body.usage.generated_tokens).toBe(0)
  expect((await api.call('POST', `/v1/videos/${id}/cancel`)).status).toBe(200)
  expect(await transfersOf(id)).toEqual(['hold', 'settle'])
})

test('a dispatched video cancels at once under a raised fence, so the worker that takes it is told to stop', async () => {
  const id = await submit()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'taken', slot: 0 })
  const cancelled = await api.call('POST', `/v1/videos/${id}/cancel`)
  expect(cancelled.body).toMatchObject({
    status: 'failed',
    error: { code: 'cancelled' },
    cost: { amount: '0' },
  })
  expect((await admin(id)).fence).toBe(attempt.job.fence + 1)
  expect(await attempt.report({ type: 'started' })).toEqual({ verdict: 'stop' })
  expect(await worker.heartbeat([attempt.owned])).toMatchObject({ attempts: [{ verdict: 'stop' }] })
})

test('a running video hears its cancel with the next answer and is charged the steps known when it was asked, plus one', async () => {
  const id = await submit()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'progress', phase: 'denoise', step: 3, remaining_ms: 700 })
  expect((await api.call('POST', `/v1/videos/${id}/cancel`)).body).toMatchObject({ status: 'in_progress' })
  expect(await worker.heartbeat([attempt.owned])).toMatchObject({ attempts: [{ verdict: 'cancel' }] })
  expect(await attempt.report({ type: 'progress', phase: 'denoise', step: 6, remaining_ms: 400 })).toEqual({
    verdict: 'cancel',
  })
  await attempt.report({ type: 'cancelled', step: 7 })
  const ended = await video(id)
  expect(ended).toMatchObject({
    status: 'failed',
    error: { code: 'cancelled' },
    usage: { steps: 4, generated_tokens: 504 * 4 },
  })
  // 2,016 tokens at 0.20 per million, rounded up
  expect(ended.cost).toEqual({ amount: '0.000404', currency: 'USD', state: 'charged' })
  expect(await ledgerOk()).toMatchObject({ ok: true })
})

test('a cancel that is repeated while the worker goes on costs what the first one would have', async () => {
  const id = await submit()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'progress', phase: 'denoise', step: 3, remaining_ms: 700 })
  await api.call('POST', `/v1/videos/${id}/cancel`)
  await attempt.report({ type: 'progress', phase: 'denoise', step: 8, remaining_ms: 200 })
  await api.call('POST', `/v1/videos/${id}/cancel`)
  await attempt.report({ type: 'cancelled', step: 8 })
  expect((await video(id)).usage.steps).toBe(4)
})

test('a cancel that stopped earlier than asked is charged what was done', async () => {
  const id = await submit()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'progress', phase: 'denoise', step: 3, remaining_ms: 700 })
  await api.call('POST', `/v1/videos/${id}/cancel`)
  await attempt.report({ type: 'cancelled', step: 3 })
  expect((await video(id)).usage.steps).toBe(3)
})

test('a cancel that races with finished ends cancelled, for the steps known when it was asked plus one', async () => {
  const id = await submit()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'progress', phase: 'denoise', step: 5, remaining_ms: 700 })
  await api.call('POST', `/v1/videos/${id}/cancel`)
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  expect(await video(id)).toMatchObject({
    status: 'failed',
    error: { code: 'cancelled' },
    usage: { steps: 6 },
  })
})

test('a cancel no worker answers is settled after 30 s and the worker is a zombie from then on', async () => {
  const id = await submit()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'progress', phase: 'denoise', step: 5, remaining_ms: 700 })
  await api.call('POST', `/v1/videos/${id}/cancel`)
  await age(id, 'cancel_requested_at', 29)
  await recoverSilent(api.context)
  expect(await video(id)).toMatchObject({ status: 'in_progress' })
  await age(id, 'cancel_requested_at', 31)
  await recoverSilent(api.context)
  expect(await video(id)).toMatchObject({
    status: 'failed',
    error: { code: 'cancelled' },
    usage: { steps: 5 },
  })
  expect(await attempt.report({ type: 'cancelled', step: 9 })).toEqual({ verdict: 'stop' })
  expect(await transfersOf(id)).toEqual(['hold', 'settle'])
})

test('a completed video cannot be cancelled, and SDKs are told not to retry', async () => {
  const id = await submit()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  const refused = await api.call('POST', `/v1/videos/${id}/cancel`)
  expect(refused).toMatchObject({ status: 409, body: { error: { code: 'state_conflict' } } })
  expect(refused.headers.get('x-should-retry')).toBe('false')
})

test('a yielded video returns to the queue, keeps its checkpoint and is nobody’s failure', async () => {
  const id = await submit()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'progress', phase: 'denoise', step: 4, remaining_ms: 600 })
  await attempt.report({ type: 'checkpoint', step: 4, bytes: 10 })
  await worker.heartbeat([attempt.owned], { draining: true })
  await attempt.report({ type: 'yielded', step: 4 })
  expect(await admin(id)).toMatchObject({
    status: 'queued',
    checkpoint_step: 4,
    failures_in_a_row: 0,
    attempts: [{ outcome: 'yielded' }],
  })
  await worker.heartbeat()
  const next = await worker.fetch()
  expect((await next.report({ type: 'taken', slot: 0 })).assignment?.resume?.step).toBe(4)
  await next.report({ type: 'finished', result: await next.upload() })
  expect(await video(id)).toMatchObject({ status: 'completed' })
})

test('a flex video makes room for a priority video on a full pool and goes on later', async () => {
  const flex = await submit({ service_tier: 'flex' })
  const running = await worker.fetch()
  await running.report({ type: 'progress', phase: 'denoise', step: 2, remaining_ms: 60_000 })
  const urgent = await submit({ service_tier: 'priority' })
  await eventually(
    () => running.report({ type: 'progress', phase: 'denoise', step: 3, remaining_ms: 60_000 }),
    (answer) => answer.verdict === 'yield',
  )
  await running.report({ type: 'checkpoint', step: 3, bytes: 10 })
  await running.report({ type: 'yielded', step: 3 })
  const next = await worker.fetch()
  expect(next.job.video).toBe(urgent)
  await next.report({ type: 'finished', result: await next.upload() })
  const resumed = await worker.fetch()
  expect(resumed.job.video).toBe(flex)
  expect((await resumed.report({ type: 'taken', slot: 0 })).assignment?.resume?.step).toBe(3)
  await resumed.report({ type: 'finished', result: await resumed.upload() })
})

test('a video that ends three runners in a row fails with attempts_exhausted and costs nothing', async () => {
  const id = await submit()
  for (let failure = 1; failure <= 3; failure += 1) {
    expect(await video(id)).toMatchObject({
      status: failure === 1 ? expect.any(String) : expect.stringMatching(/queued|in_progress/),
    })
    const attempt = await worker.fetch()
    await attempt.report({
      type: 'failed',
      code: 'runner_exited',
      message: 'exit code 139',
      retryable: true,
      step: 1,
    })
  }
  expect(await video(id)).toMatchObject({
    status: 'failed',
    error: { code: 'attempts_exhausted', message: expect.stringContaining('exit code 139') },
    cost: { amount: '0', state: 'released' },
    usage: { generated_tokens: 0 },
  })
  expect((await admin(id)).attempts).toHaveLength(3)
  expect(await ledgerOk()).toMatchObject({ ok: true })
})

const failIt = (code: FailureCode = 'runner_exited') =>
  ({ type: 'failed', code, message: 'exit code 139', retryable: true, step: 0 }) as const

/** The worker's next attempts, taken, by their videos. */
const takeAll = async (by: HandWorker, ids: readonly string[]): Promise<HandAttempt[]> => {
  const taken = new Map<string, HandAttempt>()
  while (taken.size < ids.length) {
    const attempt = await by.fetch()
    await attempt.report({ type: 'taken', slot: taken.size })
    taken.set(attempt.job.video, attempt)
  }
  return ids.map((id) => taken.get(id)).filter((attempt) => attempt !== undefined)
}

test('a failure right after that of another video is its worker’s: no video is blamed until one is made there', async () => {
  worker.slots = 2
  await worker.heartbeat()
  const ids = [await submit(), await submit()]
  // The first failure has no other before it; from then on each follows one of the other video.
  for (let round = 1; round <= 4; round += 1)
    for (const attempt of await takeAll(worker, ids)) await attempt.report(failIt())
  const [first = '', second = ''] = ids
  expect(await admin(first)).toMatchObject({ error: null, failures_in_a_row: 1 })
  expect(await admin(second)).toMatchObject({ error: null, failures_in_a_row: 0 })
  const [failing, made] = await takeAll(worker, ids)
  await made?.report({ type: 'finished', result: await made.upload() })
  await failing?.report(failIt())
  expect(await admin(first)).toMatchObject({ error: null, failures_in_a_row: 2 })
  await (await worker.fetch()).report(failIt())
  expect(await video(first)).toMatchObject({ status: 'failed', error: { code: 'attempts_exhausted' } })
})

test('a failure that is the first that is heard of its attempt follows that of another video all the same', async () => {
  worker.slots = 2
  await worker.heartbeat()
  await Promise.all([submit(), submit()])
  const attempts = [await worker.fetch(), await worker.fetch()]
  for (const attempt of attempts) await attempt.report(failIt())
  const shown = await Promise.all(attempts.map(({ job }) => admin(job.video)))
  expect(shown.map(({ failures_in_a_row }) => failures_in_a_row)).toEqual([1, 0])
  for (const { job } of attempts) await api.call('POST', `/v1/videos/${job.video}/cancel`)
})

test('what is the fault of a host or of the store is never the video’s', async () => {
  const id = await submit()
  for (let failure = 1; failure <= 3; failure += 1) {
    for (const code of ['host_failed', 'upload_failed'] as const) {
      await (await worker.fetch()).report(failIt(code))
      expect(await admin(id)).toMatchObject({ error: null, failures_in_a_row: 0 })
    }
  }
  const attempt = await worker.fetch()
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  expect(await video(id)).toMatchObject({ status: 'completed' })
})

test('an engine that is away ends no video, however often it turns one down', async () => {
  await using strict = await startTestApi({ attemptsMax: 1 })
  await using single = new HandWorker(strict)
  await single.heartbeat()
  const { body } = await strict.call('POST', '/v1/videos', { prompt: 'a boat', num_frames: 5, num_steps: 10 })
  for (let failure = 1; failure <= 12; failure += 1)
    await (await single.fetch()).report(failIt('engine_away'))
  const shown = await strict.call('GET', `/v1/admin/videos/${body.id}`, undefined, { key: strict.adminKey })
  expect(shown.body).toMatchObject({ error: null, failures_in_a_row: 0 })
})

test('a failure right after one that was the host’s says nothing about its video', async () => {
  worker.slots = 2
  await worker.heartbeat()
  const ids = [await submit(), await submit()]
  const [first, second] = await takeAll(worker, ids)
  await first?.report(failIt('host_failed'))
  await second?.report(failIt())
  for (const id of ids) {
    expect(await admin(id)).toMatchObject({ error: null, failures_in_a_row: 0 })
    await api.call('POST', `/v1/videos/${id}/cancel`)
  }
})

test('two videos that bring down the same worker in turn end too', async () => {
  await using strict = await startTestApi({ attemptsMax: 1 })
  await using pair = new HandWorker(strict, { slots: 2 })
  await pair.heartbeat()
  const submitTo = async (): Promise<string> =>
    (await strict.call('POST', '/v1/videos', { prompt: 'a paper boat', num_frames: 5, num_steps: 10 })).body
      .id
  const endOf = async (id: string) => (await strict.call('GET', `/v1/videos/${id}`)).body.error
  const alone = await submitTo()
  await (await pair.fetch()).report(failIt())
  expect(await endOf(alone)).toMatchObject({ message: expect.stringContaining('after 1 attempts in a row') })
  const ids = [await submitTo(), await submitTo()]
  for (let failure = 1; failure <= 10; failure += 1) {
    for (const id of ids) expect(await endOf(id)).toBeNull()
    for (const attempt of await takeAll(pair, ids)) await attempt.report(failIt())
  }
  for (const id of ids)
    expect(await endOf(id)).toMatchObject({
      message: expect.stringContaining('10 attempts without progress'),
    })
})

test('progress between failures breaks the row: a checkpoint further on starts the count anew', async () => {
  const id = await submit()
  for (let step = 1; step <= 4; step += 1) {
    const attempt = await worker.fetch()
    await attempt.report({ type: 'checkpoint', step, bytes: 1 })
    await attempt.report({ type: 'failed', code: 'runner_exited', message: 'x', retryable: true, step: 1 })
  }
  expect(await admin(id)).toMatchObject({ error: null, failures_in_a_row: 1 })
  await api.call('POST', `/v1/videos/${id}/cancel`)
})

test('a failure that trying again cannot mend ends the video at once, uncharged', async () => {
  const id = await submit()
  const attempt = await worker.fetch()
  await attempt.report({
    type: 'failed',
    code: 'bad_input',
    message: 'no such motion',
    retryable: false,
    step: 0,
  })
  expect(await video(id)).toMatchObject({
    status: 'failed',
    error: { code: 'bad_input' },
    cost: { amount: '0', state: 'released' },
  })
})

test('an unusable checkpoint is dropped and the video starts over', async () => {
  const id = await submit()
  const first = await worker.fetch()
  await first.report({ type: 'checkpoint', step: 5, bytes: 1 })
  await first.report({ type: 'failed', code: 'internal', message: 'x', retryable: true, step: 5 })
  const second = await worker.fetch()
  await second.report({
    type: 'failed',
    code: 'checkpoint_unusable',
    message: 'hash differs',
    retryable: true,
    step: 0,
  })
  const third = await worker.fetch()
  expect((await third.report({ type: 'taken', slot: 0 })).assignment?.resume).toBeNull()
  await third.report({ type: 'finished', result: await third.upload() })
  expect(await video(id)).toMatchObject({ status: 'completed' })
})

test('a video nobody finishes in time expires, whatever its state, and its hold is released', async () => {
  const running = await submit()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'progress', phase: 'denoise', step: 5, remaining_ms: 60_000 })
  const queued = await submit({ execution_expires_after: 10 })
  for (const id of [running, queued]) await age(id, 'execution_expires_at', 1)
  await recoverSilent(api.context)
  for (const id of [running, queued]) {
    expect(await video(id)).toMatchObject({
      status: 'failed',
      error: { code: 'expired' },
      cost: { amount: '0', state: 'released' },
    })
  }
  expect(await attempt.report({ type: 'released' })).toEqual({ verdict: 'stop' })
  expect(await ledgerOk()).toMatchObject({ ok: true })
})

test('a worker token reaches the internal calls only, and no other key reaches those', async () => {
  const id = await submit()
  const attempt = await worker.fetch()
  for (const key of [api.key, api.adminKey, 'wk-sluice-unknown']) {
    expect([401, 403]).toContain((await attempt.reportRaw({ type: 'started' }, { token: key })).status)
  }
  for (const path of [
    '/v1/videos',
    '/v1/credits',
    '/v1/models',
    `/v1/videos/${id}`,
    `/v1/admin/videos/${id}`,
    '/v1/admin/ledger/check',
  ]) {
    expect((await api.call('GET', path, undefined, { key: api.workerToken })).status).toBe(403)
  }
  await api.call('POST', `/v1/videos/${id}/cancel`)
})

test('a deleted video is cancelled first, its ledger rows stay, and it reads as unknown', async () => {
  const id = await submit()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  expect((await api.call('DELETE', `/v1/videos/${id}`)).body).toEqual({
    id,
    object: 'video.deleted',
    deleted: true,
  })
  expect((await api.call('GET', `/v1/videos/${id}`)).status).toBe(404)
  expect((await api.call('GET', `/v1/videos/${id}/content`)).status).toBe(404)
  expect(await transfersOf(id)).toEqual(['hold', 'settle'])
  expect(await api.context.store.deletePrefix(`videos/${id}`)).toBe(0)
})

test('a delete that meets the completion of the video in the same moment deletes it, and is no conflict', async () => {
  const id = await submit()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'progress', phase: 'denoise', step: 9, remaining_ms: 100 })
  const result = await attempt.upload()
  const holder = await api.context.db.connect()
  const watcher = new pg.Client(api.database.adminUrl)
  await watcher.connect()
  const waiting = (count: number) =>
    eventually(
      async () => {
        const { rows } = await watcher.query(
          `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        )
        return rows.length
      },
      (found) => found >= count,
    )
  try {
    await holder.query('begin')
    await holder.query('select from video where id = $1 for update', [id])
    const finished = attempt.report({ type: 'finished', result })
    await waiting(1)
    const deleted = api.call('DELETE', `/v1/videos/${id}`)
    await waiting(2)
    await holder.query('commit')
    await finished
    expect(await deleted).toMatchObject({ status: 200, body: { id, deleted: true } })
  } finally {
    holder.release()
    await watcher.end()
  }
  expect(await admin(id)).toMatchObject({ status: 'completed' })
  expect((await api.call('GET', `/v1/videos/${id}`)).status).toBe(404)
  expect(await transfersOf(id)).toEqual(['hold', 'settle'])
})

/** As the reconciler does, for an attempt that left no result: its objects are removed first. */
async function giveUpWithoutResult(id: string, fence: number): Promise<void> {
  await api.context.store.deletePrefix(`videos/${id}`)
  await giveUpAttempt(api.context, id, fence)
}
