import { newId } from '@sluice/shared/ids'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { hashKey } from '../../apps/api/src/keys/api-key.ts'
import { issueKey } from '../../apps/api/src/keys/create-key.ts'
import { footprint } from '../support/footprint.ts'
import { multipart, rawRequest } from '../support/raw-request.ts'
import { type Answer, callJson, startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi
let before: Record<string, unknown>

beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.stop())
beforeEach(async () => {
  before = await footprint(api)
})

const PROMPT = 'a paper boat'
const post = (body: unknown) => api.call('POST', '/v1/videos', body)
const raw = (options: {
  method?: string
  path?: string
  headers?: Record<string, string>
  body?: string | Uint8Array
}) =>
  rawRequest(api.url, {
    method: 'POST',
    path: '/v1/videos',
    ...options,
    headers: { authorization: `Bearer ${api.key}`, ...options.headers },
  })
const form = (parts: readonly (readonly [string, string])[], boundary?: string) =>
  raw({
    headers: { 'content-type': `multipart/form-data; boundary=${boundary ?? 'boundary0'}` },
    body: multipart(parts, boundary),
  })

interface Refusal {
  status: number
  code: string
  param: string | null
  says?: RegExp
}

function expectRefusal(answer: Answer, refusal: Refusal): void {
  expect(answer.body).toEqual({
    error: {
      message: expect.any(String),
      type: expect.any(String),
      code: refusal.code,
      param: refusal.param,
    },
  })
  expect(answer.status).toBe(refusal.status)
  expect(answer.headers.get('content-type')).toMatch(/^application\/json/)
  expect(answer.headers.get('x-request-id')).toMatch(/^req_/)
  if (refusal.says !== undefined) expect(answer.body.error.message).toMatch(refusal.says)
  // A line, whatever was sent.
  expect(answer.body.error.message.length).toBeLessThan(600)
}

/** Refused, and nothing held, stored or queued afterwards. */
async function expectRefused(answer: Answer, refusal: Refusal): Promise<void> {
  expectRefusal(answer, refusal)
  expect(await footprint(api)).toEqual(before)
}

const invalid = (param: string | null, says: RegExp): Refusal => ({
  status: 400,
  code: 'invalid_value',
  param,
  says,
})
const unknown = (param: string): Refusal => ({
  status: 400,
  code: 'unknown_parameter',
  param,
  says: /Unknown parameter/,
})

