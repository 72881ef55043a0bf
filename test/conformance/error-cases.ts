import { createKey } from '../../apps/api/src/keys/api-key.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { operatorOf } from '../support/operator.ts'
import type { TestApi } from '../support/start-api.ts'

/** One call that is refused: what the client is made with, what it asks, and what it must be told. */
export interface ErrorCase {
  title: string
  baseUrl: string
  key: string
  headers?: Record<string, string>
  /** Given for errors that the packages would wait for: how often they may ask again. */
  retries?: number
  call: 'create' | 'retrieve' | 'delete' | 'downloadContent' | 'remix'
  id?: string
  /** Of `create`: what a request of the package may hold, and what is put into its form besides. */
  fields?: Record<string, unknown>
  /** Of `create`: a file of so many bytes as input_reference. */
  imageBytes?: number
  told: { status: number; code: string; param: string | null }
}

/** The class of the Node package for each status; for those without one of their own it is the base class. */
export const NODE_CLASSES: Record<number, 'APIError' | `${string}Error`> = {
  400: 'BadRequestError',
  401: 'AuthenticationError',
  402: 'APIError',
  403: 'PermissionDeniedError',
  404: 'NotFoundError',
  409: 'ConflictError',
  410: 'APIError',
  413: 'APIError',
  429: 'RateLimitError',
  500: 'InternalServerError',
  503: 'InternalServerError',
}

/** The same of the Python package. */
export const PYTHON_CLASSES: Record<number, string> = Object.fromEntries(
  Object.entries(NODE_CLASSES).map(([status, name]) => [
    status,
    name === 'APIError' ? 'APIStatusError' : name,
  ]),
)

