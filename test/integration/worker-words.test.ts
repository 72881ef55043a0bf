import { randomBytes } from 'node:crypto'
import type { Heartbeat, ReportBody } from '@sluice/shared/attempt-contract'
import { newClaim } from '@sluice/shared/ids'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { giveUpAttempt } from '../../apps/api/src/attempts/give-up.ts'
import { runSql } from '../../bench/rig/accounts.ts'
import { type HandAttempt, HandWorker } from '../support/hand-worker.ts'
import { callJson, startTestApi, type TestApi } from '../support/start-api.ts'
import { storeWith } from '../support/store-with.ts'

let api: TestApi
let worker: HandWorker
let poolNumber = 0

beforeAll(async () => {
  api = await startTestApi({ attemptsMax: 3 })
})
afterAll(() => api.stop())
beforeEach(async () => {
  worker = new HandWorker(api, { pool: `words${poolNumber++}` })
  await worker.heartbeat()
})
afterEach(async () => {
  await worker.heartbeat([], { draining: true })
  await worker.close()
})

const submit = async (): Promise<string> =>
  (await api.call('POST', '/v1/videos', { prompt: 'a paper boat', num_frames: 5, num_steps: 10 })).body.id
const admin = async (id: string) =>
  (await api.call('GET', `/v1/admin/videos/${id}`, undefined, { key: api.adminKey })).body
const cancel = (id: string) => api.call('POST', `/v1/videos/${id}/cancel`)
const started = async (): Promise<HandAttempt> => {
  await submit()
  const attempt = await worker.fetch()
  await attempt.report({ type: 'taken', slot: 0 })
  await attempt.report({ type: 'started' })
  return attempt
}

/** What JSON can say that no column can hold, or nobody can mean. */
const UNSTORABLE = ['a\u0000b', 'half \ud800 a pair']
const TOO_LONG = 'x'.repeat(100_000)
const ABSURD = [2 ** 31, Number.MAX_SAFE_INTEGER, 1e306]

