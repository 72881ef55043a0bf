import { parseCatalogue } from '@sluice/shared/catalogue-file'
import { capabilityOf } from '@sluice/shared/models/capability'
import { Catalogue } from '@sluice/shared/models/catalogue'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { operatorOf } from '../support/operator.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

/** Filled once the account is there. */
const members = new Set<string>()
const written = parseCatalogue(
  'models.json',
  JSON.stringify({
    models: [
      { id: 'open-sora-2', modes: ['t2v', 'i2v', 't2i2v'] },
      {
        id: 'ink-wash',
        base: 'open-sora-2',
        licence: 'ours',
        prices: { '256px': '0.31', '768px': '0.93' },
        resolutions: ['256px'],
      },
      { id: 'studio', base: 'open-sora-2', pool: 'studio-pool' },
      { id: 'secret', base: 'open-sora-2', accounts: [] },
      { id: 'large', base: 'open-sora-2', resolutions: ['768px'] },
    ],
  }),
)
const catalogue = new Catalogue(
  written.models.map((model) => (model.id === 'secret' ? { ...model, accounts: members } : model)),
)

let api: TestApi
beforeAll(async () => {
  api = await startTestApi({ catalogue })
})
afterAll(() => api.stop())

const small = { prompt: 'x', num_frames: 5, num_steps: 10 }
const submit = (fields: object, key?: string) =>
  api.call('POST', '/v1/videos', { ...small, ...fields }, key === undefined ? {} : { key })

/**
 * Runs `work` with a worker that offers these models and modes in a pool of its own; nothing is left to it
 * afterwards.
 */
async function withWorker(
  pool: string,
  offer: { models: string[]; modes?: ('t2v' | 't2i2v' | 'i2v')[] },
  work: (worker: HandWorker, beat: () => Promise<unknown>) => Promise<void>,
): Promise<void> {
  const worker = new HandWorker(api, { pool })
  const beat = () => worker.heartbeat([], offer)
  try {
    await beat()
    await work(worker, beat)
  } finally {
    await worker.heartbeat([], { ...offer, draining: true })
    await worker.close()
  }
}

const cancel = (id: string, key?: string) =>
  api.call('POST', `/v1/videos/${id}/cancel`, undefined, key === undefined ? {} : { key })

describe('a model of the operator’s own', () => {
  test('is listed with its base and licence, and held at its own price', async () => {
    const { data } = (await api.call('GET', '/v1/models')).body
    expect(data.find((model: { id: string }) => model.id === 'ink-wash')).toMatchObject({
      base: 'open-sora-2',
      licence: 'ours',
      owned_by: 'operator',
      is_default: false,
      is_available: false,
    })
    const quote = (await api.call('POST', '/v1/videos/quote', { prompt: 'x', model: 'ink-wash' })).body
    expect(quote).toMatchObject({
      price: { per_million_tokens: '0.31' },
      cost: { amount: '0.128898' },
      usage: { generated_tokens: 415_800 },
    })
    const video = (await submit({ model: 'ink-wash' })).body
    expect(video).toMatchObject({ model: 'ink-wash', status: 'queued' })
    await cancel(video.id)
  })

  test('makes the sizes its entry says and no others, and its default is one of them', async () => {
    expect((await submit({ model: 'ink-wash', size: '1024x576' })).body.error).toMatchObject({
      code: 'invalid_value',
      param: 'size',
    })
    const large = (await submit({ model: 'large' })).body
    expect(large.size).toBe('1024x576')
    await cancel(large.id)
    const price = { model: 'ink-wash', resolution: '768px', per_million: '1' }
    expect((await operatorOf(api).call('POST', '/v1/admin/prices', price)).body.error).toMatchObject({
      param: 'resolution',
    })
    const fitting = (
      await api.call('POST', '/v1/videos/quote', { prompt: 'x', model: 'large', max_tokens: 500_000 })
    ).body
    expect(fitting).toMatchObject({ within_limits: false, largest: { size: '1024x576' } })
  })

  test('that is private does not exist for other accounts, in the same words as one that was never there', async () => {
    const [member, stranger] = [await api.account(1_000_000_000n), await api.account(1_000_000_000n)]
    members.add(member.accountId)
    const idsFor = async (key: string) =>
      (await api.call('GET', '/v1/models', undefined, { key })).body.data.map(
        (model: { id: string }) => model.id,
      )
    expect(await idsFor(member.key)).toContain('secret')
    expect(await idsFor(stranger.key)).not.toContain('secret')
    const mine = await submit({ model: 'secret' }, member.key)
    expect(mine.status).toBe(200)
    const asked = await submit({ model: 'secret' }, stranger.key)
    const unknown = await submit({ model: 'sacred' }, stranger.key)
    expect(asked.status).toBe(400)
    expect(asked.body.error.message).not.toContain('studio, secret')
    expect({ ...asked.body.error, message: asked.body.error.message.replace('secret', 'sacred') }).toEqual(
      unknown.body.error,
    )
    await cancel(mine.body.id, member.key)
  })

  test('may stand in a key’s list and in the price list by its own name, and only models of the catalogue may', async () => {
    const operator = operatorOf(api)
    const account = await operator.account({ trial: '10' })
    const { key } = await operator.key(account, { models: ['ink-wash'] })
    const made = await submit({ model: 'ink-wash' }, key)
    expect(made.status).toBe(200)
    await cancel(made.body.id, key)
    expect((await submit({ model: 'open-sora-2' }, key)).body.error).toMatchObject({
      code: 'model_not_allowed',
    })
    const refused = await operator.call('POST', `/v1/admin/accounts/${account}/keys`, {
      models: ['ink-wash', 'sora-2'],
    })
    expect(refused.body.error).toMatchObject({ code: 'invalid_value', param: 'models.1' })
    await operator.must('POST', '/v1/admin/prices', {
      model: 'ink-wash',
      resolution: '256px',
      per_million: '0.5',
    })
    const quote = (await api.call('POST', '/v1/videos/quote', { ...small, model: 'ink-wash' })).body
    expect(quote.price.per_million_tokens).toBe('0.5')
  })
})

