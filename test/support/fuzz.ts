import fc from 'fast-check'
import { ERROR_CODES } from '../../apps/api/src/errors.ts'
import { ERROR_STATUS } from '../../apps/api/src/http/error-status.ts'
import { eventually } from './eventually.ts'
import {
  asText,
  FORM_FILES,
  type FuzzRequest,
  isObject,
  type JsonSchema,
  type Operation,
  operationsOf,
  requestOn,
} from './fuzz-request.ts'

export interface FuzzTarget {
  url: string
  key: string
  adminKey: string
  workerToken: string
}

export interface FuzzResult {
  requests: number
  /** The number of answers by status. */
  statuses: Record<number, number>
  /** The number of answers by operation and status. */
  calls: Record<string, Record<number, number>>
  /** Calls that were refused every time. */
  neverDone: string[]
  seconds: number
  /** Answers that are wrong, each with its request. */
  faults: string[]
}

const BATCH = 250
const FAULTS_MAX = 50
/** A request without an answer for this long is a fault. */
const ANSWER_MS_MAX = 30_000
/** A worker answers a cancellation within seconds. */
const SETTLE_MS_MAX = 60_000

/**
 * Sends `count` random requests, made from the API's own document with `seed`, `connections` at a time, and
 * checks each answer.
 * `finished`: completed videos for some of the requests; none deletes them. The run's own videos may not
 * complete in time.
 */
export async function fuzz(
  target: FuzzTarget,
  options: { count: number; seed: number; connections: number; finished?: readonly string[] },
): Promise<FuzzResult> {
  // biome-ignore lint/suspicious/noExplicitAny: a document is read as the JSON it is
  const document: any = await (await fetch(`${target.url}/openapi.json`)).json()
  const schemas: Record<string, JsonSchema> = document.components?.schemas ?? {}
  const operations = operationsOf(document)
  // Most other calls need videos, so a good part of the requests are submissions.
  const any = fc.oneof(
    ...operations.map((operation) => ({
      weight: WEIGHTS[operation.operationId] ?? 2,
      arbitrary: requestOn(operation, schemas),
    })),
  )
  const known = new KnownIds(target, options.finished ?? [])
  const result: FuzzResult = { requests: 0, statuses: {}, calls: {}, neverDone: [], seconds: 0, faults: [] }
  const startedAt = performance.now()
  for (let batch = 0; batch * BATCH < options.count && result.faults.length < FAULTS_MAX; batch += 1) {
    const numRuns = Math.min(BATCH, options.count - batch * BATCH)
    const waiting = fc.sample(any, { numRuns, seed: options.seed + batch })
    const connection = async () => {
      for (let request = waiting.pop(); request !== undefined; request = waiting.pop()) {
        await sendAndCheck(target, known, request, result)
      }
    }
    await Promise.all(Array.from({ length: options.connections }, connection))
  }
  result.seconds = (performance.now() - startedAt) / 1_000
  const can = operations.filter(({ responses }) =>
    Object.keys(responses).some((status) => Number(status) < 400),
  )
  const isDone = (operationId: string) =>
    Object.keys(result.calls[operationId] ?? {}).some((status) => Number(status) < 400)
  result.neverDone = can.map(({ operationId }) => operationId).filter((operationId) => !isDone(operationId))
  return result
}

const WEIGHTS: Record<string, number> = {
  createVideo: 25,
  quoteVideo: 5,
  remixVideo: 4,
  retryVideo: 4,
  cancelVideo: 5,
  createAccountKey: 4,
}

/** The kind of an id in a path, by the word before it. */
const KINDS: Record<string, string> = {
  videos: 'video',
  accounts: 'acct',
  keys: 'key',
  webhook_endpoints: 'whe',
  webhook_deliveries: 'whd',
}

const MODELS = ['open-sora-2', 'animatic', 'sora-2', 'sora-2-pro', 'gpt-4']

