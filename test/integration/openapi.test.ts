import { Validator } from '@seriousme/openapi-schema-validator'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { z } from 'zod'
import { ERROR_CODES } from '../../apps/api/src/errors.ts'
import { ERROR_STATUS } from '../../apps/api/src/http/error-status.ts'
import { documentedOf, errorCodesOf } from '../../apps/api/src/http/openapi.ts'
import type { Route } from '../../apps/api/src/http/route.ts'
import { ALL_ROUTES } from '../../apps/api/src/routes/all-routes.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'
import { checkout, STRIPE_SECRET, sendStripeEvent, stripeEvent } from '../support/stripe-events.ts'
import { startWebhookReceiver } from '../support/webhook-receiver.ts'

let api: TestApi
// biome-ignore lint/suspicious/noExplicitAny: an OpenAPI document is read as the JSON it is
let document: any
let readerKey: string
let metricsKey: string

const DOCUMENTED = documentedOf(ALL_ROUTES)
const operatorKey = async (scope: string): Promise<string> =>
  (await api.call('POST', '/v1/admin/keys', { scope }, { key: api.adminKey })).body.key
/** A path with something in place of each parameter. */
const somePath = (route: Route) => route.path.replaceAll(/\{\w+\}/g, 'nothing')
const call = (route: Route, key: string) =>
  fetch(api.url + somePath(route), {
    method: route.method.toUpperCase(),
    headers: { authorization: `Bearer ${key}` },
  })

beforeAll(async () => {
  api = await startTestApi()
  document = (await api.call('GET', '/openapi.json')).body
  readerKey = await operatorKey('admin:read')
  metricsKey = await operatorKey('metrics:read')
})
afterAll(() => api.stop())

test('the document is valid OpenAPI 3.1', async () => {
  const result = await new Validator().validate(structuredClone(document))
  expect(result.errors ?? []).toEqual([])
  expect(document.openapi).toBe('3.1.0')
})

test('every call is in the document, and the document has no other', () => {
  const described = Object.entries<object>(document.paths).flatMap(([path, item]) =>
    Object.keys(item).map((method) => `${method} ${path}`),
  )
  const calls = DOCUMENTED.map((route) => `${route.method} ${route.path}`)
  expect(described.filter((call) => !call.startsWith('head '))).toEqual(calls)
  // HEAD is described where it tells something, beside the GET.
  expect(described.filter((call) => call.startsWith('head '))).toEqual(['head /v1/videos/{id}/content'])
  expect(calls[0]).toBe('post /v1/videos')
  expect(calls.slice(-4).every((call) => /edits|extensions|characters/.test(call))).toBe(true)
})

/** Every schema of the document with the way to it. */
function* schemasIn(part: unknown, way = ''): Generator<[string, Record<string, unknown>]> {
  if (part === null || typeof part !== 'object') return
  const one = part as Record<string, unknown>
  if ('type' in one || 'anyOf' in one || 'properties' in one) yield [way, one]
  for (const [name, inner] of Object.entries(one)) {
    if (name !== 'example') yield* schemasIn(inner, `${way}/${name}`)
  }
}

test('every field that is text or a number has an example that its schema allows, or fixed values', () => {
  const schemas = [...schemasIn(document)].filter(([way]) => /properties\/[^/]+$/.test(way))
  const bare = schemas.filter(
    ([, { type, format, example, enum: values, const: value, default: unset }]) =>
      format !== 'binary' &&
      ['string', 'integer', 'number'].includes(String([type].flat()[0])) &&
      [example, values, value, unset].every((one) => one === undefined),
  )
  expect(bare.map(([way]) => way)).toEqual([])
  for (const [way, { type, example, pattern, minimum, maximum }] of schemas) {
    if (example === undefined || example === null) continue
    if (typeof example === 'string' && typeof pattern === 'string')
      expect(example, way).toMatch(new RegExp(pattern, 'u'))
    if (typeof example === 'number' && type !== undefined) {
      expect(['number', 'integer'], way).toContain([type].flat()[0])
      expect(example, way).toBeGreaterThanOrEqual(Number(minimum ?? -Infinity))
      expect(example, way).toBeLessThanOrEqual(Number(maximum ?? Infinity))
    }
  }
})

