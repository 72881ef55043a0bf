import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { startReconciler } from '../../apps/api/src/attempts/reconcile.ts'
import { Recovery, recoverDue } from '../../apps/api/src/attempts/recovery.ts'
import type { Context } from '../../apps/api/src/context.ts'
import { eventually } from '../support/eventually.ts'
import { type HandAttempt, HandWorker } from '../support/hand-worker.ts'
import { recoverSilent } from '../support/recover-silent.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'
import { storeWith } from '../support/store-with.ts'

let api: TestApi
let worker: HandWorker
let poolNumber = 0

beforeAll(async () => {
  api = await startTestApi({ attemptsMax: 3 })
})
afterAll(() => api.stop())
beforeEach(async () => {
  worker = new HandWorker(api, { pool: `recovery${poolNumber++}` })
  await worker.heartbeat()
})
afterEach(async () => {
  await worker.heartbeat([], { draining: true })
  await worker.close()
})

const submit = async (from = api): Promise<string> =>
  (await from.call('POST', '/v1/videos', { prompt: 'a paper boat', num_frames: 5, num_steps: 10 })).body.id
const adminOf = async (from: TestApi, id: string) =>
  (await from.call('GET', `/v1/admin/videos/${id}`, undefined, { key: from.adminKey })).body
const admin = (id: string) => adminOf(api, id)
const cancel = (id: string) => api.call('POST', `/v1/videos/${id}/cancel`)
const sql = (text: string, values: unknown[] = []) => api.context.db.query({ text, values })
const age = (id: string, seconds: number) =>
  sql('update attempt set heartbeat_at = now() - make_interval(secs => $2) where video_id = $1', [
    id,
    seconds,
  ])
const withLease = (leaseMs: number): Context => ({
  ...api.context,
  config: { ...api.config, timings: { ...api.config.timings, leaseMs } },
})
/** A store whose answers about these keys never come. */
const hanging = (context: Context, hangs: (key: string) => boolean) => ({
  ...context,
  store: storeWith(context.store, {
    readText: (key, bytesMax) =>
      hangs(key) ? new Promise<never>(() => {}) : context.store.readText(key, bytesMax),
  }),
})
/** The next attempt that is still wanted: the queue also has jobs of attempts that were given up. */
const take = async (from = worker): Promise<HandAttempt> => {
  for (;;) {
    const attempt = await from.fetch()
    if ((await attempt.report({ type: 'taken', slot: 0 })).verdict !== 'stop') return attempt
  }
}
const onDevice = async (from = worker): Promise<HandAttempt> => {
  const attempt = await take(from)
  await attempt.report({ type: 'started' })
  return attempt
}

describe('recovery', () => {
  test('goes on past videos whose place in the store never answers: more of them than there are places', async () => {
    const count = 18
    worker.slots = count + 1
    await worker.heartbeat()
    const ids: string[] = []
    for (let made = 0; made <= count; made += 1) ids.push(await submit())
    const attempts: HandAttempt[] = []
    for (let fetched = 0; fetched < count; fetched += 1) {
      const attempt = await worker.fetch()
      await attempt.report({ type: 'taken', slot: fetched })
      attempts.push(attempt)
    }
    const untaken = await worker.fetchJob()
    const readable = attempts[0]?.job.video ?? ''
    for (const id of ids) await age(id, 5)
    await worker.heartbeat([], { slots: 0 })
    await recoverSilent(
      hanging(withLease(1_000), (key) => !key.includes(readable)),
      { videoMs: 200 },
    )
    const outcomes = new Map<string, string | null>()
    for (const id of ids) outcomes.set(id, (await admin(id)).attempts[0].outcome)
    expect(outcomes.get(untaken.video)).toBe('lost')
    expect(outcomes.get(readable)).toBe('lost')
    expect([...outcomes.values()].filter((outcome) => outcome === null)).toHaveLength(count - 1)
    const metrics = await eventually(
      () =>
        fetch(`${api.url}/metrics`, { headers: { authorization: `Bearer ${api.adminKey}` } }).then((a) =>
          a.text(),
        ),
      (text) => text.includes('sluice_attempts_overdue'),
    )
    expect(metrics).toMatch(/^sluice_attempts_overdue \d+$/m)
    for (const id of ids) await cancel(id)
  })

  test('of what nobody took waits for no store, also when videos that hang there have all places', async () => {
    worker.slots = 17
    await worker.heartbeat()
    const answered = Promise.withResolvers<null>()
    const context = {
      ...withLease(1_000),
      store: storeWith(api.context.store, { readText: () => answered.promise }),
    }
    const ids: string[] = []
    for (let made = 0; made < 17; made += 1) ids.push(await submit())
    for (let taken = 0; taken < 16; taken += 1)
      await (await worker.fetch()).report({ type: 'taken', slot: taken })
    const untaken = await worker.fetchJob()
    const recovery = new Recovery(context, { videoMs: 3_600_000 })
    const startAged = async (aged: readonly string[]) => {
      for (const id of aged) await age(id, 5)
      await sql(`update reception set since = now() - interval '1 day', until = now()`)
      await recovery.startDue()
    }
    await worker.heartbeat([], { slots: 0 })
    await startAged(ids.filter((id) => id !== untaken.video))
    await startAged([untaken.video])
    await eventually(
      () => admin(untaken.video),
      ({ attempts }) => attempts[0].outcome === 'lost',
    )
    answered.resolve(null)
    await recovery.stop()
    await sql('update reception set since = now()')
    for (const id of ids) await cancel(id)
  })

  test('stops within its time, whatever a store does', async () => {
    const id = await submit()
    const attempt = await worker.fetch()
    await attempt.report({ type: 'taken', slot: 0 })
    let isAsked = false
    const context = hanging(withLease(1), () => {
      isAsked = true
      return true
    })
    const reconciler = startReconciler(context, { videoMs: 3_600_000, stopMs: 50 })
    await eventually(
      async () => isAsked,
      (asked) => asked,
    )
    await reconciler.stop()
    expect(await admin(id)).toMatchObject({ attempts: [{ outcome: null }] })
    await cancel(id)
  })
})

