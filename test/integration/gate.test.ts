import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { gatePassed } from '../support/gate-passed.ts'
import { type HandAttempt, HandWorker } from '../support/hand-worker.ts'
import { callJson, startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi
let poolNumber = 0
const submitted: { id: string; key: string }[] = []

beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.stop())
// Whatever a failing test left behind must not reach the next one's worker.
afterEach(async () => {
  for (const { id, key } of submitted.splice(0))
    await api.call('POST', `/v1/videos/${id}/cancel`, undefined, { key })
})

/** Runs `work` with a worker of its own, then empties what is left. */
async function withWorker(slots: number, work: (worker: HandWorker) => Promise<void>): Promise<void> {
  const worker = new HandWorker(api, { pool: `gate${poolNumber++}`, slots })
  try {
    await work(worker)
  } finally {
    await worker.heartbeat([], { draining: true })
    await worker.close()
  }
}

const submit = async (key: string, fields: Record<string, unknown> = {}): Promise<string> => {
  const answer = await api.call(
    'POST',
    '/v1/videos',
    { prompt: 'x', num_frames: 5, num_steps: 10, ...fields },
    { key },
  )
  expect(answer).toMatchObject({ status: 200 })
  submitted.push({ id: answer.body.id, key })
  return answer.body.id
}
const finish = async (attempt: HandAttempt) =>
  attempt.report({ type: 'finished', result: await attempt.upload() })
const inFlight = async (): Promise<number> => {
  const { rows } = await api.context.db.query<{ n: bigint }>({
    text: `select count(*) as n from video where status in ('dispatched', 'running')`,
  })
  return Number(rows[0]?.n)
}
const rich = () => api.account(1_000_000_000n)

test('an account that comes late does not wait behind another one’s whole backlog', async () => {
  const [first, second] = [await rich(), await rich()]
  const backlog: string[] = []
  for (let i = 0; i < 6; i += 1) backlog.push(await submit(first.key))
  const late = await submit(second.key)
  await withWorker(1, async (worker) => {
    await worker.heartbeat()
    const order: string[] = []
    for (let i = 0; i < 7; i += 1) {
      const attempt = await worker.fetch()
      order.push(attempt.job.video)
      await finish(attempt)
    }
    expect(order.indexOf(late)).toBeLessThanOrEqual(1)
    expect(order.filter((id) => id !== late)).toEqual(backlog)
  })
})

test('cost is what is shared, not the number of videos: one account’s long videos and another’s short ones get equal time', async () => {
  const [long, short] = [await rich(), await rich()]
  for (let i = 0; i < 3; i += 1) await submit(long.key, { num_steps: 60 })
  for (let i = 0; i < 9; i += 1) await submit(short.key, { num_steps: 10 })
  await withWorker(1, async (worker) => {
    await worker.heartbeat()
    const owners: string[] = []
    for (let i = 0; i < 9; i += 1) {
      const attempt = await worker.fetch()
      const { account_id } = (
        await api.call('GET', `/v1/admin/videos/${attempt.job.video}`, undefined, { key: api.adminKey })
      ).body
      owners.push(account_id === long.accountId ? 'long' : 'short')
      await finish(attempt)
    }
    // A long one costs 6.5 s here (0.5 s + 60 steps), a short one 1.5 s: about four short ones run for each
    // long one.
    expect(owners.filter((owner) => owner === 'short').length).toBeGreaterThanOrEqual(6)
    expect(owners.filter((owner) => owner === 'long').length).toBeGreaterThanOrEqual(2)
    for (let i = 0; i < 3; i += 1) await finish(await worker.fetch())
  })
})

test('the backlog stays in Postgres: only what a free slot takes next is dispatched', async () => {
  const { key } = await rich()
  for (let i = 0; i < 3; i += 1) await submit(key)
  await withWorker(1, async (worker) => {
    await worker.heartbeat()
    const running = await worker.fetch()
    await running.report({ type: 'progress', phase: 'denoise', step: 1, remaining_ms: 60_000 })
    await submit(key)
    await gatePassed(api)
    expect(await inFlight()).toBe(1)
    // Nearly free: its slot is offered the next one, and not two.
    await running.report({ type: 'progress', phase: 'denoise', step: 9, remaining_ms: 1_000 })
    const next = await worker.fetch()
    await running.report({ type: 'progress', phase: 'denoise', step: 10, remaining_ms: 0 })
    await gatePassed(api)
    expect(await inFlight()).toBe(2)
    await finish(running)
    await finish(next)
    for (let i = 0; i < 2; i += 1) await finish(await worker.fetch())
  })
})