const FIELDS: [title: string, fields: Record<string, unknown>, refusal: Refusal][] = [
  ['an unknown field', { frames: 129 }, unknown('frames')],
  ['a field of the prototype', { constructor: 'x' }, unknown('constructor')],
  [
    'a built-in model that is not offered here',
    { model: 'wan-2.2-5b' },
    invalid('model', /model is "wan-2\.2-5b": allowed is open-sora-2, animatic, sora-2/),
  ],
  [
    'frames not 4k+1',
    { num_frames: 100 },
    invalid('num_frames', /num_frames is 100: allowed is 4k\+1 from 1 to 129, such as 101\./),
  ],
  ['no frames', { num_frames: 0 }, invalid('num_frames', /num_frames is 0: allowed is 4k\+1/)],
  ['negative frames', { num_frames: -3 }, invalid('num_frames', /num_frames is -3: allowed is 4k\+1/)],
  [
    'too many frames',
    { num_frames: 133 },
    invalid('num_frames', /num_frames is 133: allowed is 4k\+1 from 1 to 129, such as 129\./),
  ],
  [
    'frames beyond all numbers',
    { num_frames: 1e300 },
    invalid('num_frames', /num_frames is 1e\+300: allowed is/),
  ],
  [
    'half a frame',
    { num_frames: 4.5 },
    invalid('num_frames', /num_frames is 4.5: allowed is a whole number/),
  ],
  [
    'more seconds than the model makes',
    { seconds: '8' },
    invalid('seconds', /seconds is "8": allowed is a whole number from 1 to 5, .* up to 5\.375/),
  ],
  ['seconds as a number, too long', { seconds: 12 }, invalid('seconds', /seconds is 12: allowed is/)],
  ['no seconds', { seconds: '0' }, invalid('seconds', /seconds is "0": allowed is a whole number from 1/)],
  ['negative seconds', { seconds: -4 }, invalid('seconds', /seconds is -4/)],
  ['seconds that are no number', { seconds: 'abc' }, invalid('seconds', /seconds is "abc": allowed is/)],
  [
    'seconds of another type',
    { seconds: true },
    invalid('seconds', /seconds is true: allowed is text or a number/),
  ],
  ['seconds between two lengths', { seconds: '1.5' }, invalid('seconds', /seconds is "1.5": allowed is/)],
  [
    'seconds and frames that disagree',
    { seconds: '4', num_frames: 129 },
    invalid('seconds', /seconds is "4": allowed is 5\.375, since num_frames is 129/),
  ],
  [
    'a size no model makes',
    { size: '640x480' },
    invalid('size', /"640x480": allowed is \d+x\d+, \d+x\d+, 1280x720, .* GET \/v1\/models\/animatic lists/),
  ],
  [
    'a malformed size',
    { size: '336*192' },
    invalid('size', /size is "336\*192": allowed is 336x192, 1024x576, 1280x720/),
  ],
  [
    'a size that is an object',
    { size: { width: 336 } },
    invalid('size', /size is an object: allowed is text/),
  ],
  [
    'an unknown model',
    { model: 'gpt-4' },
    invalid('model', /model is "gpt-4": allowed is open-sora-2, animatic, sora-2, sora-2-pro/),
  ],
  ['a model of the prototype', { model: '__proto__' }, invalid('model', /model is "__proto__"/)],
  ['a mode the model does not do', { mode: 't2i2v' }, invalid('mode', /mode is "t2i2v": allowed is t2v/)],
  [
    'an unknown mode',
    { mode: 'x'.repeat(10_000) },
    invalid('mode', /mode is "x+"\.\.\. \(10000 characters\): allowed is t2v/),
  ],
  [
    'an unknown tier',
    { service_tier: 'gold' },
    invalid('service_tier', /service_tier is "gold": allowed is priority, standard, flex/),
  ],
  [
    'a type that is no tier',
    { service_tier: 1 },
    invalid('service_tier', /service_tier is 1: allowed is priority, standard, flex/),
  ],
  ['no steps', { num_steps: 0 }, invalid('num_steps', /num_steps is 0: allowed is 1 to 100/)],
  ['too many steps', { num_steps: 101 }, invalid('num_steps', /num_steps is 101: allowed is 1 to 100/)],
  [
    'too much guidance',
    { guidance: 31 },
    invalid('guidance', /guidance is 31: allowed is 0 to 30 with model animatic/),
  ],
  [
    'negative guidance',
    { guidance_img: -1 },
    invalid('guidance_img', /guidance_img is -1: allowed is at least 0/),
  ],
  [
    'a seed too large',
    { seed: 2 ** 31 },
    invalid('seed', /seed is 2147483648: allowed is at most 2147483647/),
  ],
  ['a negative seed', { seed: -1 }, invalid('seed', /seed is -1: allowed is at least 0/)],
  [
    'too much motion',
    { motion_score: 8 },
    invalid('motion_score', /motion_score is 8: allowed is 1 to 7 with model animatic/),
  ],
  [
    'a deadline too near',
    { execution_expires_after: 1 },
    invalid('execution_expires_after', /is 1: allowed is at least 10/),
  ],
  [
    'a deadline too far',
    { execution_expires_after: 1e6 },
    invalid('execution_expires_after', /is 1000000: allowed is at most 259200/),
  ],
  [
    'max_tokens below what the video generates',
    { max_tokens: 415_799 },
    {
      status: 400,
      code: 'max_tokens_too_small',
      param: 'max_tokens',
      says: /max_tokens is 415799: this video generates 415800 tokens/,
    },
  ],
  [
    'max_tokens of nothing',
    { max_tokens: 0 },
    invalid('max_tokens', /max_tokens is 0: allowed is at least 1/),
  ],
  [
    'max_cost below what the video costs',
    { max_cost: '0.083159' },
    {
      status: 400,
      code: 'max_cost_too_small',
      param: 'max_cost',
      says: /max_cost is 0\.083159: this video costs 0\.08316 USD/,
    },
  ],
  [
    'a malformed max_cost',
    { max_cost: '1,50' },
    invalid('max_cost', /max_cost is "1,50": allowed is a decimal number/),
  ],
  [
    'a negative max_cost',
    { max_cost: -1 },
    invalid('max_cost', /max_cost is "-1": allowed is a decimal number/),
  ],
  [
    'a max_cost with too many decimals',
    { max_cost: '0.0000001' },
    invalid('max_cost', /allowed is a decimal number with at most six/),
  ],
  [
    'a max_cost that is a list',
    { max_cost: ['1'] },
    invalid('max_cost', /max_cost is a list: allowed is text or a number/),
  ],
  [
    'a blank prompt',
    { prompt: ' \n\t ' },
    invalid('prompt', /prompt is " \\n\\t ": allowed is text that is not blank/),
  ],
  ['an empty prompt', { prompt: '' }, invalid('prompt', /prompt is "": allowed is text that is not blank/)],
  [
    'a prompt of 4,001 characters',
    { prompt: 'x'.repeat(4_001) },
    invalid('prompt', /\(4001 characters\): allowed is text of at most 4000/),
  ],
  [
    'a prompt of 4,001 emoji',
    { prompt: '🚣'.repeat(4_001) },
    invalid('prompt', /\(4001 characters\): allowed is text of at most 4000/),
  ],
  ['a prompt of another type', { prompt: 1984 }, invalid('prompt', /prompt is 1984: allowed is text/)],
  ['a prompt that is null', { prompt: null }, invalid('prompt', /prompt is null: allowed is text/)],
  [
    'metadata of another type',
    { metadata: 'x' },
    invalid('metadata', /metadata is "x": allowed is an object/),
  ],
  [
    'metadata that is a list',
    { metadata: ['x'] },
    invalid('metadata', /metadata is a list: allowed is an object/),
  ],
  [
    'metadata with a number',
    { metadata: { a: 1 } },
    invalid('metadata.a', /metadata\.a is 1: allowed is text/),
  ],
  [
    'metadata with an object',
    { metadata: { a: { b: 'c' } } },
    invalid('metadata.a', /metadata\.a is an object: allowed is text/),
  ],
  [
    'a metadata key too long',
    { metadata: { ['k'.repeat(65)]: 'v' } },
    invalid(`metadata.${'k'.repeat(65)}`, /allowed is a key of text of at most 64/),
  ],
  [
    'a metadata value too long',
    { metadata: { k: 'v'.repeat(513) } },
    invalid('metadata.k', /allowed is text of at most 512 characters/),
  ],
  [
    'too much metadata',
    { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, key) => [`k${key}`, 'v'])) },
    invalid('metadata', /metadata is an object: allowed is an object of at most 16 keys/),
  ],
]