/** Every status the API refuses a video with, brought about for real: accounts, keys and videos are made as each case needs them. */
export async function errorCases(api: TestApi): Promise<ErrorCase[]> {
  const operator = operatorOf(api)
  const { db } = api.context
  const baseUrl = `${api.url}/v1`
  const own = { baseUrl, key: api.key }
  const accountId = await operator.account({ paid: '10' })
  const keyWith = async (settings: Record<string, unknown>) => ({
    baseUrl,
    key: (await operator.key(accountId, settings)).key,
  })
  const reader = await createKey(db, { accountId, scopes: ['videos:read'], kind: 'account' })
  const poor = { baseUrl, key: (await operator.key(await operator.account({ trial: '0.000001' }))).key }
  const full = {
    baseUrl,
    key: (await operator.key(await operator.account({ paid: '10' }, { queued_max: 0 }))).key,
  }
  const hurried = await keyWith({ requests_per_minute: 1 })
  await api.call('GET', '/v1/models', undefined, hurried)

  const expired = await expiredVideo(api)
  const queued = (await api.call('POST', '/v1/videos', SMALL)).body.id
  const theirs = (await api.call('POST', '/v1/videos', SMALL, await keyWith({}))).body.id
  const named = { 'Idempotency-Key': `key of ${expired}` }
  await api.call('POST', '/v1/videos', SMALL, { headers: named })

  // Nobody answers there, and what cannot be asked is refused.
  const moderated = await api.replica({
    moderation: { url: 'http://127.0.0.1:1/', key: undefined, failOpen: false, timeoutMs: 1_000 },
  })
  const unavailable = { baseUrl: `${moderated.url}/v1`, key: api.key }
  // An account whose books cannot be true: its hold is gone, so no video of it can end.
  const brokenId = await operator.account({ paid: '10' })
  const broken = { baseUrl, key: (await operator.key(brokenId)).key }
  const stuck = (await api.call('POST', '/v1/videos', SMALL, broken)).body.id
  await db.query({
    text: `update ledger_account set balance = 0 where account_id = $1 and kind = 'hold'`,
    values: [brokenId],
  })

  const create = { call: 'create' as const, fields: {} }
  const told = (status: number, code: string, param: string | null) => ({ told: { status, code, param } })
  return [
    {
      title: 'a bad field',
      ...own,
      ...create,
      fields: { size: '1x1' },
      ...told(400, 'invalid_value', 'size'),
    },
    {
      title: 'a setting no model has',
      ...own,
      ...create,
      fields: { seconds: '12' },
      ...told(400, 'invalid_value', 'seconds'),
    },
    {
      title: 'an unknown field',
      ...own,
      ...create,
      fields: { colour: 'red' },
      ...told(400, 'unknown_parameter', 'colour'),
    },
    {
      title: 'max_tokens',
      ...own,
      ...create,
      fields: { max_tokens: 1 },
      ...told(400, 'max_tokens_too_small', 'max_tokens'),
    },
    {
      title: 'max_cost',
      ...own,
      ...create,
      fields: { max_cost: '0.000001' },
      ...told(400, 'max_cost_too_small', 'max_cost'),
    },
    {
      title: 'an unknown key',
      baseUrl,
      key: 'sk-unknown',
      ...create,
      ...told(401, 'invalid_api_key', 'Authorization'),
    },
    { title: 'no balance', ...poor, ...create, ...told(402, 'insufficient_balance', null) },
    {
      title: 'no budget',
      ...(await keyWith({ token_budget: 1, budget_interval: 'day' })),
      ...create,
      ...told(402, 'budget_exceeded', null),
    },
    {
      title: 'no scope',
      baseUrl,
      key: reader.secret,
      ...create,
      ...told(403, 'insufficient_scope', 'Authorization'),
    },
    {
      title: 'no such model for the key',
      ...(await keyWith({ models: ['open-sora-2'] })),
      ...create,
      ...told(403, 'model_not_allowed', 'model'),
    },
    {
      title: 'an unknown id',
      ...own,
      call: 'retrieve',
      id: queued.replace(/.{4}$/, '0000'),
      ...told(404, 'not_found', 'video_id'),
    },
    {
      title: 'a malformed id',
      ...own,
      call: 'delete',
      id: 'video_none',
      ...told(404, 'not_found', 'video_id'),
    },
    {
      title: "another tenant's id",
      ...own,
      call: 'remix',
      id: theirs,
      ...told(404, 'not_found', 'video_id'),
    },
    {
      title: 'one key, two requests',
      ...own,
      ...create,
      headers: named,
      ...told(409, 'idempotency_conflict', 'Idempotency-Key'),
    },
    {
      title: 'content too early',
      ...own,
      call: 'downloadContent',
      id: queued,
      ...told(409, 'state_conflict', 'video_id'),
    },
    {
      title: 'content too late',
      ...own,
      call: 'downloadContent',
      id: expired,
      ...told(410, 'content_expired', 'video_id'),
    },
    {
      title: 'an image too large',
      ...own,
      ...create,
      imageBytes: 10 * 1024 * 1024 + 1,
      ...told(413, 'body_too_large', 'input_reference'),
    },
    { title: 'a full queue', ...full, ...create, retries: 0, ...told(429, 'queue_full', null) },
    {
      title: 'too many requests',
      ...hurried,
      call: 'retrieve',
      id: queued,
      retries: 0,
      ...told(429, 'rate_limited', null),
    },
    {
      title: 'a fault of ours',
      ...broken,
      call: 'delete',
      id: stuck,
      retries: 0,
      ...told(500, 'internal_error', null),
    },
    {
      title: 'moderation away',
      ...unavailable,
      ...create,
      retries: 0,
      ...told(503, 'unavailable', 'prompt'),
    },
  ]
}

const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }

/** A completed video whose files were kept until now. */
async function expiredVideo(api: TestApi): Promise<string> {
  const { id } = (await api.call('POST', '/v1/videos', SMALL)).body
  await using worker = new HandWorker(api, { pool: 'expiring' })
  await worker.heartbeat()
  for (;;) {
    const attempt = await worker.fetch()
    await attempt.report({ type: 'finished', result: await attempt.upload() })
    if (attempt.job.video === id) break
  }
  await worker.heartbeat([], { draining: true })
  await api.context.db.query({ text: 'update video set expires_at = now() where id = $1', values: [id] })
  return id
}
