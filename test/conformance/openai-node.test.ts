import OpenAI7 from 'openai'
import OpenAI6 from 'openai-6'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createKey } from '../../apps/api/src/keys/api-key.ts'
import { startCutProxy } from '../support/cut-proxy.ts'
import { footprint } from '../support/footprint.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'
import { HandWorker } from '../support/test-worker.ts'

const PACKAGES = [
  ['newest', OpenAI7],
  ['6.x', OpenAI6],
] as const

describe.each(PACKAGES)('the openai package, %s', (_version, Package) => {
  let api: TestApi
  let client: OpenAI7
  beforeAll(async () => {
    api = await startTestApi({ leaseMs: 600_000 })
    client = clientFor(api.key)
  })
  afterAll(() => api.stop())

  /** The two declare the same calls; the newer one's types stand for both. */
  const OpenAI = Package as typeof OpenAI7
  const clientFor = (apiKey: string, options: { baseURL?: string; maxRetries?: number } = {}) =>
    new OpenAI({ apiKey, baseURL: `${api.url}/v1`, ...options })
  /** Fields of this service beside the SDK's own; its types do not know them, its forms carry them. */
  const create = (sdk: OpenAI7, fields: Record<string, unknown> = {}) =>
    sdk.videos.create({ prompt: 'a paper boat', ...{ num_frames: 5, num_steps: 10 }, ...fields } as OpenAI7.VideoCreateParams)

  test('create, retrieve, download in three variants and delete work as they did with the API they were made for', async () => {
    const created = await client.videos.create({ prompt: 'a paper boat', model: 'sora-2', seconds: '4', size: '1280x720' })
    expect(created).toMatchObject({ object: 'video', status: 'queued', progress: 0, size: '1024x576', error: null })
    await using worker = new HandWorker(api)
    await worker.heartbeat()
    const attempt = await worker.fetch()
    await attempt.report({ type: 'progress', phase: 'denoise', step: 25, remaining_ms: 600 })
    const { data: running, response } = await client.videos.retrieve(created.id).withResponse()
    expect(running).toMatchObject({ status: 'in_progress', progress: 50 })
    expect(Number(response.headers.get('openai-poll-after-ms'))).toBeGreaterThanOrEqual(250)
    await attempt.report({ type: 'finished', result: await attempt.upload() })
    await worker.heartbeat([], { draining: true })
    expect(await client.videos.retrieve(created.id)).toMatchObject({ status: 'completed', progress: 100, completed_at: expect.any(Number) })
    const texts = { video: `mp4 of ${created.id} ${attempt.claim}`, thumbnail: 'webp', spritesheet: 'jpeg' }
    for (const [variant, text] of Object.entries(texts)) {
      const content = await client.videos.downloadContent(created.id, { variant: variant as keyof typeof texts })
      expect(await content.text()).toBe(text)
    }
    expect(await (await client.videos.downloadContent(created.id)).text()).toBe(texts.video)
    const remix = await client.videos.remix(created.id, { prompt: 'at night' })
    expect(remix).toMatchObject({ remixed_from_video_id: created.id, prompt: 'at night', size: '1024x576', status: 'queued' })
    expect(await client.videos.delete(created.id)).toMatchObject({ id: created.id, object: 'video.deleted', deleted: true })
    await expect(client.videos.retrieve(created.id)).rejects.toThrow(OpenAI.NotFoundError)
    await client.videos.delete(remix.id)
  })

  test('parameters of this service travel in the SDK’s forms', async () => {
    const video = await create(client, { seed: 42, guidance: 6.5, metadata: { shot: '12' }, max_cost: '0.01' })
    expect(video).toMatchObject({ seed: 42, guidance: 6.5, num_frames: 5, num_steps: 10, metadata: { shot: '12' } })
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
    for await (const video of sdk.videos.list({ limit: 40 })) emptied.push((await sdk.videos.delete(video.id)).id)
    expect(emptied).toEqual(made.toReversed())
    for await (const video of sdk.videos.list()) throw new Error(`${video.id} was deleted`)
  })

  test('each error is the class its status stands for, with code, param and request id', async () => {
    const refused = async (call: Promise<unknown>) =>
      call.then(
        () => null,
        (error: unknown) => error,
      )
    const errorOf = async (call: Promise<unknown>, type: new (...given: never[]) => Error, shape: Record<string, unknown>) => {
      const error = await refused(call)
      expect(error).toBeInstanceOf(type)
      expect(error).toMatchObject({ requestID: expect.stringMatching(/^req_/), ...shape })
    }
    const poor = await api.account(1n)
    const full = await api.account(1_000_000n)
    await api.api.context.db.query({ text: 'update account set queued_max = 0 where id = $1', values: [full.accountId] })
    const reader = await createKey(api.api.context.db, { accountId: full.accountId, scopes: ['videos:read'], kind: 'account' })
    const queued = await create(client)
    await errorOf(create(client, { size: '1x1' }), OpenAI.BadRequestError, { status: 400, code: 'invalid_value', param: 'size' })
    await errorOf(create(clientFor('sk-unknown')), OpenAI.AuthenticationError, { status: 401, code: 'invalid_api_key' })
    await errorOf(create(clientFor(poor.key)), OpenAI.APIError, { status: 402, code: 'insufficient_balance' })
    await errorOf(create(clientFor(reader.secret)), OpenAI.PermissionDeniedError, { status: 403, code: 'insufficient_scope' })
    await errorOf(client.videos.retrieve('video_none'), OpenAI.NotFoundError, { status: 404, code: 'not_found', param: 'video_id' })
    await errorOf(client.videos.downloadContent(queued.id), OpenAI.ConflictError, { status: 409, code: 'state_conflict' })
    await errorOf(create(clientFor(full.key, { maxRetries: 0 })), OpenAI.RateLimitError, { status: 429, code: 'queue_full' })
    const video = new File(['x'], 'x.mp4')
    for (const call of [
      () => client.videos.edit({ prompt: 'x', video }),
      () => client.videos.extend({ prompt: 'x', seconds: '4', video }),
      () => client.videos.createCharacter({ name: 'x', video }),
      () => client.videos.getCharacter('char_1'),
    ]) {
      await errorOf(call(), OpenAI.BadRequestError, { code: 'unsupported_operation' })
    }
  })

  test('an answer that is lost on the way is asked for again by the SDK and charged once', async () => {
    const { accountId, key } = await api.account(1_000_000n)
    await using proxy = await startCutProxy(api.url, 2)
    const before = await footprint(api)
    const video = await create(clientFor(key, { baseURL: `${proxy.url}/v1`, maxRetries: 2 }))
    expect(proxy.cut).toBe(2)
    const after = await footprint(api)
    expect(Number(after.videos) - Number(before.videos)).toBe(1)
    expect(Number(after.transfers) - Number(before.transfers)).toBe(1)
    const { rows } = await api.api.context.db.query({ text: 'select id from video where account_id = $1', values: [accountId] })
    expect(rows).toEqual([{ id: video.id }])
  })

  test('models are listed by the SDK', async () => {
    const ids: string[] = []
    for await (const model of client.models.list()) ids.push(model.id)
    expect(ids).toEqual(['open-sora-2', 'animatic', 'sora-2', 'sora-2-pro'])
  })
})