/** Ids and keys from earlier answers, for later requests. */
class KnownIds {
  readonly #ids = new Map<string, string[]>()
  readonly #accountKeys: string[]
  readonly #adminKeys: string[]
  readonly #finished: readonly string[]

  constructor(target: FuzzTarget, finished: readonly string[]) {
    this.#finished = finished
    this.#accountKeys = [target.key]
    this.#adminKeys = [target.adminKey]
  }

  /** Remembers only what was just made, so that the run does not revoke its own first keys. */
  remember(request: FuzzRequest, body: unknown): void {
    if (!isObject(body)) return
    const isList = request.operation.method === 'GET'
    if (!isList && typeof body.id === 'string' && body.deleted !== true) this.#add(body.id)
    if (typeof body.key === 'string' && Array.isArray(body.scopes)) {
      if (body.scopes.includes('admin')) this.#adminKeys.push(body.key)
      if (body.scopes.includes('videos:write')) this.#accountKeys.push(body.key)
    }
    if (request.operation.path === '/v1/webhook_deliveries' && Array.isArray(body.data)) {
      for (const delivery of body.data.slice(0, 3)) if (isObject(delivery)) this.#add(String(delivery.id))
    }
  }

  #add(id: string): void {
    const kind = id.replace(/_[^_]*$/, '')
    const ids = this.#ids.get(kind) ?? []
    ids.push(id)
    this.#ids.set(kind, ids)
  }

  id({ method, path }: Pick<Operation, 'method' | 'path'>, pick: number): string {
    const finished = this.#finished[pick % (6 * this.#finished.length)]
    if (finished !== undefined && path.startsWith('/v1/videos/{') && method !== 'DELETE') return finished
    if (path.startsWith('/v1/models/')) return MODELS[pick % MODELS.length] ?? ''
    const ids = this.#ids.get(KINDS[/(\w+)\/\{/.exec(path)?.[1] ?? ''] ?? '') ?? []
    // Mostly the newest: older videos have ended.
    const among = pick % 3 === 0 ? ids.length : Math.min(ids.length, 40)
    return ids.at(-1 - (Math.floor(pick / 3) % Math.max(among, 1))) ?? 'none'
  }

  key(scope: string | undefined, pick: number): string {
    const keys = scope?.startsWith('videos:') !== true ? this.#adminKeys : this.#accountKeys
    // Mostly the first, which has no limits and is not revoked; the others expire, have limits and are
    // revoked.
    return keys[pick % 3 === 0 ? Math.floor(pick / 3) % keys.length : 0] ?? ''
  }
}

async function sendAndCheck(
  target: FuzzTarget,
  known: KnownIds,
  request: FuzzRequest,
  result: FuzzResult,
): Promise<void> {
  const { operation } = request
  const id = request.strangeId ?? known.id(operation, request.pick)
  const query = new URLSearchParams(
    Object.entries(request.query).map(([name, value]) => [name, value.toWellFormed()] as [string, string]),
  )
  const asked = [query.toString(), request.rawQuery].filter((part) => part !== '').join('&')
  const path = operation.path.replace('{id}', id) + (asked === '' ? '' : `?${asked}`)
  const key = keyOf(target, known, request)
  const { headers, body } = bodyOf(request)
  const shown = () =>
    JSON.stringify({
      method: operation.method,
      path,
      key: request.keyKind,
      encoding: request.encoding,
      headers,
      body: request.body,
    })
  const fault = (what: string) => {
    if (result.faults.length < FAULTS_MAX) result.faults.push(`${what}: ${shown().slice(0, 1_500)}`)
  }
  result.requests += 1
  let response: Response
  let text = ''
  try {
    const sent = { ...request.headers, ...headers, ...(key === null ? {} : { authorization: key }) }
    const signal = AbortSignal.timeout(ANSWER_MS_MAX)
    response = await fetch(target.url + path, {
      method: operation.method,
      headers: sent,
      body: body ?? null,
      redirect: 'manual',
      signal,
    })
    // The stream of an unfinished video would not end.
    if (response.headers.get('content-type')?.startsWith('text/event-stream')) await response.body?.cancel()
    else text = await response.text()
  } catch (error) {
    fault(`no answer (${error instanceof Error ? `${error.message} ${error.cause ?? ''}` : error})`)
    return
  }
  const { status } = response
  result.statuses[status] = (result.statuses[status] ?? 0) + 1
  const counts = result.calls[operation.operationId] ?? {}
  counts[status] = (counts[status] ?? 0) + 1
  result.calls[operation.operationId] = counts
  if (status >= 400) {
    const wrong = wrongError(request, status, text)
    if (wrong !== null) fault(`${status} ${wrong} ${text.slice(0, 300)}`)
  } else if (operation.responses[status] === undefined) fault(`${status} is not documented`)
  else if (response.headers.get('content-type')?.startsWith('application/json')) {
    known.remember(request, JSON.parse(text))
  }
}