describe('a worker', () => {
  test('gets videos of the models it serves, named in the job, and of no others', async () => {
    const other = (await submit({ model: 'open-sora-2' })).body.id
    const own = (await submit({ model: 'ink-wash' })).body.id
    await withWorker('inks', { models: ['ink-wash'] }, async (worker) => {
      const attempt = await worker.fetch()
      expect(attempt.job).toMatchObject({ video: own, model: 'ink-wash' })
      const { assignment } = await attempt.report({ type: 'taken', slot: 0 })
      expect(assignment?.request.model).toBe('ink-wash')
      const { data } = (await api.call('GET', '/v1/models')).body
      expect(
        data
          .filter((model: { is_available: boolean }) => model.is_available)
          .map(({ id }: { id: string }) => id),
      ).toEqual(['ink-wash'])
      await attempt.report({ type: 'finished', result: await attempt.upload() })
    })
    expect((await api.call('GET', `/v1/videos/${other}`)).body.status).toBe('queued')
    await cancel(other)
  })

  test('of another pool gets none of a model with a pool of its own, though it serves it', async () => {
    const id = (await submit({ model: 'studio' })).body.id
    await withWorker('elsewhere', { models: ['studio', 'ink-wash'] }, async (worker) => {
      const behind = (await submit({ model: 'ink-wash' })).body.id
      const attempt = await worker.fetch()
      expect(attempt.job.video).toBe(behind)
      await attempt.report({ type: 'finished', result: await attempt.upload() })
    })
    await withWorker('studio-pool', { models: ['studio'] }, async (worker) => {
      const attempt = await worker.fetch()
      expect(attempt.job.video).toBe(id)
      await attempt.report({ type: 'finished', result: await attempt.upload() })
    })
  })

  test('without the image model gets no video of mode t2i2v, and one with it does', async () => {
    const id = (await submit({ model: 'open-sora-2', mode: 't2i2v' })).body.id
    await withWorker('plain', { models: ['open-sora-2'] }, async (worker) => {
      const behind = (await submit({ model: 'open-sora-2' })).body.id
      const attempt = await worker.fetch()
      expect(attempt.job.video).toBe(behind)
      await attempt.report({ type: 'finished', result: await attempt.upload() })
      const waiting = (await api.call('GET', `/v1/videos/${id}`)).body
      expect(waiting).toMatchObject({ status: 'queued', eta_seconds: null })
    })
    await withWorker('flux', { models: ['open-sora-2'], modes: ['t2v', 't2i2v', 'i2v'] }, async (worker) => {
      const attempt = await worker.fetch()
      expect(attempt.job.video).toBe(id)
      const { assignment } = await attempt.report({ type: 'taken', slot: 0 })
      expect(assignment?.request.mode).toBe('t2i2v')
      await attempt.report({ type: 'finished', result: await attempt.upload() })
    })
    expect((await submit({ model: 'animatic', mode: 't2i2v' })).body.error).toMatchObject({
      param: 'mode',
      code: 'invalid_value',
    })
  })

  test('that reads the same queue as another and serves other models gets only videos that both serve', async () => {
    const id = (await submit({ model: 'ink-wash' })).body.id
    await withWorker('mixed', { models: ['open-sora-2', 'ink-wash'] }, async (full, beat) => {
      const attempt = await full.fetch()
      await attempt.report({ type: 'finished', result: await attempt.upload() })
      await withWorker('mixed', { models: ['open-sora-2', 'large'] }, async () => {
        await beat()
        const waiting = [
          (await submit({ model: 'ink-wash' })).body.id,
          (await submit({ model: 'large' })).body.id,
        ]
        const both = (await submit({ model: 'open-sora-2' })).body.id
        // Either of the two may have taken it.
        await eventually(
          async () => (await operatorOf(api).must('GET', `/v1/admin/videos/${both}`)).internal_status,
          (status) => status === 'dispatched',
        )
        for (const one of waiting) {
          expect((await operatorOf(api).must('GET', `/v1/admin/videos/${one}`)).internal_status).toBe(
            'queued',
          )
          await cancel(one)
        }
        await cancel(both)
      })
      expect(attempt.job.video).toBe(id)
    })
  })

  test('over several devices gets only clips its sequence can be split for', async () => {
    // 33 x 12 x 21 + 512 = 8,828 is a multiple of 4, not of 8.
    const id = (await submit({ model: 'open-sora-2', num_frames: 129 })).body.id
    const offer = { models: ['open-sora-2'], devices_per_slot: 8 }
    for (const [limit, isTaken] of [
      [{ sequence_devices: 8 }, false],
      [{}, false],
      [{ sequence_devices: 1 }, true],
    ] as const) {
      const worker = new HandWorker(api, { pool: `split${JSON.stringify(limit).replaceAll(/\W/g, '')}` })
      const changes = { ...offer, limits: { frames_max: 129, pixels_max: 589_824, ...limit } }
      await worker.heartbeat([], changes)
      if (isTaken) {
        const attempt = await worker.fetch()
        expect(attempt.job.video).toBe(id)
        await attempt.report({ type: 'finished', result: await attempt.upload() })
      } else {
        const quote = async () =>
          (await api.call('POST', '/v1/videos/quote', { prompt: 'x', model: 'open-sora-2' })).body
        // Forecasts are kept for a second: the first may know a worker of the test before.
        await eventually(quote, (body) => body.eta_seconds === null)
      }
      await worker.heartbeat([], { ...changes, draining: true })
      await worker.close()
    }
  })
})

