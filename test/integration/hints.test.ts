import { afterAll, beforeAll, expect, test } from 'vitest'
import { createRequestSchema } from '../../apps/api/src/submissions/create-request.ts'
import { quadrants } from '../support/images.ts'
import { rawRequest } from '../support/raw-request.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.stop())

const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 2 }
const post = (body: unknown, path = '/v1/videos') => api.call('POST', path, body)

test('null in a field that may be left out is as if it were left out, in every body', async () => {
  const optional = Object.keys(createRequestSchema.shape).filter((name) => !(name in SMALL))
  expect(optional.length).toBeGreaterThan(12)
  const nulls = Object.fromEntries(optional.map((name) => [name, null]))
  expect((await post({ ...SMALL, ...nulls })).status).toBe(200)
  expect((await post({ ...SMALL, ...nulls }, '/v1/videos/quote')).status).toBe(200)
  const endpoint = { url: 'https://example.com/hook', name: null, events: null }
  expect((await post(endpoint, '/v1/webhook_endpoints')).body.error?.message ?? '').not.toMatch(/null/)
  // What must be there must be there, and null that means something still does.
  expect((await post({ ...SMALL, prompt: null })).status).toBe(400)
  const admin = { key: api.adminKey }
  const made = await api.call('POST', '/v1/admin/accounts', { name: 'limits', unfinished_max: 3 }, admin)
  const path = `/v1/admin/accounts/${made.body.id}`
  const changed = await api.call('PATCH', path, { unfinished_max: null }, admin)
  expect(changed).toMatchObject({ status: 200, body: { unfinished_max: null } })
})

test('an image is taken as bare base64 too, and one without a file name is told what it lacks; no message shows bytes', async () => {
  const png = await quadrants(400, 300).png().toBuffer()
  expect((await post({ ...SMALL, input_reference: png.toString('base64') })).body).toMatchObject({
    mode: 'i2v',
  })
  const part = (name: string) => `--b\r\ncontent-disposition: form-data; name="${name}"\r\n`
  const form = Buffer.concat([
    Buffer.from(`${part('prompt')}\r\nx\r\n${part('input_reference')}content-type: image/png\r\n\r\n`),
    png,
    Buffer.from('\r\n--b--\r\n'),
  ])
  const send = (type: string, body: Buffer) =>
    rawRequest(api.url, {
      method: 'POST',
      path: '/v1/videos',
      headers: { authorization: `Bearer ${api.key}`, 'content-type': type },
      body,
    })
  const nameless = await send('multipart/form-data; boundary=b', form)
  expect(nameless).toMatchObject({ status: 400, body: { error: { param: 'input_reference' } } })
  expect(nameless.body.error.message).toContain('without a file name (filename="image.png")')
  const asJson = await send('application/json', png)
  for (const { body } of [nameless, asJson, await post({ ...SMALL, model: png.toString('latin1') })])
    expect(body.error.message).toMatch(/^[\x20-\x7e]+$/)
})

test.each([
  ['width', 'size'],
  ['num_inference_steps', 'num_steps'],
  ['guidance_scale', 'guidance'],
  ['fps', 'num_frames or seconds'],
  ['n', 'one request for each video'],
  ['image_url', 'input_reference'],
])('%s, as other services call it, is answered with what says it here', async (name, here) => {
  const answer = await post({ ...SMALL, [name]: 1 })
  expect(answer.status).toBe(400)
  expect(answer.body.error.message).toContain(`Unknown parameter: "${name}". Here it is ${here}`)
})

test('a path without /v1, or with two, and a host that is not public are told what is missing', async () => {
  const message = async (path: string) => (await post(SMALL, path)).body.error.message
  expect(await message('/videos')).toContain('The base URL ends with /v1.')
  expect(await message('/videos/video_1/cancel')).toContain('The base URL ends with /v1.')
  expect(await message('/v1/v1/videos')).toContain('The base URL has /v1 already')
  expect(await message('/v1/video/generations')).toContain('POST /v1/videos')
  expect(await message('/nothing')).toBe('No such call: POST /nothing. /docs lists all calls.')
  const hosts = ['https://10.0.0.1/x', 'https://localhost/x', 'http://127.0.0.1/x']
  for (const webhook_url of hosts)
    expect((await post({ ...SMALL, webhook_url })).body.error.message).toContain('SLUICE_WEBHOOK_ALLOW_HOSTS')
})
