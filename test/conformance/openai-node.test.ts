import { createReadStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import OpenAI7 from 'openai'
import OpenAI6 from 'openai-6'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ENDPOINT_EVENTS } from '../../apps/api/src/webhooks/event.ts'
import { type Fault, startFaultProxy } from '../support/fault-proxy.ts'
import { footprint } from '../support/footprint.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { quadrants } from '../support/images.ts'
import { operatorOf } from '../support/operator.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'
import { startWebhookReceiver } from '../support/webhook-receiver.ts'
import { type ErrorCase, errorCases, NODE_CLASSES } from './error-cases.ts'

/** The models the package's types name. */
const SORA: OpenAI7.VideoModel[] = [
  'sora-2',
  'sora-2-pro',
  'sora-2-2025-10-06',
  'sora-2-pro-2025-10-06',
  'sora-2-2025-12-08',
]

const PACKAGES = [
  ['newest', OpenAI7],
  ['6.x', OpenAI6],
] as const

describe.each(PACKAGES)('the openai package, %s', (_version, Package) => {
  let api: TestApi
  let client: OpenAI7
  beforeAll(async () => {
    api = await startTestApi({ webhookAllowHosts: new Set(['127.0.0.1']) })
    client = clientFor(api.key)
  })
  afterAll(() => api.stop())

  /** The two declare the same calls; the newer one's types stand for both. */
  const OpenAI = Package as typeof OpenAI7
  const clientFor = (apiKey: string, options: { baseURL?: string; maxRetries?: number } = {}) =>
    new OpenAI({ apiKey, baseURL: `${api.url}/v1`, ...options })
  /** Fields of this service beside the SDK's own; its types do not know them, its forms carry them. */
  const create = (sdk: OpenAI7, fields: Record<string, unknown> = {}) =>
    sdk.videos.create({
      prompt: 'a paper boat',
      num_frames: 5,
      num_steps: 10,
      ...fields,
    } as OpenAI7.VideoCreateParams)

  const refused = (call: Promise<unknown>): Promise<unknown> =>
    call.then(
      (answer) => ({ answer }),
      (error: unknown) => error,
    )

  test('create, retrieve, download in three variants, remix and delete work as they did with the API they were made for', async () => {
    const created = await client.videos.create({
      prompt: 'a paper boat',
      model: 'sora-2',
      seconds: '4',
      size: '1280x720',
    })
    expect(created).toMatchObject({
      object: 'video',
      status: 'queued',
      progress: 0,
      size: '1024x576',
      error: null,
    })
    await using worker = new HandWorker(api)
    await worker.heartbeat()
    const attempt = await worker.fetch()
    await attempt.report({ type: 'progress', phase: 'denoise', step: 25, remaining_ms: 600 })
    const { data: running, response } = await client.videos.retrieve(created.id).withResponse()
    expect(running).toMatchObject({ status: 'in_progress', progress: 50 })
    expect(Number(response.headers.get('openai-poll-after-ms'))).toBeGreaterThanOrEqual(250)
    await attempt.report({ type: 'finished', result: await attempt.upload() })
    await worker.heartbeat([], { draining: true })
    expect(await client.videos.retrieve(created.id)).toMatchObject({
      status: 'completed',
      progress: 100,
      completed_at: expect.any(Number),
    })
    const texts = { video: `mp4 of ${created.id} ${attempt.claim}`, thumbnail: 'webp', spritesheet: 'jpeg' }
    for (const [variant, text] of Object.entries(texts)) {
      const content = await client.videos.downloadContent(created.id, {
        variant: variant as keyof typeof texts,
      })
      expect(await content.text()).toBe(text)
    }
    expect(await (await client.videos.downloadContent(created.id)).text()).toBe(texts.video)
    const remix = await client.videos.remix(created.id, { prompt: 'at night' })
    expect(remix).toMatchObject({
      remixed_from_video_id: created.id,
      prompt: 'at night',
      size: '1024x576',
      status: 'queued',
    })
    expect(await client.videos.delete(created.id)).toMatchObject({
      id: created.id,
      object: 'video.deleted',
      deleted: true,
    })
    await expect(client.videos.retrieve(created.id)).rejects.toThrow(OpenAI.NotFoundError)
    await client.videos.delete(remix.id)
  })

  test('a file goes in as input_reference, as a stream, as a File and as a data URL, and makes a video from an image', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'sluice-test-image-'))
    try {
      const path = join(dir, 'boat.jpg')
      await quadrants(320, 200).jpeg().toFile(path)
      const file = new File([new Uint8Array(await quadrants(200, 320).png().toBuffer())], 'boat.png')
      expect(await create(client, { input_reference: createReadStream(path) })).toMatchObject({
        mode: 'i2v',
        size: '336x192',
      })
      expect(await create(client, { input_reference: file, i2v_condition: 'tail' })).toMatchObject({
        mode: 'i2v',
        size: '192x336',
      })
      const image_url = `data:image/png;base64,${(await quadrants(256, 256).png().toBuffer()).toString('base64')}`
      expect(await create(client, { input_reference: { image_url } })).toMatchObject({
        mode: 'i2v',
        size: '256x256',
      })
      // There is no file store here.
      expect(await refused(create(client, { input_reference: { file_id: 'file_1' } }))).toMatchObject({
        status: 400,
        code: 'invalid_value',
        param: 'input_reference',
        message: expect.stringContaining('image_url'),
      })
    } finally {
      await rm(dir, { recursive: true, force: true })
    }
  })

  test('parameters of this service travel in the SDK’s forms, each as what it is', async () => {
    const given = {
      num_frames: 9,
      num_steps: 7,
      seed: 42,
      guidance: 6.5,
      guidance_img: 0,
      motion_score: 2,
      negative_prompt: 'fog',
      size: '256x256',
      mode: 't2v',
      service_tier: 'flex',
      metadata: { shot: '12', take: 'b' },
    }
    const limits = {
      max_cost: '0.01',
      max_tokens: 1_000_000,
      execution_expires_after: 60,
      refine_prompt: false,
    }
    expect(await create(client, { ...given, ...limits })).toMatchObject(given)
  })

  test('the list iterates over 250 videos by itself and stops', async () => {
    const account = await api.account(1_000_000n)
    const sdk = clientFor(account.key)
    const made: string[] = []
    for (let video = 0; video < 250; video += 1) made.push((await create(sdk)).id)
    const seen: string[] = []
    for await (const video of sdk.videos.list({ limit: 40, order: 'asc' })) seen.push(video.id)
    expect(seen).toEqual(made)
    const emptied: string[] = []
    for await (const video of sdk.videos.list({ limit: 40 }))
      emptied.push((await sdk.videos.delete(video.id)).id)
    expect(emptied).toEqual(made.toReversed())
    for await (const video of sdk.videos.list()) throw new Error(`${video.id} was deleted`)
  })

  const callOf = ({ baseUrl, key, retries, ...asked }: ErrorCase): Promise<unknown> => {
    const sdk = clientFor(key, {
      baseURL: baseUrl,
      ...(retries === undefined ? {} : { maxRetries: retries }),
    })
    if (asked.call === 'remix') return sdk.videos.remix(asked.id ?? '', { prompt: 'at night' })
    if (asked.call !== 'create') return sdk.videos[asked.call](asked.id ?? '')
    const image =
      asked.imageBytes === undefined
        ? {}
        : { input_reference: new File([new Uint8Array(asked.imageBytes)], 'boat.png') }
    const params = { prompt: 'another boat', num_frames: 5, num_steps: 10, ...asked.fields, ...image }
    return sdk.videos.create(params as OpenAI7.VideoCreateParams, { headers: asked.headers ?? {} })
  }

  test('each error is exactly the class its status stands for, with code, param and request id', async () => {
    for (const asked of await errorCases(api)) {
      const { status } = asked.error
      const error = await refused(callOf(asked))
      const what = `${asked.title}: ${error}`
      expect(error, what).toMatchObject({
        ...asked.error,
        requestID: expect.stringMatching(/^req_/),
        type: expect.any(String),
      })
      const name = NODE_CLASSES[status] as 'APIError'
      expect((error as Error).constructor, what).toBe(OpenAI[name])
    }
  })

  test('without a key it is an AuthenticationError, and what Open-Sora does not do is a BadRequestError that says so', async () => {
    const keyless = new OpenAI({
      apiKey: 'unused',
      baseURL: `${api.url}/v1`,
      defaultHeaders: { Authorization: null },
    })
    const nobody = await refused(keyless.videos.list())
    expect(nobody).toBeInstanceOf(OpenAI.AuthenticationError)
    expect(nobody).toMatchObject({ code: 'missing_api_key', param: 'Authorization' })
    const video = new File(['x'], 'x.mp4')
    for (const call of [
      () => client.videos.edit({ prompt: 'x', video }),
      () => client.videos.extend({ prompt: 'x', seconds: '4', video }),
      () => client.videos.createCharacter({ name: 'x', video }),
      () => client.videos.getCharacter('char_1'),
    ]) {
      const error = await refused(call())
      expect(error).toBeInstanceOf(OpenAI.BadRequestError)
      expect(error).toMatchObject({
        code: 'unsupported_operation',
        requestID: expect.stringMatching(/^req_/),
      })
    }
  })

  test.each<[string, Fault[]]>([
    ['cut off', ['cut', 'cut']],
    ['a 5xx of something on the way', [502, 503]],
    ['a 500, then cut off', [500, 'cut']],
    ['a 409 that may be asked again', [409, 504]],
  ])(
    'an answer lost on the way (%s) is asked for again by the SDK: one video, one hold, also of a remix',
    async (_how, faults) => {
      const { accountId, key } = await api.account(1_000_000n)
      await using proxy = await startFaultProxy(api.url, faults)
      const sdk = clientFor(key, { baseURL: `${proxy.url}/v1` })
      const before = await footprint(api)
      const video = await create(sdk)
      expect(proxy.retryCounts).toEqual(['0', '1', '2'])
      proxy.faults.push(...faults)
      const remix = await sdk.videos.remix(video.id, { prompt: 'at night' })
      const after = await footprint(api)
      expect(Number(after.videos) - Number(before.videos)).toBe(2)
      expect(Number(after.transfers) - Number(before.transfers)).toBe(2)
      const { rows } = await api.context.db.query({
        text: 'select id from video where account_id = $1 order by id',
        values: [accountId],
      })
      expect(rows).toEqual([{ id: video.id }, { id: remix.id }])
      // What is gone already is not a mistake of somebody who only never heard so.
      proxy.faults.push(...faults)
      expect(await sdk.videos.delete(video.id)).toMatchObject({ id: video.id, deleted: true })
      expect(proxy.faults).toEqual([])
    },
  )

  test('a refusal that no repetition changes is not repeated, one of a moment is', async () => {
    const accountId = await operatorOf(api).account({ paid: '1' }, { queued_max: 0 })
    const { key: full } = await operatorOf(api).key(accountId)
    for (const [key, fields, retryCounts] of [
      [api.key, { size: '1x1' }, ['0']],
      ['sk-unknown', {}, ['0']],
      [full, {}, ['0', '1']],
    ] as const) {
      await using proxy = await startFaultProxy(api.url, [])
      await refused(create(clientFor(key, { baseURL: `${proxy.url}/v1`, maxRetries: 1 }), fields))
      expect(proxy.retryCounts).toEqual(retryCounts)
    }
    await using proxy = await startFaultProxy(api.url, [])
    const { id } = await create(client)
    await refused(clientFor(api.key, { baseURL: `${proxy.url}/v1` }).videos.downloadContent(id))
    // A conflict is what the packages repeat, unless they are told that it stays one.
    expect(proxy.retryCounts).toEqual(['0'])
  })

  test('models are listed and retrieved by the SDK, and every name it knows is taken', async () => {
    const ids: string[] = []
    for await (const model of client.models.list()) ids.push(model.id)
    expect(ids).toEqual(expect.arrayContaining(['open-sora-2', 'animatic', ...SORA]))
    expect(await client.models.retrieve('sora-2')).toMatchObject({
      id: 'sora-2',
      object: 'model',
      owned_by: expect.any(String),
    })
    for (const model of SORA) expect((await create(client, { model })).model).toBe('animatic')
    expect(await refused(client.models.retrieve('gpt-4'))).toMatchObject({
      status: 404,
      code: 'not_found',
      param: 'model',
    })
    expect(await refused(client.models.delete('sora-2'))).toMatchObject({
      status: 405,
      code: 'method_not_allowed',
    })
  })

  test('a real delivery is unwrapped by the SDK, and verified by standardwebhooks, with the secret of its endpoint and with no other', async () => {
    await using receiver = await startWebhookReceiver()
    const { key } = await api.account(1_000_000n)
    const ask = (method: string, path: string, body?: unknown) => api.call(method, path, body, { key })
    const { secret } = (await ask('POST', '/v1/webhook_endpoints', { url: receiver.url })).body
    const sdk = new OpenAI({ apiKey: key, baseURL: `${api.url}/v1`, webhookSecret: secret })
    const video = await create(sdk)
    await ask('POST', `/v1/videos/${video.id}/cancel`)
    const [delivery] = await receiver.atLeast(1)
    if (delivery === undefined) throw new Error('nothing came')
    const event = await sdk.webhooks.unwrap(delivery.raw, delivery.headers)
    expect(event).toMatchObject({ object: 'event', type: 'video.failed', data: { id: video.id } })
    expect(new Webhook(secret).verify(delivery.raw, delivery.headers)).toEqual(event)
    expect(() => new Webhook(secret).verify(`${delivery.raw} `, delivery.headers)).toThrow()
    await expect(
      sdk.webhooks.unwrap(delivery.raw.replace('failed', 'completed'), delivery.headers),
    ).rejects.toThrow(OpenAI.InvalidWebhookSignatureError)
    const other = `whsec_${Buffer.alloc(32).toString('base64')}`
    await expect(sdk.webhooks.unwrap(delivery.raw, delivery.headers, other)).rejects.toThrow(
      OpenAI.InvalidWebhookSignatureError,
    )
  })
})