/**
 * What is wrong with an error's status, body or code, given the API's document and the request's key; or
 * null.
 */
function wrongError(request: FuzzRequest, status: number, text: string): string | null {
  const { operation, keyKind, strangeId } = request
  if (status >= 500) return operation.operationId === 'ready' && status === 503 ? null : 'is our fault'
  const error = errorOf(text)
  if (error === null) return 'has no error of the documented shape'
  const code = ERROR_CODES.find((candidate) => candidate === error.code)
  if (code === undefined) return `has the undocumented code ${error.code}`
  if (ERROR_STATUS[code].status !== status || ERROR_STATUS[code].type !== error.type) {
    return `is not what ${code} is`
  }
  // A strange id can turn the path into that of another call.
  if (strangeId !== null && ['method_not_allowed', 'unknown_route'].includes(code)) return null
  const isKeyless = ['missing', 'unknown', 'garbled'].includes(keyKind)
  if (operation.scope !== undefined && isKeyless && status !== 401 && strangeId === null) {
    return 'answers before it knows the key'
  }
  const documented = operation.responses[status]?.description.split(', ') ?? []
  return documented.includes(code) ? null : `${code} is not documented for ${operation.operationId}`
}

function errorOf(text: string): { message: string; type: string; code: string; param: string | null } | null {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return null
  }
  if (!isObject(body) || Object.keys(body).join() !== 'error' || !isObject(body.error)) return null
  const { message, type, code, param, ...rest } = body.error
  if (typeof message !== 'string' || message === '' || typeof type !== 'string' || typeof code !== 'string') {
    return null
  }
  if ((param !== null && typeof param !== 'string') || Object.keys(rest).length > 0) return null
  return { message, type, code, param }
}

function keyOf(
  target: FuzzTarget,
  known: KnownIds,
  { keyKind, operation, pick }: FuzzRequest,
): string | null {
  switch (keyKind) {
    case 'right':
      return `Bearer ${known.key(operation.scope, pick)}`
    case 'other':
      return `Bearer ${operation.scope === 'admin' ? target.key : target.adminKey}`
    case 'worker':
      return `Bearer ${target.workerToken}`
    case 'unknown':
      return 'Bearer sk-sluice-unknown'
    case 'garbled':
      return (
        ['Bearer', 'Basic eDp5', `bearer  ${target.key}x`, '\u00e9', `Bearer ${target.key} ${target.key}`][
          pick % 5
        ] ?? ''
      )
    case 'missing':
      return null
  }
}