describe('what a worker says', () => {
  test('of a failure is kept so that it can be read, whatever a runner printed: the attempt ends', async () => {
    const { job, report } = await started()
    const message = `Segmentation fault\u0000\ud800 ${TOO_LONG}`
    await report({ type: 'failed', code: 'runner_exited', message, retryable: true, step: 1 })
    const [attempt] = (await admin(job.video)).attempts
    expect(attempt).toMatchObject({ outcome: 'failed', error: { code: 'runner_exited' } })
    expect(attempt.error.message).toMatch(/^Segmentation fault\uFFFD\uFFFD x{100}/)
    expect(attempt.error.message.length).toBeLessThanOrEqual(2_000)
    await cancel(job.video)
  })

  test('in a report is stored or refused with the field: never a 500, whatever the value', async () => {
    const { job, reportRaw } = await started()
    const bodies: object[] = [
      ...ABSURD.flatMap((step) => [
        { type: 'progress', phase: 'denoise', step, remaining_ms: 0 },
        { type: 'checkpoint', step, bytes: 1 },
        { type: 'taken', slot: step },
        { type: 'cancelled', step },
        { type: 'yielded', step },
        { type: 'failed', code: 'internal', message: '', retryable: true, step },
      ]),
      ...UNSTORABLE.map((phase) => ({ type: 'progress', phase, step: 1, remaining_ms: 0 })),
      ...[...UNSTORABLE, TOO_LONG, ''].map((name) => ({ type: 'started', worker: name })),
    ]
    for (const body of bodies) {
      expect(await reportRaw(body as ReportBody), JSON.stringify(body).slice(0, 100)).toMatchObject({
        status: 400,
        body: { error: { code: 'invalid_value', param: expect.any(String) } },
      })
    }
    // An estimate has no wrong value, only one that says no more than a week.
    for (const remaining_ms of [...ABSURD, 0.5]) {
      const answer = await reportRaw({ type: 'progress', phase: 'denoise', step: 2, remaining_ms })
      expect(answer).toMatchObject({ status: 200, body: { verdict: 'continue' } })
    }
    expect(await admin(job.video)).toMatchObject({ progress: 20, attempts: [{ outcome: null }] })
    await cancel(job.video)
  })

  test('in a heartbeat is stored or refused with the field, and what was known before stands', async () => {
    const limits = { frames_max: 129, pixels_max: 589_824 }
    const owned = { video: 'video_x', fence: 1, claim: newClaim() }
    const wrong: Partial<Heartbeat>[] = [
      ...[...UNSTORABLE, TOO_LONG, ''].flatMap((text) => [
        { worker: text },
        { boot: text },
        { pool: text },
        { device: text },
        { models: ['animatic', text] },
        { cost_per_hour_micros: text },
        { attempts: [{ ...owned, video: text }] },
        { attempts: [{ ...owned, claim: text }] },
      ]),
      ...ABSURD.flatMap((amount) => [
        { slots: amount },
        { devices_per_slot: amount },
        { limits: { ...limits, frames_max: amount } },
        { limits: { ...limits, pixels_max: amount } },
        { limits: { ...limits, sequence_devices: amount } },
        { attempts: [{ ...owned, fence: amount }] },
      ]),
      { vram_bytes: 1e306 },
      { cost_per_hour_micros: '9'.repeat(18) },
      { models: Array.from({ length: 1_001 }, (_, index) => `model-${index}`) },
      { attempts: Array.from({ length: 4_097 }, () => owned) },
    ]
    for (const changes of wrong) {
      expect(await worker.heartbeatRaw([], changes), JSON.stringify(changes).slice(0, 100)).toMatchObject({
        status: 400,
        body: { error: { code: 'invalid_value', param: expect.any(String) } },
      })
    }
    const { data } = (await api.call('GET', '/v1/admin/workers', undefined, { key: api.adminKey })).body
    expect(data.find(({ id }: { id: string }) => id === worker.id)).toMatchObject({ slots: 1, device: 'cpu' })
  })

  test('that the database refuses all the same is a 400 in a report, and as a result it counts as none', async () => {
    const attempt = await started()
    const { video } = attempt.job
    await runSql(api.database.adminUrl, [
      'alter table attempt add constraint no_slot check (slot is null or slot < 5)',
      `alter table attempt add constraint no_result check (video_id <> '${video}' or result is null)`,
    ])
    expect(await attempt.reportRaw({ type: 'taken', slot: 5 })).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_value', message: expect.stringContaining('no_slot') } },
    })
    await attempt.upload()
    await giveUpAttempt(api.context, video, attempt.job.fence)
    const view = await admin(video)
    expect(view.status).toMatch(/queued|in_progress/)
    expect(view.attempts[0]).toMatchObject({ outcome: 'lost' })
    await cancel(video)
  })

  test('it measured is left out where it is no measure, and never costs finished work', async () => {
    const { job, upload, reportRaw } = await started()
    const result = await upload()
    const timings = {
      denoise: 2,
      decode: 1e306,
      load: -1,
      encode: 'long',
      ['x'.repeat(65)]: 1,
      'a\u0000b': 1,
      ...Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`phase${index}`, index])),
    }
    const absurd = { ...result, timings, peak_vram_bytes: 1e306 } as unknown as typeof result
    expect(await reportRaw({ type: 'finished', result: absurd })).toMatchObject({ status: 200 })
    const view = await admin(job.video)
    expect(view).toMatchObject({ status: 'completed' })
    expect(view.attempts[0].timings).toMatchObject({ denoise: 2, phase1: 1 })
    expect(Object.keys(view.attempts[0].timings)).toHaveLength(32)
    for (const phase of ['decode', 'load', 'encode']) expect(view.attempts[0].timings[phase]).toBeUndefined()
  })

  test('of its own times moves neither the pace nor the queue by more than the API saw pass', async () => {
    const { job, upload, report } = await started()
    const result = await upload()
    await api.context.db.query({
      text: `update attempt set started_at = now() - interval '20 seconds' where video_id = $1`,
      values: [job.video],
    })
    await report({ type: 'released' })
    await report({
      type: 'finished',
      result: { ...result, steps_run: 10_000, timings: { denoise: 86_400, load: 0 } },
    })
    const { rows } = await api.context.db.query<{ step_ms: number; overhead_ms: number }>({
      text: 'select step_ms, overhead_ms from pace where pool = $1',
      values: [job.pool],
    })
    expect(rows).toHaveLength(1)
    // Ten steps in the 20 s that were seen.
    expect(rows[0]?.step_ms).toBeGreaterThan(1_900)
    expect(rows[0]?.step_ms).toBeLessThan(2_500)
    for (const [table, column, value] of [
      ['pace', 'step_ms', 'infinity'],
      ['pace', 'overhead_ms', 'NaN'],
      ['gate_clock', 'virtual_ms', 'infinity'],
      ['gate_tag', 'finish_ms', 'NaN'],
    ] as const) {
      await api.context.db.query({
        text: `insert into gate_tag select 'flex', id, 0 from account limit 1 on conflict do nothing`,
      })
      await expect(
        api.context.db.query({ text: `update ${table} set ${column} = '${value}'` }),
      ).rejects.toMatchObject({ code: '23514' })
    }
  })
})