test("the newest package's own webhook calls work: endpoints are made, listed, changed, tested, rotated and deleted", async () => {
  await using api = await startTestApi({ webhookAllowHosts: new Set(['127.0.0.1']) })
  let status = 200
  await using receiver = await startWebhookReceiver(() => status)
  const client = new OpenAI7({ apiKey: api.key, baseURL: `${api.url}/v1` })
  const { webhooks } = client
  expect(await webhooks.eventTypes.list()).toEqual({ object: 'list', data: [...ENDPOINT_EVENTS] })

  const made = await webhooks.create({ url: receiver.url, name: 'the shop', event_types: ['video.failed'] })
  const { signing_secret: secret, ...shown } = made
  expect(shown).toMatchObject({
    id: expect.stringMatching(/^whe_/),
    object: 'webhook_endpoint',
    name: 'the shop',
    event_types: ['video.failed'],
    url: receiver.url,
    created_at: expect.any(Number),
    updated_at: expect.any(Number),
    signing_secret_hint: `${secret.slice(6, 10)}...`,
  })
  await expect(
    webhooks.create({ url: receiver.url, name: 'x', event_types: ['batch.completed'] }),
  ).rejects.toMatchObject({
    status: 400,
    code: 'invalid_value',
    param: 'event_types.0',
    message: expect.stringContaining('video.completed, video.failed'),
  })
  const { signing_secret: _secret, secret: _same, ...readable } = { secret: '', ...made }
  expect(await webhooks.retrieve(made.id)).toEqual(readable)

  const others = []
  for (let more = 0; more < 4; more += 1)
    others.unshift(
      (await webhooks.create({ url: receiver.url, name: String(more), event_types: ['video.failed'] })).id,
    )
  const listed: string[] = []
  for await (const endpoint of webhooks.list({ limit: 2 })) listed.push(endpoint.id)
  expect(listed).toEqual([...others, made.id])
  for await (const { id } of webhooks.list({ limit: 2 })) if (id !== made.id) await webhooks.delete(id)
  expect((await webhooks.list()).data.map(({ id }) => id)).toEqual([made.id])

  expect(
    await webhooks.update(made.id, {
      name: 'the other shop',
      event_types: ['video.completed', 'video.failed'],
    }),
  ).toMatchObject({
    name: 'the other shop',
    event_types: ['video.completed', 'video.failed'],
    url: receiver.url,
  })
  const test = {
    object: 'webhook_endpoint.test',
    webhook_endpoint_id: made.id,
    event_type: 'video.completed',
    success: true,
  }
  expect(await webhooks.test(made.id, { event_type: 'video.completed' })).toEqual({
    ...test,
    status_code: 200,
  })
  const [sample] = await receiver.atLeast(1)
  expect(await webhooks.unwrap(sample?.raw ?? '', sample?.headers ?? {}, secret)).toMatchObject({
    type: 'video.completed',
  })
  status = 418
  expect(await webhooks.test(made.id, { event_type: 'video.completed' })).toEqual({
    ...test,
    status_code: 418,
  })

  const kept = await webhooks.rotateSecret(made.id, { keep_old_secret_active_for_24_hours: true })
  status = 200
  await webhooks.test(made.id, { event_type: 'video.failed' })
  const replaced = await webhooks.rotateSecret(made.id)
  await webhooks.test(made.id, { event_type: 'video.failed' })
  const [, , both, one] = await receiver.atLeast(4)
  for (const valid of [secret, kept.signing_secret])
    await webhooks.unwrap(both?.raw ?? '', both?.headers ?? {}, valid)
  await webhooks.unwrap(one?.raw ?? '', one?.headers ?? {}, replaced.signing_secret)
  await expect(webhooks.unwrap(one?.raw ?? '', one?.headers ?? {}, kept.signing_secret)).rejects.toThrow(
    'signature',
  )

  await webhooks.update(made.id, { url: 'http://127.0.0.1:1/' })
  await expect(webhooks.test(made.id, { event_type: 'video.failed' })).rejects.toMatchObject({
    status: 409,
    code: 'state_conflict',
    message: expect.stringContaining('could not be reached'),
  })
  expect(await webhooks.delete(made.id)).toEqual({
    id: made.id,
    object: 'webhook_endpoint.deleted',
    deleted: true,
  })
  await expect(webhooks.retrieve(made.id)).rejects.toThrow(OpenAI7.NotFoundError)
})