test('an account cannot occupy the whole pool while others have something queued or running there, and can as soon as they have not, however lately they submitted', async () => {
  const [greedy, other] = [await rich(), await rich()]
  await withWorker(8, async (worker) => {
    await worker.heartbeat()
    await submit(other.key)
    const running = await worker.fetch()
    for (let i = 0; i < 10; i += 1) await submit(greedy.key)
    const attempts: HandAttempt[] = []
    for (let i = 0; i < 6; i += 1) attempts.push(await worker.fetch())
    await gatePassed(api)
    // Six of eight are its share; the eighth slot stays free though four more of its videos wait.
    expect(await inFlight()).toBe(7)
    await finish(running)
    // Nothing of the other account is left: no slot need stay free for it.
    for (let i = 0; i < 2; i += 1) attempts.push(await worker.fetch())
    const [first, second, third, ...rest] = attempts
    if (first === undefined || second === undefined || third === undefined)
      throw new Error('eight were fetched')
    const late = await submit(other.key)
    await finish(first)
    const next = await worker.fetch()
    expect(next.job.video).toBe(late)
    // Seven are the greedy one's. Two end, and one follows: with that it has its share again.
    for (const attempt of [second, third]) await finish(attempt)
    rest.push(await worker.fetch())
    await gatePassed(api)
    expect(await inFlight()).toBe(7)
    await finish(next)
    rest.push(await worker.fetch())
    for (const attempt of rest) await finish(attempt)
  })
})

test('priority goes before standard, standard before flex', async () => {
  const { key } = await rich()
  const flex = await submit(key, { service_tier: 'flex' })
  const standard = await submit(key)
  const priority = await submit(key, { service_tier: 'priority' })
  await withWorker(1, async (worker) => {
    await worker.heartbeat()
    for (const expected of [priority, standard, flex]) {
      const attempt = await worker.fetch()
      expect(attempt.job.video).toBe(expected)
      await finish(attempt)
    }
  })
})

test('a video waits for a pool that can make it, and the others pass', async () => {
  const { key } = await rich()
  const large = await submit(key, { size: '1024x576' })
  const small = await submit(key)
  await withWorker(1, async (worker) => {
    await worker.heartbeat([], { limits: { frames_max: 129, pixels_max: 100_000 } })
    const attempt = await worker.fetch()
    expect(attempt.job.video).toBe(small)
    await finish(attempt)
    expect((await api.call('GET', `/v1/videos/${large}`, undefined, { key })).body.status).toBe('queued')
    await worker.heartbeat()
    await finish(await worker.fetch())
  })
})

test('one process leads the gate; when it stops another takes over, and nothing is dispatched twice', async () => {
  const second = await startTestApi()
  const replica = await second.replica()
  const { key } = await second.account(1_000_000_000n)
  await second.api.stop()
  const ids: string[] = []
  for (let i = 0; i < 3; i += 1) {
    ids.push((await callJson(replica.url, key, 'POST', '/v1/videos', { prompt: 'x', num_frames: 5 })).body.id)
  }
  const worker = new HandWorker({ ...second, url: replica.url }, { slots: 3 })
  await worker.heartbeat()
  const jobs = [await worker.fetchJob(), await worker.fetchJob(), await worker.fetchJob()]
  expect(jobs.map((job) => job.video).sort()).toEqual(ids.sort())
  expect(jobs.map((job) => job.fence)).toEqual([1, 1, 1])
  await worker.close()
  await second.stop()
})

test('queue_position and eta_seconds count down to the next one', async () => {
  const { key } = await rich()
  const ids = [await submit(key), await submit(key), await submit(key)]
  await withWorker(1, async (worker) => {
    await worker.heartbeat([], { models: ['animatic'], limits: { frames_max: 1, pixels_max: 1 } })
    const positions = async () =>
      Promise.all(
        ids.map(
          async (id) => (await api.call('GET', `/v1/videos/${id}`, undefined, { key })).body.queue_position,
        ),
      )
    // Until the forecasts are made anew, a newer one is told the place of the next of its queue.
    await eventually(positions, (seen) => seen.join() === '1,2,3')
    await worker.heartbeat()
    const first = await worker.fetch()
    await first.report({ type: 'progress', phase: 'denoise', step: 1, remaining_ms: 30_000 })
    const second = ids[1] ?? ''
    const queued = await eventually(
      async () => (await api.call('GET', `/v1/videos/${second}`, undefined, { key })).body,
      (body) => body.queue_position === 1 && body.eta_seconds !== null && body.eta_seconds.p50 > 25,
    )
    expect(queued.eta_seconds.p90).toBeGreaterThan(queued.eta_seconds.p50)
    await finish(first)
    for (let i = 0; i < 2; i += 1) await finish(await worker.fetch())
  })
})