describe('silence', () => {
  const lease20 = () => withLease(20_000)
  /** What a pause of the whole machine looks like to the database: every time lies further back. */
  const pause = (seconds: number) =>
    sql(
      `with paused as (
        update reception
        set since = since - make_interval(secs => $1), until = until - make_interval(secs => $1))
      update attempt set heartbeat_at = heartbeat_at - make_interval(secs => $1) where ended_at is null`,
      [seconds],
    )

  test('while nobody could have been heard is no silence: not after a pause of the machine, the API or the database', async () => {
    const id = await submit()
    await onDevice()
    await pause(40)
    await recoverDue(lease20())
    expect(await admin(id)).toMatchObject({ attempts: [{ outcome: null }] })
    // Somebody could have heard it for a whole lease since, and did not.
    await sql(`update reception set since = now() - interval '21 seconds', until = now()`)
    await recoverDue(lease20())
    expect((await admin(id)).attempts[0]).toMatchObject({ outcome: 'lost' })
    await cancel(id)
  })

  test('counts also for an attempt whose last heartbeat lies ahead, since the clock was set back', async () => {
    const id = await submit()
    await onDevice()
    await age(id, -10)
    await recoverSilent(lease20())
    expect(await admin(id)).toMatchObject({ attempts: [{ outcome: null }] })
    await age(id, -3_600)
    await recoverSilent(lease20())
    expect((await admin(id)).attempts[0]).toMatchObject({ outcome: 'lost' })
    await cancel(id)
  })
})