test.each(FIELDS)('%s is refused, named, and leaves nothing behind', async (_title, fields, refusal) => {
  await expectRefused(await post({ prompt: PROMPT, ...fields }), refusal)
})

const WRONG_TYPES = {
  prompt: 1,
  model: 1,
  seconds: {},
  size: 1,
  num_frames: '129',
  num_steps: '50',
  guidance: '7',
  guidance_img: '3',
  seed: '1',
  motion_score: '4',
  negative_prompt: 1,
  mode: 1,
  service_tier: {},
  max_tokens: '1',
  max_cost: {},
  metadata: 1,
  execution_expires_after: '60',
}
test.each(Object.entries(WRONG_TYPES))('%s of another type is refused in JSON', async (field, value) => {
  await expectRefused(
    await post({ prompt: PROMPT, [field]: value }),
    invalid(field, new RegExp(`^${field} is .+: allowed is `)),
  )
})

const NUL = 'a\u0000b'
const LONE = ['\ud83d', '\ude00 tail']
const TEXT_FIELDS = [
  'prompt',
  'negative_prompt',
  'model',
  'size',
  'mode',
  'seconds',
  'max_cost',
  'service_tier',
]
test.each(TEXT_FIELDS)('%s may hold neither NUL nor a lone surrogate', async (field) => {
  for (const text of [NUL, ...LONE]) {
    await expectRefused(
      await post({ prompt: PROMPT, [field]: text }),
      invalid(field, new RegExp(`^${field} is ".*": allowed is `)),
    )
  }
  await expectRefused(
    await form([...(field === 'prompt' ? [] : [['prompt', PROMPT] as const]), [field, NUL]]),
    invalid(field, /allowed is/),
  )
})

test('metadata may hold neither NUL nor a lone surrogate, in keys or values', async () => {
  for (const text of [NUL, ...LONE]) {
    await expectRefused(
      await post({ prompt: PROMPT, metadata: { k: text } }),
      invalid('metadata.k', /allowed is text without NUL/),
    )
    const keyed = await post({ prompt: PROMPT, metadata: { [text]: 'v' } })
    expect(keyed.body.error).toMatchObject({
      code: 'invalid_value',
      message: expect.stringMatching(/allowed is a key of text without NUL/),
    })
    expect(await footprint(api)).toEqual(before)
  }
  const unknownField = await post(`{"prompt": "x", "\\u0000\\ud800": 1}`)
  expect(unknownField).toMatchObject({ status: 400, body: { error: { code: 'unknown_parameter' } } })
})

