import { parseCatalogue } from '@sluice/shared/catalogue-file'
import { Catalogue } from '@sluice/shared/models/catalogue'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { operatorOf } from '../support/operator.ts'
import { recoverSilent } from '../support/recover-silent.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

const catalogue = new Catalogue(
  parseCatalogue(
    'models.json',
    JSON.stringify({
      models: ['ink-wash', 'studio'].map((id) => ({ id, base: 'animatic', prices: { '256px': '0.1' } })),
    }),
  ).models,
)

let api: TestApi
const workers: HandWorker[] = []
const submitted: string[] = []

beforeAll(async () => {
  api = await startTestApi({ catalogue })
})
afterAll(() => api.stop())
afterEach(async () => {
  for (const id of submitted.splice(0)) await api.call('POST', `/v1/videos/${id}/cancel`)
  for (const worker of workers.splice(0)) {
    await worker.heartbeat([], { draining: true })
    await worker.close()
  }
})

const join = (pool: string, queue: string): HandWorker => {
  const worker = new HandWorker(api, { pool, queue })
  workers.push(worker)
  return worker
}
const submit = async (model = 'animatic', fields: object = {}): Promise<string> => {
  const answer = await api.call('POST', '/v1/videos', {
    prompt: 'x',
    num_frames: 5,
    num_steps: 10,
    model,
    ...fields,
  })
  expect(answer.status).toBe(200)
  submitted.push(answer.body.id)
  return answer.body.id
}
const makeOn = async (worker: HandWorker, video: string): Promise<void> => {
  const attempt = await worker.fetch()
  expect(attempt.job.video).toBe(video)
  await attempt.report({ type: 'finished', result: await attempt.upload() })
}
const admin = (id: string) => operatorOf(api).must('GET', `/v1/admin/videos/${id}`)
const workerShown = async (id: string) =>
  (await operatorOf(api).must('GET', '/v1/admin/workers')).data.find(
    (worker: { id: string }) => worker.id === id,
  )
/** As if it had been dispatched so long ago; nobody has taken it. */
const dispatchedAgo = async (id: string, seconds: number): Promise<void> => {
  await eventually(
    () => admin(id),
    (video) => video.internal_status === 'dispatched',
  )
  await api.context.db.query({
    text: `update attempt
      set dispatched_at = now() - make_interval(secs => $2), heartbeat_at = now() - make_interval(secs => $2)
      where video_id = $1 and ended_at is null`,
    values: [id, seconds],
  })
}
const endPauses = () =>
  api.context.db.query({ text: 'update queue_delivery set paused_until = now() where paused_until > now()' })

test('a worker that joins a pool and serves other models or sizes takes nothing away from it, and each gets what it serves', async () => {
  const first = join('h100x1', 'h100x1.ink')
  const ink = { models: ['ink-wash'] }
  await first.heartbeat([], ink)
  const second = join('h100x1', 'h100x1.studio')
  const small = { frames_max: 5, pixels_max: 70_000 }
  const studio = { models: ['studio'], limits: small }
  await second.heartbeat([], studio)
  await makeOn(first, await submit('ink-wash', { num_frames: 9 }))
  await makeOn(second, await submit('studio'))
  // Both are workers of one pool to their operator.
  expect(await workerShown(first.id)).toMatchObject({ pool: 'h100x1', queue: 'h100x1.ink', untaken: 0 })
  expect(await workerShown(second.id)).toMatchObject({ pool: 'h100x1', queue: 'h100x1.studio' })
})

test('a model is added to the workers of a pool one after another, and the pool makes the old one all the time', async () => {
  const [one, two] = [join('rolling', 'rolling.old'), join('rolling', 'rolling.old')]
  const before = { models: ['ink-wash'] }
  const after = { models: ['ink-wash', 'studio'] }
  await one.heartbeat([], before)
  await two.heartbeat([], before)
  await one.heartbeat([], { ...before, draining: true })
  await makeOn(two, await submit('ink-wash'))
  const changed = join('rolling', 'rolling.new')
  await changed.heartbeat([], after)
  await makeOn(changed, await submit('studio'))
  await two.heartbeat([], { ...before, draining: true })
  await makeOn(changed, await submit('ink-wash'))
})

