import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { gatePassed } from '../support/gate-passed.ts'
import { type HandAttempt, HandWorker } from '../support/hand-worker.ts'
import { operatorOf } from '../support/operator.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi
let poolNumber = 0
const workers: HandWorker[] = []
const submitted: string[] = []

const STEPS = 10
/** A step there, and nothing besides the steps. */
const SLOW_STEP_MS = 6_000
const FAST_STEP_MS = 2_000

beforeAll(async () => {
  api = await startTestApi({ accountSharePercent: 100 })
})
afterAll(() => api.stop())
afterEach(async () => {
  for (const id of submitted.splice(0)) await api.call('POST', `/v1/videos/${id}/cancel`)
  for (const worker of workers.splice(0)) {
    await worker.heartbeat([], { draining: true })
    await worker.close()
  }
})

/** A pool of one slot that takes so long for a step, and costs so much an hour. */
async function open(
  name: string,
  stepMs: number,
  costPerHourMicros: string | null = null,
): Promise<HandWorker> {
  // Among pools that can make the same the one whose name comes first is filled first.
  const pool = `${name}${poolNumber++}`
  await api.context.db.query({
    text: `insert into pace (pool, capability, width, height, num_frames, step_ms, overhead_ms, samples)
      values ($1, 'animatic', 336, 192, 5, $2, 0, 100)`,
    values: [pool, stepMs],
  })
  const worker = new HandWorker(api, { pool })
  workers.push(worker)
  await worker.heartbeat([], { cost_per_hour_micros: costPerHourMicros })
  return worker
}
const submit = async (fields: object = {}): Promise<string> => {
  const answer = await api.call('POST', '/v1/videos', {
    prompt: 'x',
    num_frames: 5,
    num_steps: STEPS,
    ...fields,
  })
  expect(answer.status).toBe(200)
  submitted.push(answer.body.id)
  return answer.body.id
}
const admin = (id: string) => operatorOf(api).must('GET', `/v1/admin/videos/${id}`)
const statusOf = async (id: string) => (await admin(id)).internal_status
const start = async (worker: HandWorker, id: string): Promise<HandAttempt> => {
  const attempt = await worker.fetch()
  expect(attempt.job.video).toBe(id)
  await attempt.report({ type: 'started' })
  return attempt
}
const atStep = (attempt: HandAttempt, step: number) =>
  attempt.report({ type: 'progress', phase: 'denoise', step, remaining_ms: null })
const finish = async (attempt: HandAttempt) => {
  const result = await attempt.upload()
  await attempt.report({ type: 'released' })
  await attempt.report({ type: 'finished', result })
}

describe('of two pools that can make a video', () => {
  test('a standard video goes to the one where it is finished first: the faster one when both are free, the slower one while the faster is busy for long, and it waits for the faster one that is free soon', async () => {
    const slow = await open('a-slow', SLOW_STEP_MS)
    const fast = await open('b-fast', FAST_STEP_MS)
    await gatePassed(api)
    const first = await start(fast, await submit())
    // 60 s from now on the slow pool, and 20 after 20 s on the fast one.
    const waiting = await submit()
    // The faster one has 20 s for that one by then: 60 s, in which the slow one has finished as well.
    await atStep(first, 1)
    const third = await submit()
    const forth = await submit()
    const onSlow = await slow.fetch()
    await onSlow.report({ type: 'started' })
    expect([third, forth]).toContain(onSlow.job.video)
    expect(await statusOf(waiting)).toBe('queued')
    await finish(first)
    await finish(await start(fast, waiting))
    const left = onSlow.job.video === third ? forth : third
    await finish(await start(fast, left))
    await finish(onSlow)
  })

  test('a flex video waits for the cheaper one while its deadline is far, though the other is free', async () => {
    const dear = await open('a-dear', FAST_STEP_MS, '4000000')
    const cheap = await open('b-cheap', FAST_STEP_MS, '1000000')
    await gatePassed(api)
    // The dear one is as fast: what is in a hurry goes there when the cheap one is busy.
    const busy = await start(cheap, await submit())
    const flex = await submit({ service_tier: 'flex' })
    await finish(await start(dear, await submit({ service_tier: 'priority' })))
    await gatePassed(api)
    expect(await statusOf(flex)).toBe('queued')
    await finish(busy)
    await finish(await start(cheap, flex))
  })

  test('a flex video whose deadline is near goes where it is finished first', async () => {
    const dear = await open('a-dear', FAST_STEP_MS, '4000000')
    const cheap = await open('b-cheap', FAST_STEP_MS, '1000000')
    await gatePassed(api)
    const busy = await start(cheap, await submit())
    const near = await submit({ service_tier: 'flex' })
    await gatePassed(api)
    expect(await statusOf(near)).toBe('queued')
    await api.context.db.query({
      text: `update video set execution_expires_at = now() + interval '30 minutes' where id = $1`,
      values: [near],
    })
    await finish(await start(dear, near))
    await finish(busy)
  })

  test('a standard video that has a free slot on one has no flex video make room on the other', async () => {
    const full = await open('a-full', FAST_STEP_MS)
    await gatePassed(api)
    const flex = await start(full, await submit({ service_tier: 'flex' }))
    expect(await atStep(flex, 1)).toEqual({ verdict: 'continue' })
    const free = await open('b-free', FAST_STEP_MS)
    await gatePassed(api)
    const standard = await start(free, await submit())
    await gatePassed(api)
    expect(await atStep(flex, 2)).toEqual({ verdict: 'continue' })
    await finish(flex)
    await finish(standard)
  })

  test('of pools as fast a standard video takes the cheaper one', async () => {
    const dear = await open('a-dear', FAST_STEP_MS, '4000000')
    const cheap = await open('b-cheap', FAST_STEP_MS, '1000000')
    await gatePassed(api)
    const first = await start(cheap, await submit())
    const second = await start(dear, await submit())
    await finish(first)
    await finish(second)
  })
})

test('a video that waited for another pool as long as it would have taken where there is room goes there', async () => {
  const slow = await open('a-slow', 60)
  const fast = await open('b-fast', 1)
  await gatePassed(api)
  // It says that it is nearly done, and never is.
  const stuck = await start(fast, await submit())
  await atStep(stuck, STEPS)
  const waiting = await submit()
  await finish(await start(slow, waiting))
  await finish(stuck)
})