test('__proto__ is an unknown field, and no metadata key, in JSON and in forms', async () => {
  await expectRefused(await post(`{"prompt": "x", "__proto__": {"num_frames": 5}}`), unknown('__proto__'))
  await expectRefused(
    await post(`{"prompt": "x", "metadata": {"__proto__": "v"}}`),
    invalid('metadata', /without the key __proto__/),
  )
  await expectRefused(
    await form([
      ['prompt', PROMPT],
      ['__proto__', 'x'],
    ]),
    unknown('__proto__'),
  )
  await expectRefused(
    await form([
      ['prompt', PROMPT],
      ['__proto__[num_frames]', '5'],
    ]),
    unknown('__proto__'),
  )
  await expectRefused(
    await form([
      ['prompt', PROMPT],
      ['constructor[prototype][x]', '5'],
    ]),
    unknown('constructor'),
  )
  await expectRefused(
    await form([
      ['prompt', PROMPT],
      ['metadata[__proto__]', 'v'],
    ]),
    invalid('metadata', /without the key __proto__/),
  )
  expect(({} as Record<string, unknown>).num_frames).toBeUndefined()
})

test('numbers beyond all numbers are refused', async () => {
  await expectRefused(
    await post(`{"prompt": "x", "max_cost": 1e400}`),
    invalid('max_cost', /max_cost is Infinity: allowed is/),
  )
  await expectRefused(
    await post(`{"prompt": "x", "num_frames": -1e400}`),
    invalid('num_frames', /num_frames is -Infinity: allowed is/),
  )
  await expectRefused(
    await post(`{"prompt": "x", "seed": 9007199254740993}`),
    invalid('seed', /allowed is at most/),
  )
})

