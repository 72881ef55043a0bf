import { expect, test } from 'vitest'
import { isGateLed } from '../../apps/api/src/gate/leadership.ts'
import { Readiness } from '../../apps/api/src/readiness.ts'
import { eventually } from '../support/eventually.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { quadrants } from '../support/images.ts'
import { sayJson, startJsonServer } from '../support/json-server.ts'
import { rawConnection } from '../support/raw-connection.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

test('/openapi.json is written once: the same bytes to everybody, and nothing to who has them', async () => {
  await using api = await startTestApi()
  const first = await fetch(`${api.url}/openapi.json`)
  const etag = first.headers.get('etag') ?? ''
  expect(etag).toMatch(/^"[\w-]{43}"$/)
  expect(first.headers.get('content-type')).toMatch(/^application\/json/)
  const again = await fetch(`${api.url}/openapi.json`, { headers: { 'if-none-match': etag } })
  expect([again.status, await again.text()]).toEqual([304, ''])
  for (const file of ['swagger-ui-bundle.js', 'swagger-ui.css', 'favicon-32x32.png']) {
    const sent = await fetch(`${api.url}/docs/${file}`)
    const headers = { 'if-none-match': sent.headers.get('etag') ?? '' }
    expect([sent.status, (await fetch(`${api.url}/docs/${file}`, { headers })).status]).toEqual([200, 304])
  }
})

test('/ready costs one look-up a second whoever asks, and tells strangers which part is missing, an admin key why', async () => {
  await using api = await startTestApi()
  const looks = countStatements(api.context.db, 'select 1')
  const answers = await Promise.all(Array.from({ length: 50 }, () => fetch(`${api.url}/ready`)))
  expect(answers.map((answer) => answer.status)).toEqual(Array.from({ length: 50 }, () => 503))
  expect(looks()).toBe(1)
  const seen = async (key: string) => (await api.call('GET', '/ready', undefined, { key })).body.missing
  const why = { part: 'worker', problem: 'no worker for animatic is connected' }
  const unsaid = { part: 'worker', problem: 'not ready; an admin key is told why, and so is the log' }
  expect(await seen(api.adminKey)).toEqual([why])
  for (const key of [api.key, api.workerToken, 'sk-unknown']) expect(await seen(key)).toEqual([unsaid])
})

test('what is missing is told to the log in words, but not while the API starts', async () => {
  await using api = await startTestApi()
  const { context } = api
  await eventually(() => isGateLed(context.internal.db), Boolean)
  const lines: string[] = []
  const note = (line: string) => lines.push(line)
  const log = Object.assign(Object.create(context.log), { info: note, warn: note })
  const internal = { ...context.internal, log }
  const [starting, late] = [60_000, 0].map((ms) => new Readiness({ ...context, log }, internal, ms))
  expect(await starting?.missingParts()).toHaveLength(1)
  expect(lines).toEqual([])
  expect(await late?.missingParts()).toHaveLength(1)
  expect(lines).toEqual(['not ready: worker: no worker for animatic is connected'])
})

test('an address that asks without a good key more often than it may is answered later; a customer is not', async () => {
  const bounds = { strangerRequestsPerSecond: 5, refusalPauseMs: 600_000 }
  await using api = await startTestApi({ bounds })
  const answered: number[] = []
  const cut = new AbortController()
  const ask = async (headers: Record<string, string>) => {
    const response = await fetch(`${api.url}/v1/credits`, { headers, signal: cut.signal })
    answered.push(response.status)
  }
  const asked = Array.from({ length: 30 }, (_, index) =>
    ask(index % 2 === 0 ? {} : { authorization: 'Bearer sk-unknown' }).catch(() => undefined),
  )
  await eventually(
    async () => answered.length,
    (count) => count >= 5,
  )
  for (let call = 0; call < 20; call += 1) expect((await api.call('GET', '/v1/credits')).status).toBe(200)
  // A second may have begun anew in between.
  expect(answered.length).toBeLessThanOrEqual(10)
  cut.abort()
  await Promise.all(asked)
})

