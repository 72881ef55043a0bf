import { afterAll, beforeAll, expect, test } from 'vitest'
import { ALL_ROUTES } from '../../apps/api/src/routes/all-routes.ts'
import { type Answer, startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi
beforeAll(async () => {
  api = await startTestApi({ webhookAllowHosts: new Set(['127.0.0.1']) })
})
afterAll(() => api.stop())

/** Sends fields as `curl -F` does; a list is a field that is repeated. */
async function form(
  method: string,
  path: string,
  fields: Record<string, string | readonly string[]>,
  key = path.startsWith('/v1/admin') ? api.adminKey : api.key,
): Promise<Pick<Answer, 'status' | 'body'>> {
  const body = new FormData()
  for (const [name, values] of Object.entries(fields))
    for (const value of [values].flat()) body.append(name, value)
  const answer = await fetch(api.url + path, { method, body, headers: { authorization: `Bearer ${key}` } })
  return { status: answer.status, body: await answer.json() }
}

/** Every value of a JSON body as the text of a form: lists and objects as JSON text. */
const asForm = (body: object): Record<string, string> =>
  Object.fromEntries(
    Object.entries(body).map(([name, value]) => [
      name,
      typeof value === 'string' ? value : JSON.stringify(value),
    ]),
  )

// What is signed is taken as it was signed.
const FORMS = ALL_ROUTES.filter(
  (route) => route.scope !== 'worker' && route.body !== undefined && route.isSigned !== true,
)

test.each(FORMS.map((route) => [`${route.method} ${route.path}`, route] as const))(
  '%s takes the example of its JSON body as a form',
  async (_name, route) => {
    const path = route.path.replaceAll(/\{\w+\}/g, 'nothing')
    const example = (route.example ?? {}) as object
    const key = route.scope === 'admin' ? api.adminKey : api.key
    const asked = await api.call(route.method.toUpperCase(), path, example, { key })
    const answer = await form(route.method.toUpperCase(), path, asForm(example), key)
    expect([answer.status, answer.body.error?.code]).toEqual([asked.status, asked.body.error?.code])
  },
)

test('lists, booleans, numbers and null in forms are what they are in JSON', async () => {
  const url = 'http://127.0.0.1:9/hook'
  const made = await form('POST', '/v1/webhook_endpoints', { url, events: 'video.completed' })
  expect(made).toMatchObject({ status: 200, body: { events: ['video.completed'] } })
  const path = `/v1/webhook_endpoints/${made.body.id}`
  const both = ['video.completed', 'video.failed']
  expect(await form('PATCH', path, { events: both })).toMatchObject({ status: 200, body: { events: both } })
  expect(await form('PATCH', path, { disabled: 'true' })).toMatchObject({ body: { disabled: true } })
  const account = await form('POST', '/v1/admin/accounts', { name: 'a studio', weight: '200' })
  expect(account).toMatchObject({ status: 200, body: { weight: 200 } })
  const keys = `/v1/admin/accounts/${account.body.id}/keys`
  const settings = { scopes: ['videos:read', 'videos:write'], models: 'animatic', token_budget: '500' }
  const key = await form('POST', keys, settings)
  expect(key).toMatchObject({
    status: 200,
    body: { scopes: settings.scopes, models: ['animatic'], token_budget: 500 },
  })
  const cleared = await form('PATCH', `/v1/admin/keys/${key.body.id}`, {
    token_budget: 'null',
    models: 'null',
  })
  expect(cleared).toMatchObject({ status: 200, body: { token_budget: null, models: null } })
})

test('a list whose index names a place far away is refused at once', async () => {
  const url = 'http://127.0.0.1:9/hook'
  expect(
    await form('POST', '/v1/webhook_endpoints', { url, 'events[4294967290]': 'video.failed' }),
  ).toMatchObject({
    status: 400,
    body: { error: { param: 'events', message: expect.stringContaining('an object: allowed is a list') } },
  })
})

test('metadata is JSON text, or fields in brackets', async () => {
  const video = { prompt: 'a paper boat', num_frames: '5' }
  for (const [name, text] of [
    ['metadata', '{"shot": "12"}'],
    ['metadata[shot]', '12'],
  ] as const) {
    expect(await form('POST', '/v1/videos', { ...video, [name]: text })).toMatchObject({
      status: 200,
      body: { metadata: { shot: '12' } },
    })
  }
  for (const metadata of ['{"shot"', '["shot"]', '{"shot": 12}', '{"__proto__": "a"}']) {
    expect(await form('POST', '/v1/videos', { ...video, metadata })).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_value', param: expect.stringContaining('metadata') } },
    })
  }
})

test('an empty field that may be left out counts as left out; one that is needed or unknown does not', async () => {
  const empty = Object.fromEntries(
    ['seed', 'size', 'model', 'metadata', 'webhook_url', 'negative_prompt', 'refine_prompt'].map((name) => [
      name,
      '',
    ]),
  )
  const made = await form('POST', '/v1/videos', { prompt: 'a paper boat', num_frames: '5', ...empty })
  expect(made).toMatchObject({ status: 200, body: { model: 'animatic', metadata: {}, webhook_url: null } })
  expect(await form('POST', '/v1/videos', { prompt: '' })).toMatchObject({
    status: 400,
    body: { error: { param: 'prompt' } },
  })
  expect(await form('POST', '/v1/videos', { prompt: 'a', colour: '' })).toMatchObject({
    status: 400,
    body: { error: { code: 'unknown_parameter', param: 'colour' } },
  })
})