describe('bodies', () => {
  const json = { 'content-type': 'application/json' }

  test.each([
    ['null', 'null', invalid(null, /The body is null: allowed is an object/)],
    ['a list', '[]', invalid(null, /The body is a list: allowed is an object/)],
    ['a number', '42', invalid(null, /The body is 42: allowed is an object/)],
    ['text', '"prompt"', invalid(null, /The body is "prompt": allowed is an object/)],
    [
      'an object of nothing',
      '{}',
      { status: 400, code: 'missing_parameter', param: 'prompt', says: /prompt is missing: allowed is text/ },
    ],
    ['no bytes', '', { status: 400, code: 'missing_parameter', param: 'prompt' }],
    [
      'broken JSON',
      '{"prompt": "x"',
      { status: 400, code: 'invalid_json', param: null, says: /could not be read/ },
    ],
    ['JSON in single quotes', "{'prompt': 'x'}", { status: 400, code: 'invalid_json', param: null }],
  ] satisfies [string, string, Refusal][])('%s is no request', async (_title, body, refusal) => {
    await expectRefused(await raw({ headers: json, body }), refusal)
  })

  test('no body at all misses its prompt, with and without a Content-Type', async () => {
    for (const headers of [{}, json]) {
      await expectRefused(await raw({ headers }), { status: 400, code: 'missing_parameter', param: 'prompt' })
    }
  })

  test('a body whose Content-Type is missing or another is a 415 that says what is allowed', async () => {
    const body = JSON.stringify({ prompt: PROMPT })
    const says = /allowed is application\/json or multipart\/form-data/
    for (const type of [
      undefined,
      'text/plain',
      'application/x-www-form-urlencoded',
      'application/xml',
      'nonsense',
    ]) {
      const answer = await raw({ headers: type === undefined ? {} : { 'content-type': type }, body })
      await expectRefused(answer, {
        status: 415,
        code: 'unsupported_media_type',
        param: 'Content-Type',
        says,
      })
    }
    const charset = await raw({ headers: { 'content-type': 'application/json; charset=klingon' }, body })
    await expectRefused(charset, { status: 415, code: 'unsupported_media_type', param: null })
    const encoding = await raw({ headers: { ...json, 'content-encoding': 'rot13' }, body })
    await expectRefused(encoding, { status: 415, code: 'unsupported_media_type', param: null })
    const notGzip = await raw({ headers: { ...json, 'content-encoding': 'gzip' }, body })
    expect(notGzip).toMatchObject({ status: 400, body: { error: { type: 'invalid_request_error' } } })
  })

  test('a body too large is a 413, as JSON, as one form field, as many form fields and as a field name', async () => {
    const tooLarge = { status: 413, code: 'body_too_large' }
    const prompt = 'x'.repeat(1_100_000)
    await expectRefused(await post({ prompt }), { ...tooLarge, param: null })
    await expectRefused(await form([['prompt', prompt]]), { ...tooLarge, param: 'prompt' })
    const many = Array.from({ length: 100 }, (_, field) => [`metadata[k${field}]`, 'v'] as const)
    await expectRefused(await form(many), { ...tooLarge, param: null })
    await expectRefused(await form([['k'.repeat(1_000), 'v']]), { ...tooLarge, param: null })
  })

  test('a form that is broken is a typed 400, and so is a boundary that is missing', async () => {
    const refusal = { status: 400, code: 'invalid_form', param: null, says: /The form could not be read: / }
    const type = 'multipart/form-data; boundary=boundary0'
    await expectRefused(
      await raw({ headers: { 'content-type': 'multipart/form-data' }, body: multipart([['prompt', 'x']]) }),
      refusal,
    )
    await expectRefused(
      await raw({ headers: { 'content-type': type }, body: multipart([['prompt', 'x']]).slice(0, -12) }),
      refusal,
    )
    await expectRefused(
      await raw({ headers: { 'content-type': type }, body: '--boundary0\r\nbroken' }),
      refusal,
    )
  })

  test('a form field given twice is no value, whatever its type', async () => {
    await expectRefused(
      await form([
        ['prompt', 'a'],
        ['prompt', 'b'],
      ]),
      invalid('prompt', /prompt is a list: allowed is text/),
    )
    for (const [name, value] of [
      ['num_frames', '97'],
      ['seconds', '4'],
      ['max_cost', '1'],
      ['size', '336x192'],
    ] as const) {
      const answer = await form([
        ['prompt', PROMPT],
        [name, value],
        [name, value],
      ])
      await expectRefused(answer, invalid(name, new RegExp(`${name} is a list: allowed is`)))
    }
  })

  test('form fields are judged as JSON fields are', async () => {
    await expectRefused(
      await form([
        ['prompt', PROMPT],
        ['frames', '129'],
      ]),
      unknown('frames'),
    )
    await expectRefused(
      await form([
        ['prompt', PROMPT],
        ['num_frames', 'many'],
      ]),
      invalid('num_frames', /num_frames is "many": allowed is a number/),
    )
    await expectRefused(
      await form([
        ['prompt', PROMPT],
        ['num_frames', '100'],
      ]),
      invalid('num_frames', /num_frames is 100: allowed is 4k\+1/),
    )
    await expectRefused(
      await form([
        ['prompt', PROMPT],
        ['num_frames', ' '],
      ]),
      invalid('num_frames', /num_frames is " ": allowed is a number/),
    )
    await expectRefused(
      await form([
        ['prompt', PROMPT],
        ['prompt[0]', 'x'],
      ]),
      invalid('prompt', /prompt is an object: allowed is text/),
    )
    await expectRefused(
      await form([['prompt[4294967290]', 'x']]),
      invalid('prompt', /prompt is an object: allowed is text/),
    )
    await expectRefused(
      await form([
        ['prompt', PROMPT],
        ['metadata[a][b]', 'c'],
      ]),
      invalid('metadata.a', /metadata.a is an object: allowed is text/),
    )
    await expectRefused(await form([]), { status: 400, code: 'missing_parameter', param: 'prompt' })
  })

  test('a file where none is allowed is refused by its name', async () => {
    const body = new FormData()
    body.set('prompt', PROMPT)
    body.set('last_frame', new Blob(['png'], { type: 'image/png' }), 'first.png')
    const response = await fetch(`${api.url}/v1/videos`, {
      method: 'POST',
      headers: { authorization: `Bearer ${api.key}` },
      body,
    })
    const answer = { status: response.status, headers: response.headers, body: await response.json() }
    await expectRefused(answer, { status: 400, code: 'unknown_parameter', param: 'last_frame' })
  })
})