test('a thousand requests with keys that nobody has cost a few look-ups', async () => {
  await using api = await startTestApi()
  const looks = countStatements(api.context.db, 'key-authenticate')
  const reads = Array.from({ length: 1_000 }, (_, index) =>
    api.context.keyReaders.customers.read(`sk-unknown-${index}`).then(
      () => 'known',
      (error: { code: string }) => error.code,
    ),
  )
  const real = api.context.keyReaders.customers.read(api.key)
  expect(new Set(await Promise.all(reads))).toEqual(new Set(['invalid_api_key']))
  expect((await real).scopes).toContain('videos:write')
  expect(looks()).toBeLessThan(10)
})

const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 2 }

/** The head of a submission of `bytes` bytes. */
const headOf = (key: string, bytes: number, more = '') =>
  [
    'POST /v1/videos HTTP/1.1',
    'host: x',
    `authorization: Bearer ${key}`,
    'content-type: application/json',
    `${more}content-length: ${bytes}`,
    '\r\n',
  ].join('\r\n')

/** What another tenant does, and a worker: each is answered. */
async function requireOthersGoOn(api: TestApi, other: { key: string }): Promise<void> {
  const as = { key: other.key }
  const submitted = await api.call('POST', '/v1/videos', SMALL, as)
  expect(submitted.status).toBe(200)
  expect((await api.call('GET', `/v1/videos/${submitted.body.id}`, undefined, as)).status).toBe(200)
  expect((await api.call('GET', '/v1/credits', undefined, as)).status).toBe(200)
  await using worker = new HandWorker(api)
  await worker.heartbeat()
}

test('a tenant whose submissions wait for its locked account takes one connection: another one, and workers, go on', async () => {
  await using api = await startTestApi()
  const [crowd, other] = [await api.account(1_000_000_000n), await api.account(1_000_000_000n)]
  const holder = await api.context.internal.db.connect()
  try {
    await holder.query('begin')
    await holder.query('select from ledger_account where account_id = $1 for update', [crowd.accountId])
    const submissions = Array.from({ length: 25 }, () =>
      api.call('POST', '/v1/videos', SMALL, { key: crowd.key }),
    )
    const waiting = async () => {
      // Of this database alone: other tests wait for locks on the same server.
      const { rows } = await api.context.internal.db.query({
        text: `select distinct pid from pg_locks join pg_stat_activity using (pid)
          where not granted and datname = current_database()`,
      })
      return rows.length
    }
    await eventually(waiting, (count) => count > 0)
    await requireOthersGoOn(api, other)
    expect(await waiting()).toBe(1)
    await holder.query('commit')
    const statuses = (await Promise.all(submissions)).map(({ status }) => status)
    expect(statuses).toEqual(Array.from({ length: 25 }, () => 200))
  } finally {
    holder.release()
  }
})

test('what one account asks for at once beyond its bound is a 429 that says when to come back; no other waits for it', async () => {
  const bounds = { submissionsOfAccount: 1, waitingCallsOfAccount: 2, refusalPauseMs: 1 }
  await using api = await startTestApi({ bounds })
  const [crowd, other] = [await api.account(0n), await api.account(1_000_000_000n)]
  const asked = Array.from({ length: 200 }, () => api.call('POST', '/v1/videos', SMALL, { key: crowd.key }))
  await requireOthersGoOn(api, other)
  const answers = await Promise.all(asked)
  const refused = answers.filter(({ status }) => status === 429)
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([402, 429]))
  expect(refused.length).toBeGreaterThan(50)
  for (const { headers, body } of refused) {
    expect(headers.get('retry-after')).toBe('1')
    expect(body.error).toMatchObject({ type: 'rate_limit_error', code: 'too_many_at_once' })
  }
})

