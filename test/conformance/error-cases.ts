import { issueKey } from '../../apps/api/src/keys/create-key.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { operatorOf } from '../support/operator.ts'
import type { TestApi } from '../support/start-api.ts'

/** One call that is refused: what the client is made with, what it asks, and the error it must get. */
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
  error: { status: number; code: string; param: string | null }
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

/** Who asks where. */
type Caller = Pick<ErrorCase, 'baseUrl' | 'key'>
/** What is asked. */
type Asked = Omit<ErrorCase, 'title' | 'baseUrl' | 'key' | 'error'>

const create = (fields: Record<string, unknown> = {}): Asked => ({ call: 'create', fields })
const about = (call: ErrorCase['call'], id: string): Asked => ({ call, id })
/** For errors that the packages would wait for. */
const once = (asked: Asked): Asked => ({ ...asked, retries: 0 })
const answer = (status: number, code: string, param: string | null) => ({ status, code, param })

/**
 * Every status the API refuses a video with, brought about for real: accounts, keys and videos are made as
 * each case needs them.
 */
export async function errorCases(api: TestApi): Promise<ErrorCase[]> {
  const callers = await makeCallers(api)
  const videos = await makeVideos(api, callers)
  return [
    ...refusedFields(callers.own),
    ...refusedCallers(api, callers),
    ...refusedVideos(callers, videos),
    ...refusedForNow(callers, videos),
  ]
}

const refused = (title: string, caller: Caller, asked: Asked, error: ErrorCase['error']): ErrorCase => ({
  title,
  ...caller,
  ...asked,
  error,
})

function refusedFields(own: Caller): ErrorCase[] {
  const tooLarge: Asked = { ...create(), imageBytes: 10 * 1024 * 1024 + 1 }
  return [
    refused('a bad field', own, create({ size: '1x1' }), answer(400, 'invalid_value', 'size')),
    refused(
      'a setting no model has',
      own,
      create({ seconds: '12' }),
      answer(400, 'invalid_value', 'seconds'),
    ),
    refused('an unknown field', own, create({ colour: 'red' }), answer(400, 'unknown_parameter', 'colour')),
    refused('max_tokens', own, create({ max_tokens: 1 }), answer(400, 'max_tokens_too_small', 'max_tokens')),
    refused('max_cost', own, create({ max_cost: '0.000001' }), answer(400, 'max_cost_too_small', 'max_cost')),
    refused(
      'max_price',
      own,
      create({ service_tier: 'flex', max_price: '0.000001' }),
      answer(400, 'max_price_too_small', 'max_price'),
    ),
    refused('an image too large', own, tooLarge, answer(413, 'body_too_large', 'input_reference')),
  ]
}

function refusedCallers({ url }: TestApi, { poor, limited, reader, otherModel }: Callers): ErrorCase[] {
  const unknown = { baseUrl: `${url}/v1`, key: 'sk-unknown' }
  return [
    refused('an unknown key', unknown, create(), answer(401, 'invalid_api_key', 'Authorization')),
    refused('no balance', poor, create(), answer(402, 'insufficient_balance', null)),
    refused('no budget', limited, create(), answer(402, 'budget_exceeded', null)),
    refused('no scope', reader, create(), answer(403, 'insufficient_scope', 'Authorization')),
    refused('no such model for the key', otherModel, create(), answer(403, 'model_not_allowed', 'model')),
  ]
}

function refusedVideos({ own }: Callers, { queued, theirs, expired, named }: Videos): ErrorCase[] {
  const unknownId = queued.replace(/.{4}$/, '0000')
  const twice: Asked = { ...create(), headers: named }
  const noVideo = answer(404, 'not_found', 'video_id')
  const download = (id: string) => about('downloadContent', id)
  return [
    refused('an unknown id', own, about('retrieve', unknownId), noVideo),
    refused('a malformed id', own, about('delete', 'video_none'), noVideo),
    refused("another tenant's id", own, about('remix', theirs), noVideo),
    refused('one key, two requests', own, twice, answer(409, 'idempotency_conflict', 'Idempotency-Key')),
    refused('content too early', own, download(queued), answer(409, 'state_conflict', 'video_id')),
    refused('content too late', own, download(expired), answer(410, 'content_expired', 'video_id')),
  ]
}

function refusedForNow(
  { full, hurried, broken, unmoderated }: Callers,
  { queued, stuck }: Videos,
): ErrorCase[] {
  return [
    refused('a full queue', full, once(create()), answer(429, 'queue_full', null)),
    refused('too many requests', hurried, once(about('retrieve', queued)), answer(429, 'rate_limited', null)),
    refused('a fault of ours', broken, once(about('delete', stuck)), answer(500, 'internal_error', null)),
    refused('moderation away', unmoderated, once(create()), answer(503, 'unavailable', 'prompt')),
  ]
}

type Callers = Awaited<ReturnType<typeof makeCallers>>

/** Keys and accounts that each lack one thing. */
async function makeCallers(api: TestApi) {
  const operator = operatorOf(api)
  const baseUrl = `${api.url}/v1`
  const accountId = await operator.account({ paid: '10' })
  const keyOf = async (id: string, settings = {}) => ({
    baseUrl,
    key: (await operator.key(id, settings)).key,
  })
  const reader = await issueKey(api.context.db, { accountId, scopes: ['videos:read'], kind: 'account' })
  // Nobody answers there, and what cannot be asked is refused.
  const unmoderated = await api.replica({
    moderation: {
      url: 'http://127.0.0.1:1/',
      key: undefined,
      failOpen: false,
      takesImages: false,
      timeoutMs: 1_000,
    },
  })
  return {
    own: { baseUrl, key: api.key },
    other: await keyOf(accountId),
    reader: { baseUrl, key: reader.secret },
    limited: await keyOf(accountId, { token_budget: 1, budget_interval: 'day' }),
    otherModel: await keyOf(accountId, { models: ['open-sora-2'] }),
    hurried: await keyOf(accountId, { requests_per_minute: 1 }),
    poor: await keyOf(await operator.account({ trial: '0.000001' })),
    full: await keyOf(await operator.account({ paid: '10' }, { queued_max: 0 })),
    broken: await keyOf(await operator.account({ paid: '10' })),
    unmoderated: { baseUrl: `${unmoderated.url}/v1`, key: api.key },
  }
}

type Videos = Awaited<ReturnType<typeof makeVideos>>

/** Videos in the states that the cases ask about; also uses up the one request of `hurried`. */
async function makeVideos(api: TestApi, { other, broken, hurried }: Callers) {
  const submit = async (options: { key?: string; headers?: Record<string, string> } = {}): Promise<string> =>
    (await api.call('POST', '/v1/videos', SMALL, options)).body.id
  const expired = await expiredVideo(api)
  const named = { 'Idempotency-Key': `key of ${expired}` }
  await submit({ headers: named })
  await api.call('GET', '/v1/models', undefined, { key: hurried.key })
  const stuck = await submit({ key: broken.key })
  // An account whose books cannot be true: its hold is gone, so no video of it can end.
  await api.context.db.query({
    text: `update ledger_account set balance = 0
    where kind = 'hold' and account_id = (select account_id from video where id = $1)`,
    values: [stuck],
  })
  return { expired, named, queued: await submit(), theirs: await submit({ key: other.key }), stuck }
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