test('an endpoint made or rotated over a line that breaks is made and rotated once, and its old secret goes on signing', async () => {
  await using api = await startTestApi({ webhookAllowHosts: new Set(['127.0.0.1']) })
  await using receiver = await startWebhookReceiver()
  await using proxy = await startFaultProxy(api.url, ['cut', 503])
  const { webhooks } = new OpenAI7({ apiKey: api.key, baseURL: `${proxy.url}/v1` })
  const made = await webhooks.create({ url: receiver.url, name: 'the shop', event_types: ['video.failed'] })
  expect((await webhooks.list()).data.map(({ id }) => id)).toEqual([made.id])
  proxy.faults.push('cut', 503)
  const rotated = await webhooks.rotateSecret(made.id, { keep_old_secret_active_for_24_hours: true })
  await webhooks.test(made.id, { event_type: 'video.failed' })
  const [delivery] = await receiver.atLeast(1)
  for (const secret of [made.signing_secret, rotated.signing_secret]) {
    await webhooks.unwrap(delivery?.raw ?? '', delivery?.headers ?? {}, secret)
  }
  // Asked for anew, another is drawn.
  const again = await webhooks.rotateSecret(made.id, { keep_old_secret_active_for_24_hours: true })
  expect(again.signing_secret).not.toBe(rotated.signing_secret)
})