test('bodies that stop coming hold no more than an account may hold, and no other waits for them', async () => {
  const MIB = 1024 * 1024
  const bounds = { bodyBytes: 40 * MIB, bodyBytesOfAccount: 20 * MIB, bodyGraceMs: 600_000 }
  await using api = await startTestApi({ bounds })
  const [crowd, other] = [await api.account(0n), await api.account(1_000_000_000n)]
  const head = headOf(crowd.key, 9 * MIB, 'expect: 100-continue\r\n')
  const opened = await Promise.all(Array.from({ length: 6 }, () => rawConnection(api.url, head)))
  // Who is told to go on has room for its body.
  const letIn = async () => opened.filter((one) => one.received().startsWith('HTTP/1.1 100')).length
  await eventually(letIn, (count) => count === 2)
  await requireOthersGoOn(api, other)
  expect(await letIn()).toBe(2)
  // Whoever gives up gives back the room.
  for (const { socket, received } of opened) if (received() !== '') socket.destroy()
  await eventually(letIn, (count) => count === 4)
  for (const { socket } of opened) socket.destroy()
  // A body that does not say its length may be as long as any.
  const endless = head.replace(/content-length: \d+/, 'transfer-encoding: chunked')
  const unbound = await Promise.all(Array.from({ length: 3 }, () => rawConnection(api.url, endless)))
  await eventually(
    async () => unbound.some((one) => one.received().startsWith('HTTP/1.1 100')),
    (isLetIn) => isLetIn,
  )
  await requireOthersGoOn(api, other)
  expect(unbound.some((one) => one.received() === '')).toBe(true)
  for (const { socket } of unbound) socket.destroy()
})

test('a body that stops coming is given up, and its connection is closed', async () => {
  await using api = await startTestApi({ bounds: { bodyGraceMs: 200, lingerMs: 20 } })
  using slow = await rawConnection(api.url, `${headOf(api.key, 1_000)}{"prompt":"`)
  await slow.closed
  expect(slow.received()).toMatch(/^HTTP\/1.1 408 .*"code":"body_too_slow"/s)
})

test('a body is refused from its length before any of it is read, and from its key before that', async () => {
  await using api = await startTestApi({ bounds: { lingerMs: 50 } })
  const answerTo = async (text: string) => {
    using connection = await rawConnection(api.url, text)
    await connection.closed
    return connection.received()
  }
  expect(await answerTo(headOf(api.key, 100_000_000))).toMatch(/^HTTP\/1.1 413 .*"code":"body_too_large"/s)
  expect(await answerTo(headOf('sk-unknown', 100_000_000))).toMatch(/^HTTP\/1.1 401 /)
  // Who asks first is not told to send it.
  const asks = 'expect: 100-continue\r\n'
  expect(await answerTo(headOf(api.key, 100_000_000, asks))).toMatch(/^HTTP\/1.1 413 /)
  using polite = await rawConnection(api.url, headOf(api.key, 30, asks))
  await eventually(
    async () => polite.received(),
    (text) => text.startsWith('HTTP/1.1 100 Continue'),
  )
})

test('a stop answers the requests under way, takes no new ones, ends streams, and keeps its bound', async () => {
  const answered = Promise.withResolvers<void>()
  await using hook = await startJsonServer((response) => {
    answered.promise.then(
      () => sayJson(response, { results: [{ flagged: false }] }),
      () => {},
    )
  })
  await using api = await startTestApi({
    moderation: { url: hook.url, key: undefined, timeoutMs: 10_000, failOpen: false, takesImages: false },
  })
  const kept = await rawConnection(api.url, 'GET /health HTTP/1.1\r\nhost: x\r\n\r\n')
  await eventually(
    async () => kept.received(),
    (text) => text.includes('200 OK'),
  )
  const submitted = api.call('POST', '/v1/videos', SMALL)
  await eventually(
    async () => hook.asked.length,
    (count) => count === 1,
  )
  const stopped = api.api.stop()
  await kept.closed
  await expect(fetch(`${api.url}/health`)).rejects.toThrow()
  answered.resolve()
  const answer = await submitted
  expect([answer.status, answer.headers.get('connection')]).toEqual([200, 'close'])
  await stopped
})

test('one tenant’s large images wait behind each other: another one’s is decoded at once, and without money none is', async () => {
  await using api = await startTestApi()
  const [crowd, other, poor] = [
    await api.account(1_000_000_000n),
    await api.account(1_000_000_000n),
    await api.account(0n),
  ]
  const image = (await quadrants(3_000, 2_000).jpeg({ progressive: true }).toBuffer()).toString('base64')
  const small = (await quadrants(64, 64).png().toBuffer()).toString('base64')
  const order: string[] = []
  const submit = async ({ key }: { key: string }, name: string, input_reference: string) => {
    const answer = await api.call('POST', '/v1/videos', { ...SMALL, input_reference }, { key })
    order.push(name)
    return answer.status
  }
  const crowded = Array.from({ length: 12 }, () => submit(crowd, 'crowd', image))
  expect(await submit(other, 'other', small)).toBe(200)
  expect(new Set(await Promise.all(crowded))).toEqual(new Set([200]))
  expect(order.indexOf('other')).toBeLessThan(6)
  // It is refused before its image is looked at: the image is none.
  expect(await submit(poor, 'poor', `data:image/png;base64,${'AAAA'.repeat(30)}`)).toBe(402)
})