describe('who may take an attempt', () => {
  const otherToken = async (): Promise<string> => {
    const made = await callJson(api.url, api.adminKey, 'POST', '/v1/admin/keys', {
      name: 'another host',
      scope: 'worker',
    })
    expect(made.status).toBeLessThan(300)
    return made.body.key
  }
  const beatAs = (token: string, changes: Partial<Heartbeat>) =>
    callJson(api.url, token, 'POST', '/internal/heartbeat', {
      worker: `worker_${randomBytes(4).toString('hex')}`,
      boot: 'boot',
      slots: 0,
      device: 'cpu',
      devices_per_slot: 1,
      vram_bytes: 0,
      models: ['animatic'],
      limits: { frames_max: 129, pixels_max: 589_824 },
      cost_per_hour_micros: null,
      draining: false,
      attempts: [],
      ...changes,
    })

  test('a worker of another pool, or under another token, reads nothing of it and settles nothing', async () => {
    const id = await submit()
    const attempt = await worker.fetch()
    const token = await otherToken()
    const other = 'worker_of_another_pool'
    expect((await beatAs(token, { worker: other, pool: 'elsewhere' })).status).toBe(200)
    const result = { ...(await resultOf(attempt)), claim: attempt.claim }
    for (const [stranger, key] of [
      [other, token],
      [other, api.workerToken],
      [worker.id, token],
    ] as const) {
      for (const body of [
        { type: 'taken', slot: 0 },
        { type: 'failed', code: 'bad_input', message: 'no', retryable: false, step: 0 },
        { type: 'finished', result },
      ] as const) {
        const answer = await attempt.reportRaw(body, { worker: stranger, token: key })
        expect(answer.body.assignment).toBeUndefined()
        if (answer.status === 200) expect(answer.body).toEqual({ verdict: 'stop' })
        else expect(answer.status).toBe(400)
      }
    }
    expect(await admin(id)).toMatchObject({ attempts: [{ claim: null, outcome: null }] })
    expect(await attempt.report({ type: 'taken', slot: 0 })).toMatchObject({ verdict: 'continue' })
    await cancel(id)
  })

  test('a worker that was not heard of is asked for a heartbeat first, and gets it then', async () => {
    const id = await submit()
    const attempt = await worker.fetch()
    const silent = new HandWorker(api, { pool: attempt.job.pool })
    const late = silent.own(attempt.job)
    expect(await late.reportRaw({ type: 'taken', slot: 0 })).toMatchObject({
      status: 503,
      body: { error: { code: 'unavailable', message: expect.stringContaining('heartbeat') } },
    })
    // A lease keeps nobody alive who never had the attempt.
    expect(await silent.heartbeat([late.owned], { slots: 0 })).toMatchObject({
      attempts: [{ verdict: 'stop' }],
    })
    // One that was heard of long ago is as good as unknown.
    const age = (seconds: number) =>
      api.context.db.query({
        text: 'update worker set heartbeat_at = now() - make_interval(secs => $2) where id = $1',
        values: [silent.id, seconds],
      })
    await age(3_600)
    expect(await late.reportRaw({ type: 'taken', slot: 0 })).toMatchObject({ status: 503 })
    await age(0)
    expect(await late.report({ type: 'taken', slot: 0 })).toMatchObject({ verdict: 'continue' })
    await cancel(id)
    await silent.close()
  })
})

describe('a finished video', () => {
  test('whose file is missing, or of another size, is not completed and not charged, and is made again', async () => {
    const { job, upload, reportRaw } = await started()
    const result = await upload()
    const { store } = api.context
    const absent = { ...result, claim: newClaim() }
    expect(await reportRaw({ type: 'finished', result: absent }, { claim: absent.claim })).toMatchObject({
      status: 200,
      body: { verdict: 'stop' },
    })
    const larger = { ...result, files: { ...result.files, video: { bytes: result.files.video.bytes + 1 } } }
    expect(await reportRaw({ type: 'finished', result: larger })).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_value', message: expect.stringMatching(/video.mp4 has \d+ bytes/) } },
    })
    expect((await admin(job.video)).attempts[0]).toMatchObject({
      outcome: 'failed',
      error: { code: 'bad_output' },
    })
    const again = await worker.fetch()
    expect(again.job.video).toBe(job.video)
    const second = await again.upload()
    await store.deletePrefix(`videos/${job.video}/${again.job.fence}-${again.claim}`)
    expect(await again.reportRaw({ type: 'finished', result: second })).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringContaining('video.mp4 is not in the store') } },
    })
    const third = await worker.fetch()
    expect(await third.report({ type: 'finished', result: await third.upload() })).toEqual({
      verdict: 'continue',
    })
    const view = await admin(job.video)
    expect(view).toMatchObject({ status: 'completed', usage: { steps: 10 } })
    expect(view.transfers.map(({ kind }: { kind: string }) => kind)).toEqual(['hold', 'settle'])
  })

  test('is waited for while the store cannot be asked: the worker says it again, and nothing is lost', async () => {
    const { job, upload, report, reportRaw } = await started()
    const result = await upload()
    const { internal } = api.api.context
    const { store } = internal
    internal.store = storeWith(store, {
      copy: async () => {
        throw new Error('connection refused')
      },
    })
    try {
      expect(await reportRaw({ type: 'finished', result })).toMatchObject({
        status: 503,
        body: { error: { code: 'unavailable' } },
      })
    } finally {
      internal.store = store
    }
    expect(await admin(job.video)).toMatchObject({ attempts: [{ outcome: null }] })
    await report({ type: 'finished', result })
    expect(await admin(job.video)).toMatchObject({ status: 'completed' })
  })
})

/** A result as a stranger would make it up. */
async function resultOf({ job, claim }: HandAttempt) {
  const file = { bytes: 1 }
  return {
    video: job.video,
    fence: job.fence,
    claim,
    files: { video: file, thumbnail: file, spritesheet: file },
    steps_run: 10,
    steps: 10,
    timings: {},
    peak_vram_bytes: 0,
    seed: 1,
  }
}