test('the database works out a video’s capability as the programs do', async () => {
  for (const mode of ['t2v', 't2i2v'] as const) {
    const { id } = (await submit({ model: 'open-sora-2', mode })).body
    const { rows } = await api.context.db.query<{ capability: string }>({
      text: 'select capability from video where id = $1',
      values: [id],
    })
    expect(rows[0]?.capability).toBe(capabilityOf({ model: 'open-sora-2', mode }))
    await cancel(id)
  }
})

test('a switch of models is the operator’s to see, and no part of the pace that is foretold', async () => {
  const { id } = (await submit({ model: 'ink-wash', num_frames: 9 })).body
  await withWorker('switching', { models: ['open-sora-2', 'ink-wash'] }, async (worker) => {
    const attempt = await worker.fetch()
    const result = await attempt.upload()
    await attempt.report({ type: 'started' })
    await attempt.report({ type: 'progress', phase: 'load', step: 0, remaining_ms: null })
    await api.context.db.query({
      text: `update attempt set started_at = now() - interval '3601 s' where video_id = $1`,
      values: [id],
    })
    await attempt.report({ type: 'released' })
    await attempt.report({ type: 'finished', result: { ...result, timings: { load: 3_600, denoise: 0.5 } } })
    const [shown] = (await operatorOf(api).must('GET', `/v1/admin/videos/${id}`)).attempts
    expect(shown.timings).toEqual({ load: 3_600, denoise: 0.5 })
    const { rows } = await api.context.db.query<{ overhead_ms: number }>({
      text: `select overhead_ms from pace where pool = 'switching' and capability = 'ink-wash'`,
    })
    expect(rows[0]?.overhead_ms).toBeGreaterThanOrEqual(500)
    expect(rows[0]?.overhead_ms).toBeLessThan(60_000)
  })
})
