import { afterAll, beforeAll, expect, test } from 'vitest'
import { HandWorker } from '../support/hand-worker.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi
beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.stop())

/** Another process with the id of `worker`. */
const twinOf = (worker: HandWorker) => new HandWorker(api, { pool: 'twins', id: worker.id })
const verdictOn = async (worker: HandWorker, owned: { video: string; fence: number; claim: string }) =>
  (await worker.heartbeat([owned])).attempts[0]?.verdict

async function workerAtWork() {
  const worker = new HandWorker(api, { pool: 'twins' })
  await worker.heartbeat([], { predecessors: [] })
  await api.call('POST', '/v1/videos', { prompt: 'x', num_frames: 5 })
  const attempt = await worker.fetch()
  await attempt.report({ type: 'taken', slot: 0 })
  return { worker, attempt }
}

test('a process with the id of a live worker is refused until it takes another, and the live one keeps its attempts', async () => {
  const { worker, attempt } = await workerAtWork()
  await using twin = twinOf(worker)
  for (const predecessors of [[], ['a boot of long ago']]) {
    expect(await twin.heartbeatRaw([], { predecessors })).toMatchObject({
      status: 409,
      body: { error: { code: 'worker_id_in_use', message: expect.stringContaining(worker.id) } },
    })
  }
  expect(await verdictOn(worker, attempt.owned)).toBe('continue')
  await attempt.report({ type: 'failed', code: 'bad_input', message: 'x', retryable: false, step: 0 })
  await worker.heartbeat([], { draining: true })
  await worker.close()
})

test('a worker that starts again and knows that its earlier process is gone is that worker at once', async () => {
  const { worker, attempt } = await workerAtWork()
  await using again = twinOf(worker)
  await again.heartbeat([], { predecessors: ['one that was never heard of', worker.boot] })
  const next = await again.fetch()
  expect(next.job).toMatchObject({ video: attempt.job.video, fence: attempt.job.fence + 2 })
  await next.report({ type: 'failed', code: 'bad_input', message: 'x', retryable: false, step: 0 })
  await again.heartbeat([], { draining: true })
  await worker.close()
})

test('a process that was silent for long may be gone: another with its id is heard, and if it wakes it is told, once and for all', async () => {
  const { worker, attempt } = await workerAtWork()
  await api.context.db.query({
    text: `update worker set heartbeat_at = now() - interval '11 s' where id = $1`,
    values: [worker.id],
  })
  await using twin = twinOf(worker)
  await twin.heartbeat([], { predecessors: [] })
  const next = await twin.fetch()
  await next.report({ type: 'taken', slot: 0 })
  for (let beat = 0; beat < 2; beat += 1) {
    // Also while the one that took it over is silent itself.
    await api.context.db.query({
      text: `update worker set heartbeat_at = now() - interval '11 s' where id = $1`,
      values: [worker.id],
    })
    const woken = await worker.heartbeatRaw([attempt.owned], { predecessors: [] })
    expect(woken).toMatchObject({ status: 409, body: { error: { code: 'worker_id_in_use' } } })
    expect(await verdictOn(twin, next.owned)).toBe('continue')
  }
  await next.report({ type: 'failed', code: 'bad_input', message: 'x', retryable: false, step: 0 })
  await twin.heartbeat([], { draining: true })
  await worker.close()
})
