import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseCatalogue } from '@sluice/shared/catalogue-file'
import { Catalogue } from '@sluice/shared/models/catalogue'
import { pino } from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import { readWorkerConfig } from '../../apps/worker/src/config.ts'
import { type RunningWorker, startWorker } from '../../apps/worker/src/worker.ts'
import { eventually } from '../support/eventually.ts'
import { type HandAttempt, HandWorker } from '../support/hand-worker.ts'
import { operatorOf } from '../support/operator.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

const MODELS = JSON.stringify({
  models: [
    { id: 'ink', base: 'animatic' },
    { id: 'clay', base: 'animatic' },
  ],
})
/** How long a video may be passed over: longer than the slowest machine takes for all that a test makes. */
const BOUND_MS = 600_000
const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 5 }

let api: TestApi
let folder: string
let pools = 0
let pool: string

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-switches-'))
  writeFileSync(join(folder, 'models.json'), MODELS)
  const { models } = parseCatalogue('models.json', MODELS)
  api = await startTestApi({
    catalogue: new Catalogue(models),
    switchMs: BOUND_MS,
    switchWaitMsMax: BOUND_MS,
  })
})
afterAll(async () => {
  await api.stop()
  rmSync(folder, { recursive: true })
})
beforeEach(() => {
  pools += 1
  pool = `switches-${pools}`
})

const submit = async (model: string, key?: string, fields: object = {}): Promise<string> =>
  (await api.call('POST', '/v1/videos', { ...SMALL, model, ...fields }, key === undefined ? {} : { key }))
    .body.id
const completed = (id: string) =>
  eventually(
    async () => (await operatorOf(api).must('GET', `/v1/admin/videos/${id}`)).internal_status,
    (status) => status === 'completed',
  )
/** The attempts of these videos that switched models first. */
async function switches(ids: readonly string[]): Promise<number> {
  const { rows } = await api.context.db.query<{ count: number }>({
    text: `select count(*)::int as count from attempt
      where video_id = any ($1) and (result->'timings'->>'load')::float8 > 0`,
    values: [ids],
  })
  return rows[0]?.count ?? 0
}

/** Has the device have been at it for so long, as the API saw it. */
async function ranFor(attempt: HandAttempt, seconds: number): Promise<void> {
  await attempt.report({ type: 'started' })
  await api.context.db.query({
    text: `update attempt set started_at = now() - $2 * interval '1 second' where video_id = $1`,
    values: [attempt.job.video, seconds],
  })
  await attempt.report({ type: 'released' })
}

/** A real worker with the animatic runner, whose one slot begins with the first of these models. */
async function realWorker(models: string): Promise<RunningWorker> {
  const { queue } = api.config
  const config = readWorkerConfig({
    PATH: process.env.PATH ?? '',
    SLUICE_API_URL: api.url,
    SLUICE_WORKER_TOKEN: api.workerToken,
    ...(queue.backend === 'redis' ? { REDIS_URL: queue.url } : { SLUICE_QUEUE_URL: api.database.queueUrl }),
    SLUICE_POOL: pool,
    SLUICE_DATA_DIR: join(folder, `worker-${pool}-${models}`),
    SLUICE_CATALOGUE: join(folder, 'models.json'),
    SLUICE_MODEL: models,
    SLUICE_ANIMATIC_STEP_MS: '10',
    SLUICE_ANIMATIC_SWITCH_MS: '100',
    SLUICE_GRACE_MS: '1000',
    SLUICE_LOG: 'silent',
  })
  const worker = await startWorker(config, pino({ level: config.logLevel }))
  onTestFinished(() => worker.shutDown())
  await eventually(
    async () => (await readWorkers()).find(({ id }) => id === worker.worker),
    (found) => found?.slots === 1,
  )
  return worker
}

type ListedWorker = { id: string; queue: string; slots: number; loaded: { slot: number; model: string }[] }
async function readWorkers(): Promise<ListedWorker[]> {
  return (await operatorOf(api).must('GET', '/v1/admin/workers')).data
}