describe('what a caller may have', () => {
  test('a balance too small is a 402 that says both amounts, and nothing is held', async () => {
    const poor = await api.account(83_159n)
    before = await footprint(api)
    const says = /costs 0\.08316 USD, the balance is 0\.083159 USD/
    await expectRefused(await callJson(api.url, poor.key, 'POST', '/v1/videos', { prompt: PROMPT }), {
      status: 402,
      code: 'insufficient_balance',
      param: null,
      says,
    })
  })

  test('a full queue is a 429 that says how much is allowed', async () => {
    const account = await api.account(1_000_000n)
    await api.context.db.query({
      text: 'update account set queued_max = 1 where id = $1',
      values: [account.accountId],
    })
    const submit = () => callJson(api.url, account.key, 'POST', '/v1/videos', { prompt: PROMPT })
    expect((await submit()).status).toBe(200)
    before = await footprint(api)
    await expectRefused(await submit(), {
      status: 429,
      code: 'queue_full',
      param: null,
      says: /1 videos queued; at most 1 are allowed/,
    })
  })

  test('no key, half a key, an unknown, revoked or expired key are 401; another scope is 403', async () => {
    const { accountId } = await api.account(1_000_000n)
    const { db } = api.context
    const keyWith = async (
      change: string,
      scopes: readonly ('videos:read' | 'videos:write')[] = ['videos:read', 'videos:write'],
    ) => {
      const { secret } = await issueKey(db, { accountId, scopes, kind: 'account' })
      await db.query({ text: `update api_key set ${change} where hash = $1`, values: [hashKey(secret)] })
      return secret
    }
    const revoked = await keyWith('revoked_at = now()')
    const expired = await keyWith(`expires_at = now() - interval '1 second'`)
    const reader = await keyWith('expires_at = null', ['videos:read'])
    before = await footprint(api)
    const bodies: [string, string, unknown][] = [
      ['POST', '/v1/videos', { prompt: PROMPT }],
      ['GET', '/v1/videos', undefined],
      ['GET', '/v1/credits', undefined],
      ['GET', '/v1/models', undefined],
      ['POST', '/v1/videos/edits', {}],
      ['GET', `/v1/videos/${newId('video')}`, undefined],
    ]
    for (const [method, path, body] of bodies) {
      const sent = { method, path, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
      const headers = { 'content-type': 'application/json' }
      await expectRefused(await rawRequest(api.url, { ...sent, headers }), {
        status: 401,
        code: 'missing_api_key',
        param: 'Authorization',
      })
      for (const authorization of [`Basic ${api.key}`, 'Bearer', api.key]) {
        const answer = await rawRequest(api.url, { ...sent, headers: { ...headers, authorization } })
        await expectRefused(answer, { status: 401, code: 'missing_api_key', param: 'Authorization' })
      }
      for (const key of ['sk-sluice-unknown', `${api.key}x`, revoked, expired]) {
        const answer = await callJson(api.url, key, method, path, body)
        await expectRefused(answer, { status: 401, code: 'invalid_api_key', param: 'Authorization' })
      }
      for (const key of [api.workerToken, api.adminKey]) {
        const answer = await callJson(api.url, key, method, path, body)
        await expectRefused(answer, { status: 403, code: 'insufficient_scope', param: 'Authorization' })
      }
    }
    expect((await callJson(api.url, reader, 'GET', '/v1/videos')).status).toBe(200)
    const refused = await callJson(api.url, reader, 'POST', '/v1/videos', { prompt: PROMPT })
    await expectRefused(refused, {
      status: 403,
      code: 'insufficient_scope',
      param: 'Authorization',
      says: /videos:write/,
    })
    for (const path of ['/v1/admin/ledger/check', `/v1/admin/videos/${newId('video')}`]) {
      expectRefusal(await api.call('GET', path), {
        status: 403,
        code: 'insufficient_scope',
        param: 'Authorization',
      })
    }
  })

  test('an unknown id, a malformed one and another tenant’s get the identical 404', async () => {
    const theirs = await callJson(api.url, (await api.account(1_000_000n)).key, 'POST', '/v1/videos', {
      prompt: PROMPT,
    })
    expect(theirs.status).toBe(200)
    before = await footprint(api)
    const ids = [
      theirs.body.id,
      newId('video'),
      newId('acct'),
      'nonsense',
      '%00',
      '%F0%9F%9A%A3',
      `video_${'7'.repeat(500)}`,
      "'%20or%201=1",
    ]
    const calls = [
      ['GET', ''],
      ['DELETE', ''],
      ['GET', '/content'],
      ['POST', '/cancel'],
      ['POST', '/remix'],
    ] as const
    for (const [method, tail] of calls) {
      const bodies = new Set<string>()
      for (const id of ids) {
        const body =
          tail === '/remix'
            ? { body: JSON.stringify({ prompt: PROMPT }), headers: { 'content-type': 'application/json' } }
            : {}
        const answer = await raw({ method, path: `/v1/videos/${id}${tail}`, ...body })
        await expectRefused(answer, { status: 404, code: 'not_found', param: 'video_id' })
        bodies.add(JSON.stringify(answer.body))
      }
      expect(bodies.size).toBe(1)
    }
    const admin = await api.call('GET', `/v1/admin/videos/${newId('video')}`, undefined, {
      key: api.adminKey,
    })
    expectRefusal(admin, { status: 404, code: 'not_found', param: 'video_id' })
  })
})

describe('paths, queries and methods', () => {
  afterEach(async () => {
    expect(await footprint(api)).toEqual(before)
  })

  test.each([
    ['limit=0', 'limit', /limit is "0": allowed is a whole number from 1 to 100/],
    ['limit=101', 'limit', /limit is "101": allowed is a whole number from 1 to 100/],
    ['limit=abc', 'limit', /limit is "abc"/],
    ['limit=', 'limit', /limit is ""/],
    ['limit=-1', 'limit', /limit is "-1"/],
    ['limit=1e1', 'limit', /limit is "1e1"/],
    ['limit=10&limit=20', 'limit', /limit is a list: allowed is text/],
    ['order=up', 'order', /order is "up": allowed is asc, desc/],
    ['after=a&after=b', 'after', /after is a list: allowed is text/],
  ])('a list by ?%s is refused', async (query, param, says) => {
    expectRefusal(await api.call('GET', `/v1/videos?${query}`), invalid(param, says))
  })

  test('a list by an unknown parameter is refused, and so is a variant nobody makes', async () => {
    expectRefusal(await api.call('GET', '/v1/videos?page=2'), unknown('page'))
    expectRefusal(await api.call('GET', '/v1/videos?limit[]=2'), unknown('limit[]'))
    const variant = await api.call('GET', `/v1/videos/${newId('video')}/content?variant=poster`)
    expectRefusal(
      variant,
      invalid('variant', /variant is "poster": allowed is video, thumbnail, spritesheet, input_reference/),
    )
  })

  test('a cursor that names no video of the account is a 404 that names after', async () => {
    for (const after of [newId('video'), 'nonsense', '%00', '']) {
      expectRefusal(await api.call('GET', `/v1/videos?after=${after}`), {
        status: 404,
        code: 'not_found',
        param: 'after',
      })
    }
  })

  test.each([
    ['PUT', '/v1/videos', 'GET, HEAD, POST'],
    ['PATCH', '/v1/videos', 'GET, HEAD, POST'],
    ['DELETE', '/v1/models', 'GET, HEAD'],
    ['POST', '/v1/credits', 'GET, HEAD, PATCH'],
    ['GET', `/v1/videos/${newId('video')}/cancel`, 'POST'],
    ['PUT', `/v1/videos/${newId('video')}`, 'DELETE, GET, HEAD'],
    ['GET', '/v1/videos/edits', 'POST'],
    ['GET', '/internal/heartbeat', 'POST'],
    ['POST', '/health', 'GET, HEAD'],
  ])('%s %s is a 405 that allows %s', async (method, path, allow) => {
    const answer = await raw({ method, path })
    expectRefusal(answer, {
      status: 405,
      code: 'method_not_allowed',
      param: null,
      says: new RegExp(`allowed is ${allow}\\.`),
    })
    expect(answer.headers.get('allow')).toBe(allow)
  })

  test('a call nobody answers is a typed 404', async () => {
    for (const path of [
      '/v1/nothing',
      '/v2/videos',
      '/v1/videos/a/b/c',
      '/internal/nothing',
      '/v1//videos',
    ]) {
      expectRefusal(await raw({ method: 'GET', path }), {
        status: 404,
        code: 'unknown_route',
        param: null,
        says: /No such call: GET/,
      })
    }
  })

  test('a path that is no percent-encoding is a typed 400', async () => {
    for (const path of [
      '/v1/videos/%ff',
      '/v1/videos/%',
      '/v1/videos/%E0%A4%A/content',
      '/v1/admin/videos/%zz',
      '/internal/attempts/%ff/1',
    ]) {
      const answer = await raw({ method: path.startsWith('/internal') ? 'POST' : 'GET', path })
      expectRefusal(answer, {
        status: 400,
        code: 'invalid_value',
        param: null,
        says: /path is not valid: allowed is UTF-8, percent-encoded/,
      })
    }
  })

  test('what Open-Sora does not do is a typed 400, never a page', async () => {
    for (const [method, path] of [
      ['POST', 'edits'],
      ['POST', 'extensions'],
      ['POST', 'characters'],
      ['GET', 'characters/char_1'],
    ] as const) {
      expectRefusal(await api.call(method, `/v1/videos/${path}`, method === 'POST' ? {} : undefined), {
        status: 400,
        code: 'unsupported_operation',
        param: null,
      })
    }
  })

  test('an Idempotency-Key too long is refused, never cut', async () => {
    const answer = await api.call(
      'POST',
      '/v1/videos',
      { prompt: PROMPT },
      { headers: { 'idempotency-key': 'k'.repeat(256) } },
    )
    expectRefusal(answer, invalid('Idempotency-Key', /\(256 characters\): allowed is at most 255/))
  })

  test('a worker’s calls are judged too', async () => {
    const worker = (path: string, body: unknown) => callJson(api.url, api.workerToken, 'POST', path, body)
    expectRefusal(await worker('/internal/heartbeat', {}), {
      status: 400,
      code: 'missing_parameter',
      param: 'worker',
    })
    expectRefusal(await worker('/internal/heartbeat', '{'), {
      status: 400,
      code: 'invalid_json',
      param: null,
    })
    const video = newId('video')
    expectRefusal(
      await worker('/internal/attempts/x/1', { type: 'started' }),
      invalid('video', /video is "x": allowed is a video id/),
    )
    for (const fence of ['0', '-1', 'x', '1.5', '99999999999']) {
      const answer = await worker(`/internal/attempts/${video}/${fence}`, { type: 'started' })
      expect(answer).toMatchObject({
        status: 400,
        body: { error: { code: 'invalid_value', param: 'fence' } },
      })
    }
    const report = await worker(`/internal/attempts/${video}/1`, { type: 'nonsense' })
    expect(report).toMatchObject({ status: 400, body: { error: { type: 'invalid_request_error' } } })
  })
})

test('prompts of 4,000 characters are taken, an emoji counting as one', async () => {
  for (const prompt of ['x'.repeat(4_000), '🚣'.repeat(4_000), '漢'.repeat(4_000)]) {
    const answer = await post({
      prompt,
      metadata: { constructor: 'v', toString: '🚣'.repeat(512) },
      num_frames: 1,
      num_steps: 1,
    })
    expect(answer.status).toBe(200)
    expect(answer.body.prompt).toBe(prompt)
    expect(answer.body.metadata).toEqual({ constructor: 'v', toString: '🚣'.repeat(512) })
    await api.call('POST', `/v1/videos/${answer.body.id}/cancel`)
  }
})

const odd = fc.oneof(
  fc.jsonValue(),
  fc.string({ unit: 'binary' }),
  fc.constantFrom('', '\u0000', '\ud800', '__proto__', null, -1, 1e308, 0.1),
)
const valid = fc.record(
  {
    prompt: fc.string({ unit: 'grapheme', minLength: 1 }),
    model: fc.constantFrom('animatic', 'open-sora-2', 'sora-2'),
    size: fc.constantFrom('336x192', '256x256', '1280x720'),
    seconds: fc.constantFrom('4', '5', 5.375),
    num_frames: fc.constantFrom(1, 5, 129, 97),
    num_steps: fc.integer({ min: 1, max: 100 }),
    guidance: fc.double({ min: 0, max: 30, noNaN: true }),
    guidance_img: fc.constant(3),
    seed: fc.nat(),
    motion_score: fc.integer({ min: 1, max: 7 }),
    negative_prompt: fc.string({ unit: 'grapheme' }),
    mode: fc.constant('t2v'),
    service_tier: fc.constantFrom('priority', 'standard', 'flex'),
    max_tokens: fc.constantFrom(1, 1e12),
    max_cost: fc.constantFrom('0.01', 100),
    metadata: fc.dictionary(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' })),
    execution_expires_after: fc.integer({ min: 10, max: 259_200 }),
  },
  { requiredKeys: ['prompt'] },
)
/** Valid ones, valid ones with some fields spoilt, and anything at all. */
const bodies = fc.oneof(
  { weight: 6, arbitrary: valid },
  {
    weight: 3,
    arbitrary: fc
      .tuple(valid, fc.array(fc.tuple(fc.nat(), odd), { minLength: 1, maxLength: 3 }), fc.boolean())
      .map(([body, spoilt, isUnknown]) => ({
        ...body,
        ...(isUnknown ? { extra: spoilt[0]?.[1] } : {}),
        ...Object.fromEntries(
          spoilt.map(([index, value]) => [Object.keys(body)[index % Object.keys(body).length], value]),
        ),
      })),
  },
  { weight: 1, arbitrary: odd },
)

test('no body is a 5xx, whatever it holds, and the ledger stays whole', { timeout: 120_000 }, async () => {
  const statuses = new Map<number, number>()
  await fc.assert(
    fc.asyncProperty(bodies, async (body) => {
      const { status, body: answer } = await post(body)
      statuses.set(status, (statuses.get(status) ?? 0) + 1)
      expect([200, 400, 429]).toContain(status)
      if (status !== 200)
        expect(answer.error).toMatchObject({ message: expect.any(String), code: expect.any(String) })
      else await api.call('POST', `/v1/videos/${answer.id}/cancel`)
    }),
    { numRuns: 1_000 },
  )
  // Both sides were tried.
  expect(statuses.get(200)).toBeGreaterThan(20)
  expect(statuses.get(400)).toBeGreaterThan(20)
  const check = await api.call('GET', '/v1/admin/ledger/check?since=beginning', undefined, {
    key: api.adminKey,
  })
  expect(check.body).toMatchObject({ ok: true })
})