test('what no program sends is a 4xx of the documented shape, never a 5xx and never silence', async () => {
  await using api = await startTestApi({ bounds: { lingerMs: 20 } })
  const key = `authorization: Bearer ${api.key}`
  const json = 'content-type: application/json'
  const deep = (levels: number) =>
    `{"prompt":"x","input_reference":${'['.repeat(levels)}${']'.repeat(levels)}}`
  const post = (path: string, body: string) =>
    [`POST ${path} HTTP/1.1`, 'host: x', key, json, `content-length: ${body.length}`, '', body].join('\r\n')
  const bodies = [
    deep(400_000),
    deep(33),
    `{"prompt":"x","metadata":${'{"a":'.repeat(100_000)}1${'}'.repeat(100_000)}}`,
    `${'['.repeat(200_000)}`,
    '{"prompt":"a\\u0000b"}',
    '{"prompt":"\\ud800"}',
    '{"prompt":"x","seed":1e400}',
    '{"prompt":"x","seed":9007199254740993}',
    '{"prompt":"x","__proto__":{"seed":1}}',
    '{"prompt":"x","metadata":{"__proto__":"1"}}',
    '{"prompt":"x","max_cost":1e-320}',
    '\xff\xfe',
    '',
  ]
  const paths = ['/v1/videos', '/v1/videos/quote', '/v1/webhook_endpoints', '/v1/videos/x/remix']
  const requests = [
    ...paths.flatMap((path) => bodies.map((body) => post(path, body))),
    ...['/v1/videos/%', '/v1/videos/%ff/content', '/v1/videos/%00', '/v1/videos/%2e%2e', '/v1//videos'].map(
      (path) => `GET ${path} HTTP/1.1\r\nhost: x\r\n${key}\r\n\r\n`,
    ),
    ...['?after=%', '?after=%ff', '?limit=1&limit=2', '?__proto__=1', `?after=${'x'.repeat(8_000)}`].map(
      (query) => `GET /v1/videos${query} HTTP/1.1\r\nhost: x\r\n${key}\r\n\r\n`,
    ),
    ...['PUT', 'TRACE', 'PROPFIND', 'OPTIONS'].map(
      (method) => `${method} /v1/credits HTTP/1.1\r\nhost: x\r\n${key}\r\n\r\n`,
    ),
    'NONSENSE / HTTP/1.1\r\nhost: x\r\n\r\n',
    'hello\r\n\r\n',
    `GET /v1/videos HTTP/1.1\r\nhost: x\r\nx: ${'y'.repeat(100_000)}\r\n\r\n`,
    `GET /${'z'.repeat(100_000)} HTTP/1.1\r\nhost: x\r\n\r\n`,
    `GET /v1/videos HTTP/1.1\r\nhost: x\r\nauthorization: Bearer \xe9\xff\r\n\r\n`,
  ]
  for (const text of requests) {
    using connection = await rawConnection(api.url, text)
    const received = await eventually(
      async () => connection.received(),
      (sofar) => sofar.includes('\r\n\r\n'),
    )
    expect(received, text.slice(0, 200)).toMatch(/^HTTP\/1\.1 (4\d\d|204) /)
  }
  expect((await api.call('GET', '/v1/credits')).status).toBe(200)
})

type Query = (statement: { name?: string; text: string }) => Promise<unknown>

/** Counts the statements of that name or text that the API's pool is asked for from now on. */
function countStatements(db: { query: unknown }, named: string): () => number {
  const query = (db.query as Query).bind(db)
  let count = 0
  const counted: Query = (statement) => {
    if (statement.name === named || statement.text === named) count += 1
    return query(statement)
  }
  db.query = counted
  return () => count
}