test('types are those a generator can use: whole numbers as such, files binary, events text, forms with a file', () => {
  const operation = (method: string, path: string) => document.paths[path][method]
  for (const path of ['/v1/videos', '/v1/ledger', '/v1/admin/audit']) {
    const limit = operation('get', path).parameters.find((one: { name: string }) => one.name === 'limit')
    expect(limit.schema).toMatchObject({ type: 'integer', minimum: 1, maximum: 100, default: 20 })
    expect(limit.schema.pattern).toBeUndefined()
  }
  for (const [way, schema] of schemasIn(document)) {
    expect([schema.minimum, schema.type === 'integer' ? schema.pattern : undefined], way).not.toContain(
      Number.MIN_SAFE_INTEGER,
    )
  }
  const create = operation('post', '/v1/videos').requestBody.content
  expect(create['multipart/form-data'].schema.properties.input_reference).toMatchObject({
    type: 'string',
    format: 'binary',
  })
  const { VideoRequest } = document.components.schemas
  expect(VideoRequest).toMatchObject({
    required: ['prompt'],
    additionalProperties: false,
    dependentRequired: { i2v_condition: ['input_reference'] },
  })
  expect(VideoRequest.properties).toMatchObject({
    prompt: { minLength: 1, maxLength: 4_000, pattern: expect.any(String) },
    metadata: { type: 'object', maxProperties: 16, additionalProperties: { type: 'string', maxLength: 512 } },
    webhook_url: { format: 'uri' },
    mode: { enum: ['t2v', 't2i2v', 'i2v'] },
  })
  const content = operation('get', '/v1/videos/{id}/content')
  expect(Object.keys(content.responses)).toEqual(
    expect.arrayContaining([
      '200',
      '206',
      '302',
      '304',
      '401',
      '403',
      '404',
      '409',
      '410',
      '416',
      '429',
      '503',
    ]),
  )
  expect(content.responses[200].content['video/mp4'].schema).toMatchObject({
    type: 'string',
    format: 'binary',
  })
  const events = operation('get', '/v1/videos/{id}/events').responses[200].content
  expect(events['text/event-stream'].schema).toEqual({ type: 'string' })
  for (const route of DOCUMENTED.filter(({ scope }) => scope !== null)) {
    for (const status of ['429', '503']) {
      expect(operation(route.method, route.path).responses[status].headers).toHaveProperty('retry-after')
    }
  }
})

test('every call has a name of its own', () => {
  const names = ALL_ROUTES.map((route) => route.operationId)
  expect(new Set(names).size).toBe(names.length)
})

describe.each(ALL_ROUTES.map((route) => [`${route.method.toUpperCase()} ${route.path}`, route] as const))(
  '%s',
  (_name, route) => {
    test('is answered, with a key of its scope and not without', async () => {
      const answer = await call(route, 'sk-sluice-unknown')
      const code =
        answer.status === 401 ? ((await answer.json()) as { error: { code: string } }).error.code : null
      if (route.scope === null) expect(answer.status).toBeLessThan(600)
      else expect(code).toBe('invalid_api_key')
      const owned: [kind: string, key: string, scopes: readonly (string | null)[]][] = [
        ['account', api.key, ['videos:read', 'videos:write']],
        ['admin', api.adminKey, ['admin', 'admin:read', 'metrics:read']],
        ['admin:read', readerKey, ['admin:read', 'metrics:read']],
        ['metrics:read', metricsKey, ['metrics:read']],
        ['worker', api.workerToken, ['worker']],
      ]
      for (const [kind, key, scopes] of owned) {
        const isAllowed = route.scope === null || scopes.includes(route.scope)
        if (!isAllowed) expect((await call(route, key)).status, `${kind} key`).toBe(403)
        else if (route.method === 'get') expect((await call(route, key)).status, `${kind} key`).not.toBe(403)
      }
    })

    test('changes nothing when a key that only reads may make it', () => {
      if (route.scope?.endsWith(':read') === true) expect(route.method).toBe('get')
      else if (route.scope === 'admin') expect(route.method).not.toBe('get')
    })

    test('says of every error which status it has', () => {
      if (route.scope === 'worker') return
      const answers = document.paths[route.path][route.method].responses
      for (const code of errorCodesOf(route)) {
        expect(ERROR_CODES).toContain(code)
        expect(answers[ERROR_STATUS[code].status].description.split(', ')).toContain(code)
      }
    })
  },
)