describe('attempts in a row', () => {
  /** Its own API, with the lease of 20 s: what dies within half of that died together. */
  let own: TestApi
  let worker: HandWorker
  beforeAll(async () => {
    own = await startTestApi({ attemptsMax: 3, timings: { leaseMs: 20_000 } })
  })
  afterAll(() => own.stop())
  beforeEach(async () => {
    worker = new HandWorker(own, { pool: `row${poolNumber++}` })
    await worker.heartbeat()
    await forget()
  })
  afterEach(async () => {
    await worker.heartbeat([], { draining: true })
    await worker.close()
  })
  /** What was lost so far was lost long ago, so that what is lost next has no company. */
  const forget = () =>
    own.context.db.query({
      text: `update attempt set heartbeat_at = heartbeat_at - interval '1 hour' where ended_at is not null`,
    })
  const restart = async (changed = worker) => {
    changed.boot = `boot-${changed.boot}`.slice(-64)
    await changed.heartbeat()
  }

  test('that ended with their worker alone are its video’s: the third fails it, and says what happened', async () => {
    // Another video that was lost an hour ago is no company.
    const earlier = await submit(own)
    await onDevice(worker)
    await restart()
    await own.call('POST', `/v1/videos/${earlier}/cancel`)
    await forget()
    const id = await submit(own)
    for (let death = 1; death <= 3; death += 1) {
      await onDevice(worker)
      await restart()
    }
    expect((await adminOf(own, id)).error).toEqual({
      code: 'attempts_exhausted',
      message:
        'Gave up after 3 attempts in a row; the last one: worker_lost: ' +
        'Its worker was started again and came back without it.',
    })
  })

  test('that died with others, with the installation, before they began or after the device was free are not', async () => {
    worker.slots = 2
    await worker.heartbeat()
    const pair = [await submit(own), await submit(own)]
    for (let death = 1; death <= 4; death += 1) {
      await onDevice(worker)
      await onDevice(worker)
      await restart()
    }
    for (const id of pair) {
      expect(await adminOf(own, id)).toMatchObject({ status: expect.stringMatching(/queued|in_progress/) })
      await own.call('POST', `/v1/videos/${id}/cancel`)
    }
    worker.slots = 1
    await restart()
    await forget()
    const id = await submit(own)
    // The API began anew.
    await onDevice(worker)
    await (await own.replica()).stop()
    await restart()
    // Nobody could have heard it.
    await onDevice(worker)
    await own.context.db.query({ text: `update reception set until = now() - interval '10 seconds'` })
    await recoverDue(own.context)
    await restart()
    // It waited for the device.
    await take(worker)
    await restart()
    // It was being uploaded.
    await (await onDevice(worker)).report({ type: 'released' })
    await restart()
    // Nobody took it.
    const isOpen = (view: Awaited<ReturnType<typeof admin>>) => view.attempts.at(-1)?.outcome === null
    const { attempts } = await eventually(() => adminOf(own, id), isOpen)
    const { fence } = attempts.at(-1)
    await own.context.db.query({
      text: `update attempt set heartbeat_at = now() - interval '21 seconds' where video_id = $1 and ended_at is null`,
      values: [id],
    })
    await recoverSilent(own.context)
    const view = await adminOf(own, id)
    expect(view).toMatchObject({ status: expect.stringMatching(/queued|in_progress/), failures_in_a_row: 0 })
    expect(view.attempts.find((attempt: { fence: number }) => attempt.fence === fence)).toMatchObject({
      outcome: 'lost',
      error: { message: 'No worker took it in time.' },
    })
    await own.call('POST', `/v1/videos/${id}/cancel`)
  })

  test('that their worker reports after its start, though they died together, are not either', async () => {
    worker.slots = 2
    await worker.heartbeat()
    const pair = [await submit(own), await submit(own)]
    const attempts = [await onDevice(worker), await onDevice(worker)]
    worker.boot = `boot-${worker.boot}`.slice(-64)
    await worker.heartbeat(attempts.map(({ owned }) => owned))
    for (const attempt of attempts)
      await attempt.report({
        type: 'failed',
        code: 'runner_exited',
        message: 'the worker was killed',
        retryable: true,
        step: 0,
      })
    for (const id of pair) {
      expect(await adminOf(own, id)).toMatchObject({ error: null, failures_in_a_row: 0 })
      await own.call('POST', `/v1/videos/${id}/cancel`)
    }
  })

  test('without progress have a bound for every video, also for one that brings down others with it', async () => {
    await using strict = await startTestApi({ attemptsMax: 1 })
    await using pair = new HandWorker(strict, { slots: 2 })
    await pair.heartbeat()
    const ids = [await submit(strict), await submit(strict)]
    for (let death = 1; death <= 10; death += 1) {
      for (const id of ids) expect((await adminOf(strict, id)).status).toMatch(/queued|in_progress/)
      await onDevice(pair)
      await onDevice(pair)
      await restart(pair)
    }
    for (const id of ids) {
      expect(await adminOf(strict, id)).toMatchObject({
        error: {
          code: 'attempts_exhausted',
          message: expect.stringContaining('Gave up after 10 attempts without progress'),
        },
      })
    }
  })
})

describe('a video whose time is over', () => {
  const expireAgo = (id: string, seconds: number) =>
    sql('update video set execution_expires_at = now() - make_interval(secs => $2) where id = $1', [
      id,
      seconds,
    ])

  test('and whose result lies in the store is completed and charged, also when the store was away at first', async () => {
    const { internal } = api.api.context
    const { store } = internal
    const id = await submit()
    const attempt = await onDevice()
    const result = await attempt.upload()
    let asked = 0
    internal.store = storeWith(store, {
      readText: async () => {
        asked += 1
        throw new Error('connection refused')
      },
    })
    try {
      await expireAgo(id, 1)
      await eventually(
        async () => asked,
        (times) => times > 0,
      )
      expect(await admin(id)).toMatchObject({ status: 'in_progress' })
    } finally {
      internal.store = store
    }
    const ended = await eventually(
      () => admin(id),
      ({ status }) => status !== 'in_progress',
    )
    expect(ended).toMatchObject({
      status: 'completed',
      usage: { steps: 10 },
      attempts: [{ outcome: 'completed' }],
    })
    expect(await attempt.report({ type: 'finished', result })).toEqual({ verdict: 'stop' })
  })

  test('has half a minute more for its upload when all its steps are done', async () => {
    const id = await submit()
    const attempt = await onDevice()
    await attempt.report({ type: 'released' })
    await expireAgo(id, 20)
    await recoverDue(api.context)
    expect(await attempt.report({ type: 'progress', phase: 'upload', step: 10, remaining_ms: 0 })).toEqual({
      verdict: 'continue',
    })
    await expireAgo(id, 31)
    await recoverDue(api.context)
    expect(await admin(id)).toMatchObject({
      status: 'failed',
      error: { code: 'expired' },
      cost: { amount: '0' },
    })
  })
})