function bodyOf(request: FuzzRequest): { headers: Record<string, string>; body?: string | FormData } {
  const { body, encoding, operation } = request
  if (body === undefined || operation.method === 'GET') return { headers: {} }
  const json = JSON.stringify(body)
  switch (encoding) {
    case 'json':
      return { headers: { 'content-type': 'application/json' }, body: json }
    case 'form': {
      const form = new FormData()
      for (const [name, value] of Object.entries(isObject(body) ? body : { value: body })) {
        const file = FORM_FILES[request.pick % FORM_FILES.length]
        if (name === 'input_reference' && file !== undefined) {
          form.append(name, new Blob([new Uint8Array(file)]), 'a.png')
        } else {
          form.append(name, asText(value))
        }
      }
      return { headers: {}, body: form }
    }
    case 'raw':
      return {
        headers: { 'content-type': request.pick % 2 === 0 ? 'text/plain' : 'application/json' },
        body: json.slice(0, -1),
      }
    case 'deep': {
      const levels = 100_000
      const deep = `${'['.repeat(levels)}${']'.repeat(levels)}`
      const name = Object.keys(isObject(body) ? body : {})[request.pick % 3] ?? 'input_reference'
      return { headers: { 'content-type': 'application/json' }, body: `{${JSON.stringify(name)}:${deep}}` }
    }
    case 'doubled':
      return {
        headers: { 'content-type': 'application/json' },
        body: isObject(body) ? `${json.slice(0, -1)}${json === '{}' ? '' : ','}${json.slice(1)}` : json,
      }
    case 'mislabelled':
      return {
        headers: {
          'content-type':
            request.pick % 2 === 0 ? 'multipart/form-data; boundary=x' : 'application/x-www-form-urlencoded',
        },
        body: json,
      }
  }
}

/**
 * Cancels what is open. Throws when an account has money held that no video holds, or the ledger check fails.
 */
export async function settleAndCheck(
  target: FuzzTarget,
): Promise<{ accounts: number; videos: number; cancelled: number }> {
  // biome-ignore lint/suspicious/noExplicitAny: answers are read as the JSON they are
  const ask = async (method: string, path: string, key: string, body?: unknown): Promise<any> => {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const response = await fetch(target.url + path, {
      method,
      headers,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const answer = await response.json()
    if (!response.ok && response.status !== 409) {
      throw new Error(`${method} ${path}: ${response.status} ${JSON.stringify(answer)}`)
    }
    return answer
  }
  const pages = async (path: string, key: string) => {
    const all = []
    for (let after = ''; ; ) {
      const page = await ask('GET', `${path}?limit=100${after}`, key)
      all.push(...page.data)
      if (!page.has_more) return all
      after = `&after=${page.last_id}`
    }
  }
  const requireOk = async () => {
    const ledger = await ask('GET', '/v1/admin/ledger/check?since=beginning', target.adminKey)
    if (!ledger.ok) throw new Error(`the ledger is wrong: ${JSON.stringify(ledger)}`)
  }
  const micros = (amount: string) => {
    const [whole = '', part = ''] = amount.split('.')
    return BigInt(whole) * 1_000_000n + BigInt(part.padEnd(6, '0'))
  }
  await requireOk()
  const accounts = await pages('/v1/admin/accounts', target.adminKey)
  let videos = 0
  let cancelled = 0
  for (const { id } of accounts) {
    const { key } = await ask('POST', `/v1/admin/accounts/${id}/keys`, target.adminKey, {})
    const heldNow = async () =>
      micros((await ask('GET', `/v1/admin/accounts/${id}`, target.adminKey)).held.amount)
    // Videos may expire meanwhile, so repeat until the held amount is the same before and after the list.
    for (;;) {
      const before = await heldNow()
      const list = await pages('/v1/videos', key)
      const open = list
        .filter((video) => video.cost.state === 'held')
        .reduce((sum, video) => sum + micros(video.cost.amount), 0n)
      if (before !== (await heldNow())) continue
      if (open !== before) throw new Error(`account ${id} has ${before} held, its videos hold ${open}`)
      videos += list.length
      for (const video of list.filter((one) => one.cost.state === 'held')) {
        await ask('POST', `/v1/videos/${video.id}/cancel`, key)
        cancelled += 1
      }
      break
    }
    // A video that ran is settled once its worker has answered.
    const held = async () => ({ account: id, held: String(await heldNow()) })
    await eventually(held, (now) => now.held === '0', SETTLE_MS_MAX)
  }
  await requireOk()
  return { accounts: accounts.length, videos, cancelled }
}