/** What the API answered must be exactly what the document says: every field there, and no other. */
function expectToMatch(schema: z.ZodType | undefined, body: unknown): void {
  if (schema === undefined) throw new Error('the call documents no JSON answer')
  const parsed = schema.safeParse(body)
  expect(parsed.error?.issues ?? []).toEqual([])
  // Objects in a schema drop what they do not know, so an undocumented field shows as a difference.
  expect(parsed.data).toEqual(body)
}

const routeOf = (operationId: string): Route => {
  const route = ALL_ROUTES.find((candidate) => candidate.operationId === operationId)
  if (route === undefined) throw new Error(`no call ${operationId}`)
  return route
}
const answerOf = (operationId: string) => routeOf(operationId).answers[200]?.schema

/** Calls an operation, holds its answer against the document, and answers the body. */
const answered = new Set<string>()
async function must(
  operationId: string,
  params: { id?: string; query?: string; body?: unknown } = {},
  on: TestApi = api,
) {
  const route = routeOf(operationId)
  const path = route.path.replace('{id}', params.id ?? '') + (params.query ?? '')
  const key = route.tag === 'admin' ? on.adminKey : on.key
  const answer = await on.call(route.method.toUpperCase(), path, params.body ?? route.example, { key })
  expectToMatch(route.answers[answer.status]?.schema, answer.body)
  answered.add(operationId)
  return answer.body
}