describe('one slot', () => {
  test('that is asked for two models in turns makes the videos of one after the other, and switches seldom', async () => {
    const accounts = [await api.account(1_000_000_000n), await api.account(1_000_000_000n)]
    for (let turn = 0; turn < 4; turn += 1)
      for (const [index, model] of ['ink', 'clay'].entries()) await submit(model, accounts[index]?.key)
    await using worker = new HandWorker(api, { pool })
    const models = ['ink', 'clay']
    let loaded = 'ink'
    await worker.heartbeat([], { models, loaded: [{ slot: 0, model: loaded }] })
    const made: string[] = []
    for (let count = 0; count < 8; count += 1) {
      const attempt = await worker.fetch()
      const { model = '' } = attempt.job
      const isSwitch = model !== loaded
      loaded = model
      made.push(model)
      await worker.heartbeat([attempt.owned], { models, loaded: [{ slot: 0, model }] })
      const result = await attempt.upload()
      if (isSwitch) await ranFor(attempt, 5)
      await attempt.report({
        type: 'finished',
        result: { ...result, timings: isSwitch ? { load: 2, denoise: 1 } : { denoise: 1 } },
      })
    }
    // In the plain order there would be seven switches.
    expect(made).toEqual([...Array(4).fill('ink'), ...Array(4).fill('clay')])
    const { rows } = await api.context.db.query<{ switch_ms: number }>({
      text: 'select switch_ms from switch_pace where pool = $1',
      values: [pool],
    })
    expect(rows).toEqual([{ switch_ms: 2_000 }])
    const metrics = await fetch(`${api.url}/metrics`, {
      headers: { authorization: `Bearer ${api.adminKey}` },
    })
    expect(await metrics.text()).toContain(`sluice_model_switches_total{pool="${pool}"} 1\n`)
    await worker.heartbeat([], { models, draining: true })
  })

  test('passes over a fairer video until the bound has gone by, and then makes it whatever is loaded', async () => {
    const [first, second] = [await api.account(1_000_000_000n), await api.account(1_000_000_000n)]
    const passedOver = await submit('clay', first.key)
    const [one, two] = [await submit('ink', second.key), await submit('ink', second.key)]
    const models = ['ink', 'clay']
    const loaded = (model: string) => ({ models, loaded: [{ slot: 0, model }] })
    await using early = new HandWorker(api, { pool })
    await early.heartbeat([], loaded('ink'))
    const attempt = await early.fetch()
    expect(attempt.job).toMatchObject({ video: one, model: 'ink' })
    const { rows } = await api.context.db.query<{ id: string }>({
      text: 'select id from video where passed_over_at is not null and id = any ($1)',
      values: [[passedOver, one, two]],
    })
    expect(rows.map(({ id }) => id)).toEqual([passedOver])
    const result = await attempt.upload()
    await early.heartbeat([attempt.owned], { models, draining: true })
    await attempt.report({ type: 'finished', result })
    await api.context.db.query({
      text: `update video set passed_over_at = now() - $2 * interval '1 ms' where id = $1`,
      values: [passedOver, BOUND_MS],
    })
    // On a queue of its own, whose heads the gate has not read yet.
    await using late = new HandWorker(api, { pool: `${pool}-late` })
    await late.heartbeat([], loaded('ink'))
    const next = await late.fetch()
    expect(next.job.video).toBe(passedOver)
    await late.heartbeat([next.owned], loaded('clay'))
    await next.report({ type: 'finished', result: await next.upload() })
    const last = await late.fetch()
    expect(last.job.video).toBe(two)
    await last.report({ type: 'finished', result: await last.upload() })
    await late.heartbeat([], { models, draining: true })
  })

  test('never keeps a video of a higher tier waiting for what it has loaded', async () => {
    const flexible = await submit('ink')
    const urgent = await submit('clay', undefined, { service_tier: 'priority' })
    await using worker = new HandWorker(api, { pool })
    await worker.heartbeat([], { models: ['ink', 'clay'], loaded: [{ slot: 0, model: 'ink' }] })
    const attempt = await worker.fetch()
    expect(attempt.job.video).toBe(urgent)
    await worker.heartbeat([attempt.owned], { models: ['ink', 'clay'], draining: true })
    for (const id of [urgent, flexible]) await api.call('POST', `/v1/videos/${id}/cancel`)
  })
})

describe('workers of one queue', () => {
  test('are given each video with the word for which of them it is meant: who has its model loaded', async () => {
    await using ink = new HandWorker(api, { pool })
    await using clay = new HandWorker(api, { pool })
    const models = ['ink', 'clay']
    await ink.heartbeat([], { models, loaded: [{ slot: 0, model: 'ink' }] })
    await clay.heartbeat([], { models, loaded: [{ slot: 0, model: 'clay' }] })
    for (const model of ['clay', 'ink', 'clay', 'ink']) {
      const id = await submit(model)
      // Any of them may fetch it.
      const { job } = await ink.fetch()
      expect(job).toMatchObject({ video: id, model, loaded: model })
      await api.call('POST', `/v1/videos/${id}/cancel`)
    }
    for (const worker of [ink, clay]) await worker.heartbeat([], { models, draining: true })
  })

  test('make the videos of one that has their model loaded and takes nothing', async () => {
    const real = await realWorker('ink,clay')
    const queue = (await readWorkers()).find(({ id }) => id === real.worker)?.queue ?? ''
    await using silent = new HandWorker(api, { pool, queue })
    const models = ['ink', 'clay']
    const modes: ('t2v' | 't2i2v' | 'i2v')[] = ['t2v', 't2i2v', 'i2v']
    await silent.heartbeat([], { models, modes, loaded: [{ slot: 0, model: 'clay' }] })
    const id = await submit('clay')
    await completed(id)
    expect(await switches([id])).toBe(1)
    await silent.heartbeat([], { models, modes, draining: true })
  })

  test('that say no more of their slots than the contract allows are heard, and the others are refused with the field', async () => {
    await using worker = new HandWorker(api, { pool })
    const models = ['ink', 'clay']
    await worker.heartbeat([], { models, slots: 0, loaded: [{ slot: 3, model: 'ink' }] })
    const listed = (await readWorkers()).find(({ id }) => id === worker.id)
    expect(listed?.loaded).toEqual([{ slot: 3, model: 'ink' }])
    const wrong = [
      [{ slot: -1, model: 'ink' }],
      [{ slot: 2_000_000, model: 'ink' }],
      [{ slot: 0, model: 'a\u0000b' }],
      [{ slot: 0, model: 'x'.repeat(1_000) }],
      Array.from({ length: 2_000 }, (_, slot) => ({ slot: slot % 8, model: 'ink' })),
    ]
    for (const loaded of wrong) {
      const answer = await worker.heartbeatRaw([], { models, slots: 0, loaded })
      expect(answer).toMatchObject({ status: 400, body: { error: { code: 'invalid_value' } } })
      expect(answer.body.error.param).toMatch(/^loaded/)
    }
    // Workers from before this was known leave it out.
    await worker.heartbeat([], { models, slots: 0 })
    expect((await readWorkers()).find(({ id }) => id === worker.id)?.loaded).toEqual([])
  })
})