test('a video that a pool does not take goes to another one that is idle, and so do those after it; metrics and workers say so', async () => {
  const deaf = join('a-deaf', 'a-deaf')
  await deaf.heartbeat()
  const first = await submit()
  await eventually(
    () => admin(first),
    (video) => video.internal_status === 'dispatched',
  )
  const well = join('b-well', 'b-well')
  await well.heartbeat()
  await dispatchedAgo(first, 6)
  const attempt = await well.fetch()
  expect(attempt.job).toMatchObject({ video: first })
  expect(await admin(first)).toMatchObject({ failures_in_a_row: 0 })
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  await makeOn(well, await submit())
  expect(await workerShown(deaf.id)).toMatchObject({ untaken: 1 })
  expect(await workerShown(well.id)).toMatchObject({ untaken: 0 })
  const metrics = await fetch(`${api.url}/metrics`, { headers: { authorization: `Bearer ${api.adminKey}` } })
  const text = await metrics.text()
  expect(text).toContain('sluice_untaken_dispatches_total{pool="a-deaf"} 1')
  expect(text).toContain('sluice_untaken_in_a_row{pool="a-deaf"} 1')
  expect((await fetch(`${api.url}/ready`)).status).toBe(200)
})

test('a pool that leaves everything untaken gets one video at a time, with pauses, until one is taken', async () => {
  const deaf = join('alone', 'alone')
  await deaf.heartbeat([], { slots: 4 })
  const ids = [await submit(), await submit(), await submit()]
  for (const id of ids) await dispatchedAgo(id, 30)
  const config = { ...api.config, timings: { ...api.config.timings, leaseMs: 20_000 } }
  const giveUp = () => recoverSilent({ ...api.context, config })
  await giveUp()
  // Those that were put there together count as one.
  expect(await workerShown(deaf.id)).toMatchObject({ untaken: 1 })
  const ready = await eventually(
    () => fetch(`${api.url}/ready`, { headers: { authorization: `Bearer ${api.adminKey}` } }),
    (answer) => answer.status === 503,
  )
  expect(await ready.json()).toMatchObject({
    missing: [{ part: 'worker', problem: expect.stringContaining('pool alone (the last 1)') }],
  })
  await endPauses()
  const dispatched = async () => {
    const videos = await Promise.all(ids.map(admin))
    return videos.filter(({ internal_status }) => internal_status === 'dispatched').map(({ id }) => id)
  }
  const [tried] = await eventually(dispatched, (found) => found.length > 0)
  await dispatchedAgo(tried ?? '', 30)
  expect(await dispatched()).toHaveLength(1)
  await giveUp()
  expect(await workerShown(deaf.id)).toMatchObject({ untaken: 2 })
  await endPauses()
  // Now somebody reads the queue: the oldest jobs in it are those that were given up.
  const takeCurrent = async (): Promise<string> => {
    for (;;) {
      const attempt = await deaf.fetch()
      if ((await attempt.report({ type: 'taken', slot: 0 })).verdict === 'continue') return attempt.job.video
    }
  }
  const taken = [await takeCurrent(), await takeCurrent(), await takeCurrent()]
  expect(taken.toSorted()).toEqual(ids.toSorted())
  expect(await workerShown(deaf.id)).toMatchObject({ untaken: 0 })
  await eventually(
    () => fetch(`${api.url}/ready`),
    (answer) => answer.status === 200,
  )
})

test('a worker that says anew that it has slots is believed', async () => {
  const deaf = join('mended', 'mended')
  await deaf.heartbeat()
  const id = await submit()
  await dispatchedAgo(id, 30)
  const config = { ...api.config, timings: { ...api.config.timings, leaseMs: 20_000 } }
  await recoverSilent({ ...api.context, config })
  await api.context.db.query({ text: `update queue_delivery set paused_until = now() + interval '1 hour'` })
  await deaf.heartbeat([], { slots: 0 })
  expect(await workerShown(deaf.id)).toMatchObject({ untaken: 1 })
  await deaf.heartbeat([], { slots: 1 })
  expect(await workerShown(deaf.id)).toMatchObject({ untaken: 0 })
  await eventually(
    () => admin(id),
    (video) => video.internal_status === 'dispatched',
  )
})