test('what is answered is what is documented, field by field, by every call that answers JSON', async () => {
  await using receiver = await startWebhookReceiver()
  await using own = await startTestApi({
    webhookAllowHosts: new Set(['127.0.0.1']),
    stripe: { webhookSecret: STRIPE_SECRET, paymentLink: undefined },
  })
  const ask: typeof must = (operationId, params) => must(operationId, params, own)
  const body = { prompt: 'a', num_frames: 5, metadata: { a: 'b' } }
  const { id } = await ask('createVideo', { body })
  await using worker = new HandWorker(own)
  await worker.heartbeat()
  const attempt = await worker.fetch()
  const result = await attempt.upload()
  await ask('listWorkers')
  await attempt.report({ type: 'finished', result })
  await worker.heartbeat([], { draining: true })
  await ask('retrieveVideo', { id })
  await ask('quoteVideo', { body: { ...body, max_tokens: 1 } })
  await ask('listVideos')
  const content = await own.call('GET', `/v1/videos/${id}/content`, undefined, {
    headers: { accept: 'application/json' },
  })
  expectToMatch(answerOf('videoContent'), content.body)
  answered.add('videoContent')
  const remix = await ask('remixVideo', { id })
  await ask('cancelVideo', { id: remix.id })
  await ask('retryVideo', { id: remix.id })
  await ask('retrieveModel', { id: 'sora-2' })
  for (const operationId of [
    'listModels',
    'readCredits',
    'changeCreditAlerts',
    'readKey',
    'readUsage',
    'readLedger',
  ])
    await ask(operationId)
  const paid = await sendStripeEvent(
    own.url,
    stripeEvent('checkout.session.completed', checkout(null, 2_500)),
  )
  expectToMatch(answerOf('receiveStripeEvent'), paid.body)
  answered.add('receiveStripeEvent')
  const { account_id: payer } = await ask('readKey')
  const payment = paid.body.payment_id
  await ask('dismissPayment', { id: payment })
  await ask('creditPayment', { id: payment, body: { account_id: payer } })
  await ask('waivePayment', { id: payment })
  await ask('listAllPayments')
  await ask('listPayments')
  const { data: months } = await ask('listStatements')
  await ask('readStatement', { id: months[0].id })
  const endpoint = await ask('createWebhookEndpoint', { body: { url: receiver.url } })
  for (const operationId of [
    'listWebhookEndpoints',
    'readWebhookSecret',
    'rotateWebhookSecret',
    'listWebhookEventTypes',
  ])
    await ask(operationId)
  await ask('readWebhookEndpoint', { id: endpoint.id })
  await ask('rotateWebhookEndpoint', { id: endpoint.id })
  await ask('rotateWebhookEndpointSecret', { id: endpoint.id })
  await ask('testWebhookEndpoint', { id: endpoint.id, body: { event_type: 'video.failed' } })
  const delivery = await ask('testWebhookEndpoint', { id: endpoint.id })
  await ask('listWebhookEndpointDeliveries', { id: endpoint.id })
  await ask('listWebhookDeliveries')
  await ask('redeliverWebhook', { id: delivery.id })
  await ask('postWebhookEndpoint', { id: endpoint.id })
  await ask('updateWebhookEndpoint', { id: endpoint.id })
  await ask('deleteWebhookEndpoint', { id: endpoint.id })
  await ask('readAdminVideo', { id })
  const account = await ask('createAccount')
  await ask('creditAccount', { id: account.id, body: { amount: '1', expires_at: 4_102_444_800 } })
  for (const operationId of [
    'readAccount',
    'changeAccount',
    'creditAccount',
    'listAccountCredits',
    'refundAccount',
    'readAccountLedger',
    'listAccountStatements',
    'readAccountStatement',
  ]) {
    await ask(operationId, { id: account.id })
  }
  const key = await ask('createAccountKey', { id: account.id })
  await ask('listAccountKeys', { id: account.id })
  await ask('readAdminKey', { id: key.id })
  await ask('changeKey', { id: key.id })
  await ask('revokeKey', { id: key.id })
  const rest = [
    'checkLedger',
    'repairQueueCounts',
    'listAccounts',
    'createOperatorKey',
    'listKeys',
    'listPrices',
    'setPrice',
    'readFlexPrices',
    'setFlexPrices',
    'readAudit',
    'health',
    'ready',
    'readEconomics',
    'readPlan',
  ]
  for (const operationId of [...rest, 'openapi']) await ask(operationId)
  await ask('deleteVideo', { id })
  const answersJson = DOCUMENTED.filter((route) =>
    Object.values(route.answers).some((answer) => answer.schema !== undefined),
  )
  expect([...answered].sort()).toEqual(answersJson.map((route) => route.operationId).sort())
})

test('the example bodies are accepted as they stand', async () => {
  const { id } = (await api.call('POST', '/v1/videos', { prompt: 'a', num_frames: 5 })).body
  for (const route of DOCUMENTED) {
    if (route.example === undefined || route.body === undefined) continue
    expect(route.body.safeParse(route.example).error?.issues ?? [], route.operationId).toEqual([])
    if (!['createVideo', 'remixVideo'].includes(route.operationId)) continue
    expect((await api.call('POST', route.path.replace('{id}', id), route.example)).status).toBe(200)
  }
})

test('the reference page loads nothing from elsewhere', async () => {
  const page = await fetch(`${api.url}/docs`)
  expect(page.status).toBe(200)
  const html = await page.text()
  const sources = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map((match) => match[1] ?? '')
  expect(sources.length).toBeGreaterThan(2)
  for (const source of sources) {
    expect(source).toMatch(/^\/docs\//)
    expect((await fetch(api.url + source)).status).toBe(200)
  }
})
