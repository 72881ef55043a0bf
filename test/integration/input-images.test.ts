import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import { join } from 'node:path'
import OpenAI, { toFile } from 'openai'
import pg from 'pg'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { Sweeper } from '../../apps/api/src/videos/sweep.ts'
import { footprint } from '../support/footprint.ts'
import { HandWorker } from '../support/hand-worker.ts'
import {
  animatedPng,
  bombPng,
  farthest,
  jpegOfScans,
  pngWith,
  QUADRANT_COLOURS,
  quadrantMeans,
  quadrants,
} from '../support/images.ts'
import { operatorOf } from '../support/operator.ts'
import { type Answer, startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi
let files: Server
let filesUrl: string
/** What the file server answers, by path. */
const served = new Map<string, { status: number; body: Buffer; headers?: Record<string, string> }>()
let picture: Buffer

beforeAll(async () => {
  picture = await quadrants(600, 400).png().toBuffer()
  files = createServer((request, response) => {
    const found = served.get(request.url ?? '')
    response.writeHead(found?.status ?? 404, found?.headers).end(found?.body)
  }).listen(0, '127.0.0.1')
  await once(files, 'listening')
  const address = files.address()
  if (address === null || typeof address === 'string') throw new Error('no address')
  filesUrl = `http://127.0.0.1:${address.port}`
  api = await startTestApi({ webhookAllowHosts: new Set(['127.0.0.1']) })
})
afterAll(async () => {
  await api.stop()
  files.closeAllConnections()
  files.close()
})

const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }
const dataUrl = (bytes: Buffer, type = 'image/png') => `data:${type};base64,${bytes.toString('base64')}`
const post = (fields: Record<string, unknown>, headers: Record<string, string> = {}) =>
  api.call('POST', '/v1/videos', { ...SMALL, ...fields }, { headers })

async function postFile(
  bytes: Buffer,
  options: { type?: string; name?: string; fields?: object; headers?: object } = {},
): Promise<Answer> {
  const form = new FormData()
  for (const [name, value] of Object.entries({ ...SMALL, ...options.fields })) form.set(name, String(value))
  form.set(
    'input_reference',
    new Blob([new Uint8Array(bytes)], { type: options.type ?? 'image/png' }),
    options.name ?? 'picture.png',
  )
  const headers = { authorization: `Bearer ${api.key}`, ...options.headers }
  const response = await fetch(`${api.url}/v1/videos`, { method: 'POST', headers, body: form })
  return { status: response.status, headers: response.headers, body: await response.json() }
}

const pathOf = (id: string) => join(api.dataDir, 'objects', 'inputs', id, 'reference.png')
const storedOf = (id: string) => readFileSync(pathOf(id))
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')

describe('taken', () => {
  test('a file, a data URL, an image_url and an https URL of one image are one image, stored at exactly the video’s size', async () => {
    served.set('/boat.png', { status: 200, body: picture, headers: { 'content-type': 'image/png' } })
    served.set('/moved.png', { status: 302, body: Buffer.alloc(0), headers: { location: '/boat.png' } })
    const answers = [
      await postFile(picture),
      await post({ input_reference: dataUrl(picture) }),
      await post({ input_reference: { image_url: dataUrl(picture, 'image/jpeg') } }),
      await post({ input_reference: `${filesUrl}/boat.png` }),
      await post({ input_reference: { image_url: `${filesUrl}/moved.png` } }),
    ]
    for (const { status, body } of answers) {
      expect(status, JSON.stringify(body)).toBe(200)
      expect(body).toMatchObject({ mode: 'i2v', i2v_condition: 'head', size: '304x208' })
    }
    const stored = answers.map(({ body }) => storedOf(body.id))
    expect(new Set(stored.map(sha256)).size).toBe(1)
    const [png = Buffer.alloc(0)] = stored
    expect(await sharp(png).metadata()).toMatchObject({
      format: 'png',
      width: 304,
      height: 208,
      channels: 3,
      depth: 'uchar',
    })
    expect(farthest(await quadrantMeans(png))).toBeLessThan(3)
  })

  test('a large one is read whole, however its client writes its JSON, and not at all when a part of it is broken', async () => {
    const large = await sharp(randomBytes(800 * 800 * 3), { raw: { width: 800, height: 800, channels: 3 } })
      .png({ compressionLevel: 0 })
      .toBuffer()
    const base64 = large.toString('base64')
    const send = async (input_reference: unknown, written = (json: string) => json) => {
      const response = await fetch(`${api.url}/v1/videos`, {
        method: 'POST',
        headers: { authorization: `Bearer ${api.key}`, 'content-type': 'application/json' },
        body: written(JSON.stringify({ ...SMALL, input_reference })),
      })
      return { status: response.status, body: (await response.json()) as Answer['body'] }
    }
    const url = dataUrl(large)
    const taken = [
      await postFile(large),
      await send(url),
      await send({ image_url: url }),
      await send(base64),
      await send(url.replace(/=*$/, '')),
      await send(url, (json) => json.replaceAll('/', '\\/')),
    ]
    for (const { status, body } of taken) expect(status, JSON.stringify(body)).toBe(200)
    expect(new Set(taken.map(({ body }) => sha256(storedOf(body.id)))).size).toBe(1)

    const at = base64.length - 1_000_000
    const broken = (char: string) =>
      dataUrl(large).slice(0, at) + char + dataUrl(large).slice(at + char.length)
    for (const char of ['-', '_', ' ', '=', '====', '\n', 'ä', '€', '\ufffd'])
      expect(await send(broken(char)), char).toMatchObject({
        status: 400,
        body: {
          error: { code: 'invalid_value', message: expect.stringMatching(/is a data URL without base64/) },
        },
      })
    expect(await send(`https://example.com/${base64}`)).toMatchObject({
      status: 400,
      body: { error: { message: expect.stringContaining(`(${base64.length + 20} characters)`) } },
    })
  })

  test('the OpenAI SDK sends it as a file, as it did to the API it was made for', async () => {
    const client = new OpenAI({ apiKey: api.key, baseURL: `${api.url}/v1` })
    const input_reference = await toFile(picture, 'boat.png', { type: 'image/png' })
    const video = await client.videos.create({
      prompt: 'the boat drifts off',
      input_reference,
      seconds: '4',
      size: '1280x720',
    })
    expect(video).toMatchObject({ status: 'queued', size: '1024x576' })
    expect(await sharp(storedOf(video.id)).metadata()).toMatchObject({ width: 1024, height: 576 })
    const named = await client.videos.create({
      prompt: 'and another',
      input_reference: { image_url: dataUrl(picture) },
    })
    expect(named).toMatchObject({ size: '304x208', mode: 'i2v' })
  })

  test('the video takes on the shape of its image, of its quote too, unless a size is asked for', async () => {
    for (const [width, height, size] of [
      [1920, 1080, '336x192'],
      [1080, 1920, '192x336'],
      [500, 500, '256x256'],
      [300, 400, '224x288'],
      [2390, 1000, '384x160'],
    ] as const) {
      const input_reference = dataUrl(await quadrants(width, height).webp().toBuffer(), 'image/webp')
      expect((await post({ input_reference })).body).toMatchObject({ size })
      expect((await api.call('POST', '/v1/videos/quote', { ...SMALL, input_reference })).body).toMatchObject({
        size,
      })
      expect((await post({ input_reference, size: '768x768' })).body).toMatchObject({ size: '768x768' })
    }
  })

  test('it is turned as its EXIF says, and nothing but its pixels is kept', async () => {
    const exif = {
      IFD0: { Copyright: 'whoever lives at 59.33 north' },
      IFD3: { GPSLatitude: '59/1 20/1 0/1' },
    }
    const turned = await quadrants(400, 600)
      .rotate(270)
      .withMetadata({ orientation: 6 })
      .withExifMerge(exif)
      .jpeg({ quality: 95 })
      .toBuffer()
    expect(await sharp(turned).metadata()).toMatchObject({ width: 600, height: 400, orientation: 6 })
    const { body } = await post({ input_reference: dataUrl(turned, 'image/jpeg') })
    expect(body.size).toBe('208x304')
    const stored = storedOf(body.id)
    expect(farthest(await quadrantMeans(stored))).toBeLessThan(8)
    expect((await sharp(stored).metadata()).exif).toBeUndefined()
    expect(stored.includes('59.33')).toBe(false)
  })

  test.each([
    ['grey', () => quadrants(600, 400).toColourspace('b-w').png()],
    ['of 16 bits', () => quadrants(600, 400).toColourspace('rgb16').png()],
    ['transparent', () => quadrants(600, 400).ensureAlpha(0.5).png()],
    ['in CMYK', () => quadrants(600, 400).toColourspace('cmyk').jpeg()],
    ['with a palette', () => quadrants(600, 400).png({ palette: true })],
    ['interlaced', () => quadrants(600, 400).png({ progressive: true })],
    ['one pixel', () => quadrants(1, 1).png()],
    [
      'of 39 megapixels',
      () => sharp({ create: { width: 7_800, height: 5_000, channels: 3, background: '#246' } }).jpeg(),
    ],
  ])('an image that is %s reaches the runner as plain RGB', async (_title, make) => {
    const { status, body } = await post({ input_reference: dataUrl(await make().toBuffer()) })
    expect(status, JSON.stringify(body)).toBe(200)
    expect(await sharp(storedOf(body.id)).metadata()).toMatchObject({
      format: 'png',
      channels: 3,
      depth: 'uchar',
      space: 'srgb',
    })
  })
})

describe('refused, with nothing stored', () => {
  const allowed = /allowed is a PNG, JPEG or WebP image, not animated, of at most 10 MiB and 40 megapixels/
  const half = (bytes: Buffer) => bytes.subarray(0, bytes.length / 2)
  const still = (format: 'png' | 'jpeg' | 'webp') => quadrants(600, 400)[format]().toBuffer()
  const frames = (format: 'gif' | 'webp') =>
    sharp(
      [0, 1, 2].map((shade) => ({
        create: { width: 64, height: 64, channels: 3 as const, background: { r: shade * 90, g: 0, b: 0 } },
      })) as never,
      { join: { animated: true } },
    )
      [format]({ loop: 0 })
      .toBuffer()

  const HOSTILE: [title: string, make: () => Promise<Buffer> | Buffer, says: RegExp][] = [
    ['nothing', () => Buffer.alloc(0), /is of another type/],
    ['text', () => Buffer.from('a paper boat'), /is of another type/],
    [
      'an SVG with a script',
      () =>
        Buffer.from(
          '<svg xmlns="http://www.w3.org/2000/svg"><script>fetch("http://169.254.169.254/")</script></svg>',
        ),
      /of another type/,
    ],
    [
      'an SVG behind a PNG’s first bytes',
      () =>
        Buffer.concat([
          Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'),
          Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'),
        ]),
      /is damaged/,
    ],
    ['an animated GIF', () => frames('gif'), /is of another type/],
    ['an animated WebP', () => frames('webp'), /is animated/],
    ['an animated PNG', async () => animatedPng(await still('png'), 3), /is animated/],
    ['a TIFF', () => quadrants(60, 40).tiff().toBuffer(), /is of another type/],
    ['a truncated PNG', async () => half(await still('png')), /is damaged/],
    ['a truncated JPEG', async () => half(await still('jpeg')), /is damaged/],
    ['a truncated WebP', async () => half(await still('webp')), /is damaged/],
    [
      'a PNG whose pixels are noise',
      async () => Buffer.concat([(await still('png')).subarray(0, 60), Buffer.alloc(4_000, 7)]),
      /is damaged/,
    ],
    ['a bomb of 900 megapixels', () => bombPng(30_000, 30_000), /is 30000x30000 pixels/],
    ['a bomb that is long', () => bombPng(1, 2_000_000), /is 1x2000000 pixels: allowed is a longer side/],
    ['a bomb that holds fewer rows than it says', () => bombPng(6_000, 6_000), /is damaged/],
    ['a JPEG that repeats a scan', () => jpegOfScans(quadrants(64, 64), 101), /of more than 100 scans/],
    [
      'a PNG of crumbs',
      async () => pngWith(await still('png'), Array(20_000).fill(['tEXt', Buffer.alloc(0)])),
      /in too many chunks/,
    ],
  ]

  test.each(HOSTILE)('%s is a typed 400, as a file and as a data URL', async (_title, make, says) => {
    const bytes = await make()
    const before = await footprint(api)
    for (const answer of [await postFile(bytes), await post({ input_reference: dataUrl(bytes) })]) {
      expect(answer, JSON.stringify(answer.body)).toMatchObject({
        status: 400,
        body: { error: { code: 'invalid_value', param: 'input_reference' } },
      })
      expect(answer.body.error.message).toMatch(says)
      if (!says.source.includes('longer')) expect(answer.body.error.message).toMatch(allowed)
    }
    expect(await footprint(api)).toEqual(before)
  })

  test('more than 10 MiB is a 413, as a file, as a data URL, and hidden in another field', async () => {
    const before = await footprint(api)
    const large = Buffer.concat([picture, Buffer.alloc(10 * 1024 * 1024)])
    for (const answer of [await postFile(large), await post({ input_reference: dataUrl(large) })]) {
      expect(answer).toMatchObject({
        status: 413,
        body: { error: { code: 'body_too_large', param: 'input_reference' } },
      })
    }
    const long = 'x'.repeat(2_000_000)
    expect(await post({ input_reference: dataUrl(picture), negative_prompt: long })).toMatchObject({
      status: 413,
    })
    expect(await postFile(picture, { fields: { negative_prompt: long } })).toMatchObject({
      status: 413,
      body: { error: { param: 'negative_prompt' } },
    })
    const many = Object.fromEntries(
      Array.from({ length: 4 }, (_, field) => [`metadata[k${field}]`, 'x'.repeat(5_000_000)]),
    )
    expect(await postFile(picture, { fields: many })).toMatchObject({
      status: 413,
      body: { error: { code: 'body_too_large', param: null } },
    })
    expect(await footprint(api)).toEqual(before)
  })

  test.each([
    ['a file on this machine', 'file:///etc/passwd'],
    ['plain http to anyone', 'http://example.com/boat.png'],
    ['this machine by another name', 'https://localhost/boat.png'],
    ['a metadata service', 'https://169.254.169.254/latest/meta-data'],
    ['a private network', 'https://10.0.0.1/boat.png'],
    ['no URL', 'boat.png'],
    ['a data URL without base64', 'data:image/png,boat'],
    ['broken base64', 'data:image/png;base64,*%!'],
  ])('%s is not fetched', async (_title, input_reference) => {
    const before = await footprint(api)
    expect(await post({ input_reference })).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_value', param: 'input_reference' } },
    })
    expect(await footprint(api)).toEqual(before)
  })

  test('a URL that answers no image, an error, too much, or sends us into a private network is a typed 400', async () => {
    const before = await footprint(api)
    const location = 'https://169.254.169.254/latest/meta-data'
    served.set('/inside', { status: 302, body: Buffer.alloc(0), headers: { location } })
    served.set('/page', {
      status: 200,
      body: Buffer.from('<html>'),
      headers: { 'content-type': 'image/png' },
    })
    served.set('/huge', { status: 200, body: Buffer.concat([picture, Buffer.alloc(11 * 1024 * 1024)]) })
    for (const path of ['/inside', '/page', '/huge', '/absent']) {
      const answer = await post({ input_reference: filesUrl + path })
      expect(answer, path).toMatchObject({
        status: 400,
        body: { error: { code: 'invalid_value', param: 'input_reference' } },
      })
    }
    expect(await footprint(api)).toEqual(before)
  })

  test('a field that contradicts the image, or misses it, is named', async () => {
    const before = await footprint(api)
    const input_reference = dataUrl(picture)
    for (const [fields, code, param] of [
      [{ mode: 't2v', input_reference }, 'invalid_value', 'mode'],
      [{ mode: 'i2v' }, 'missing_parameter', 'input_reference'],
      [{ i2v_condition: 'tail' }, 'invalid_value', 'i2v_condition'],
      [{ i2v_condition: 'middle', input_reference }, 'invalid_value', 'i2v_condition'],
      [{ input_reference: { file_id: 'file_1' } }, 'invalid_value', 'input_reference'],
      [{ input_reference: [input_reference] }, 'invalid_value', 'input_reference'],
      [{ input_reference: '' }, 'invalid_value', 'input_reference'],
      [{ input_reference, num_frames: 6 }, 'invalid_value', 'num_frames'],
    ] as const) {
      expect(await post(fields), param).toMatchObject({ status: 400, body: { error: { code, param } } })
    }
    expect(await postFile(picture, { fields: { 'input_reference[image_url]': 'x' } })).toMatchObject({
      status: 400,
    })
    expect(await footprint(api)).toEqual(before)
  })

  test('a request refused for anything else stores no image and fetches none', async () => {
    let fetched = 0
    files.on('request', () => (fetched += 1))
    served.set('/never.png', { status: 200, body: picture })
    const before = await footprint(api)
    expect((await post({ input_reference: `${filesUrl}/never.png`, num_steps: 0 })).status).toBe(400)
    expect(fetched).toBe(0)
    expect((await post({ input_reference: dataUrl(picture), max_tokens: 1 })).status).toBe(400)
    const poor = await api.account(0n)
    const answer = await api.call(
      'POST',
      '/v1/videos',
      { ...SMALL, input_reference: dataUrl(picture) },
      { key: poor.key },
    )
    expect(answer.status).toBe(402)
    const after = await footprint(api)
    // The account that was opened meanwhile is all that came.
    expect({ ...after, balances: before.balances, changes: before.changes }).toEqual(before)
  })

  test('the other fields are checked before the image is fetched, by a submission and by a quote', async () => {
    let fetched = 0
    files.on('request', () => (fetched += 1))
    served.set('/unseen.png', { status: 200, body: picture })
    const { accountId } = await api.account(1_000_000n)
    const limited = await operatorOf(api).key(accountId, { models: ['open-sora-2'] })
    for (const path of ['/v1/videos', '/v1/videos/quote']) {
      for (const [fields, code, param] of [
        [{ model: 'none' }, 'invalid_value', 'model'],
        [{ mode: 't2v' }, 'invalid_value', 'mode'],
        [{ size: '1x1' }, 'invalid_value', 'size'],
        [{ num_frames: 6 }, 'invalid_value', 'num_frames'],
        [{ num_steps: 0 }, 'invalid_value', 'num_steps'],
        [{ refine_prompt: true }, 'invalid_value', 'refine_prompt'],
        [{ webhook_url: 'https://10.0.0.1/' }, 'invalid_value', 'webhook_url'],
        [{ model: 'animatic' }, 'model_not_allowed', 'model'],
      ] as const) {
        const { key } = code === 'model_not_allowed' ? limited : api
        const body = { ...SMALL, input_reference: `${filesUrl}/unseen.png`, ...fields }
        const answer = await api.call('POST', path, body, { key })
        expect(answer.body, JSON.stringify(fields)).toMatchObject({ error: { code, param } })
      }
    }
    expect(fetched).toBe(0)
  })

  test('an image stored for a video whose commit then fails is removed again', async () => {
    const owner = new pg.Client({ connectionString: api.database.databaseUrl })
    await owner.connect()
    try {
      await owner.query(`create function refuse_poison() returns trigger language plpgsql as $$
        begin
          if new.request->>'prompt' = 'poison' then raise exception 'poison'; end if;
          return null;
        end $$`)
      await owner.query(
        `create constraint trigger poison after insert on video deferrable initially deferred for each row execute function refuse_poison()`,
      )
      const before = await footprint(api)
      expect((await post({ prompt: 'poison', input_reference: dataUrl(picture) })).status).toBe(500)
      expect(await footprint(api)).toEqual(before)
    } finally {
      await owner.query('drop trigger if exists poison on video')
      await owner.end()
    }
  })
})

describe('the same request again', () => {
  test('an Idempotency-Key counts the image by its pixels, however it was sent; another image is another request', async () => {
    const headers = { 'idempotency-key': 'one boat' }
    const first = await postFile(picture, { headers })
    const again = await post({ input_reference: dataUrl(picture) }, headers)
    const larger = await post(
      { input_reference: dataUrl(await quadrants(600, 400).png({ compressionLevel: 0 }).toBuffer()) },
      headers,
    )
    expect([first.status, again.body.id, larger.body.id]).toEqual([200, first.body.id, first.body.id])
    const before = await footprint(api)
    const other = await post(
      { input_reference: dataUrl(await quadrants(600, 400).negate().png().toBuffer()) },
      headers,
    )
    expect(other).toMatchObject({ status: 409, body: { error: { code: 'idempotency_conflict' } } })
    expect((await post({}, headers)).status).toBe(409)
    expect(await footprint(api)).toEqual(before)
  })

  test('a retry an SDK sends by itself makes no second video and stores no second image', async () => {
    const prompt = 'sent twice'
    const sent = (count: string) =>
      postFile(picture, { fields: { prompt }, headers: { 'x-stainless-retry-count': count } })
    const first = await sent('0')
    const before = await footprint(api)
    const again = await sent('1')
    expect(again.body.id).toBe(first.body.id)
    expect(await footprint(api)).toEqual(before)
  })
})

describe('on its way', () => {
  test('an attempt gets a URL of the image whose hash is frozen into the request, and of text alone none', async () => {
    const fresh = await startTestApi()
    try {
      const submit = (fields: object) => fresh.call('POST', '/v1/videos', { ...SMALL, ...fields })
      const video = (await submit({ input_reference: dataUrl(picture), i2v_condition: 'loop' })).body
      await submit({})
      await using worker = new HandWorker(fresh, { slots: 2 })
      await worker.heartbeat()
      const { assignment } = await (await worker.fetch()).report({ type: 'taken', slot: 0 })
      expect(assignment?.request).toMatchObject({
        mode: 'i2v',
        i2v_condition: 'loop',
        reference_sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      })
      const response = await fetch(assignment?.inputs?.reference ?? '')
      expect(response.headers.get('content-type')).toBe('image/png')
      const bytes = Buffer.from(await response.arrayBuffer())
      expect(sha256(bytes)).toBe(assignment?.request.reference_sha256)
      expect(
        bytes.equals(readFileSync(join(fresh.dataDir, 'objects', 'inputs', video.id, 'reference.png'))),
      ).toBe(true)
      const other = await (await worker.fetch()).report({ type: 'taken', slot: 1 })
      expect(other.assignment).toBeDefined()
      expect(other.assignment?.inputs).toBeUndefined()
      expect(other.assignment?.request).not.toHaveProperty('i2v_condition')
    } finally {
      await fresh.stop()
    }
  })

  test('a remix has the image of its source, as its own', async () => {
    const source = (await postFile(picture, { fields: { i2v_condition: 'tail' } })).body
    const remix = await api.call('POST', `/v1/videos/${source.id}/remix`, { prompt: 'at night' })
    expect(remix).toMatchObject({
      status: 200,
      body: { mode: 'i2v', i2v_condition: 'tail', size: source.size, remixed_from_video_id: source.id },
    })
    const stored = storedOf(source.id)
    await api.call('DELETE', `/v1/videos/${source.id}`)
    expect(existsSync(pathOf(source.id))).toBe(false)
    expect(storedOf(remix.body.id).equals(stored)).toBe(true)
  })

  test('its owner sees the image of a video, whatever became of it, until it is swept', async () => {
    const { id } = (await postFile(picture)).body
    const ask = (init: RequestInit & { key?: string } = {}, video = id) =>
      fetch(`${api.url}/v1/videos/${video}/content?variant=input_reference`, {
        ...init,
        headers: { authorization: `Bearer ${init.key ?? api.key}`, ...init.headers },
      })
    const image = await ask()
    expect([image.status, image.headers.get('content-type')]).toEqual([200, 'image/png'])
    expect(Buffer.from(await image.arrayBuffer()).equals(storedOf(id))).toBe(true)
    const signed = await (await ask({ headers: { accept: 'application/json' } })).text()
    const { url } = JSON.parse(signed)
    expect(Buffer.from(await (await fetch(url)).arrayBuffer()).equals(storedOf(id))).toBe(true)

    expect((await ask({ key: (await api.account(0n)).key })).status).toBe(404)
    const { body: textOnly } = await api.call('POST', '/v1/videos', { prompt: 'no image', num_frames: 5 })
    const none = await ask({}, textOnly.id)
    expect([none.status, JSON.parse(await none.text()).error]).toMatchObject([404, { param: 'variant' }])

    await api.call('POST', `/v1/videos/${id}/cancel`)
    expect((await ask()).status).toBe(200)
    await api.api.context.db.query({
      text: `update video set ended_at = now() - interval '25 hours', created_at = now() - interval '3 days' where id = $1`,
      values: [id],
    })
    await new Sweeper(api.api.context).sweep()
    const gone = await ask()
    expect([gone.status, JSON.parse(await gone.text()).error]).toMatchObject([
      410,
      { code: 'content_expired' },
    ])
  })

  test('a retry has the image until it is swept, a day after the end; then it is a 409', async () => {
    const source = (await postFile(picture)).body
    await api.call('POST', `/v1/videos/${source.id}/cancel`)
    const { context } = api.api
    const age = (interval: string) =>
      context.db.query({
        text: `update video set ended_at = now() - $2::interval, created_at = now() - interval '3 days' where id = $1`,
        values: [source.id, interval],
      })
    await age('23 hours')
    await new Sweeper(context).sweep()
    const retry = await api.call('POST', `/v1/videos/${source.id}/retry`)
    expect(retry, JSON.stringify(retry.body)).toMatchObject({
      status: 200,
      body: { mode: 'i2v', size: source.size },
    })
    expect(storedOf(retry.body.id).equals(storedOf(source.id))).toBe(true)
    await age('25 hours')
    await new Sweeper(context).sweep()
    expect(existsSync(pathOf(source.id))).toBe(false)
    const late = await api.call('POST', `/v1/videos/${source.id}/retry`)
    expect(late).toMatchObject({
      status: 409,
      body: { error: { code: 'state_conflict', param: 'input_reference' } },
    })
  })

  test('the image of a completed video stays for a remix until its files expire', async () => {
    const { context } = api.api
    const { id } = (await postFile(picture)).body
    // Ended by hand: what a worker does for it is not what this is about.
    await api.call('POST', `/v1/videos/${id}/cancel`)
    const become = (set: string) =>
      context.db.query({ text: `update video set ${set} where id = $1`, values: [id] })
    await become(
      `status = 'completed', error_code = null, output_prefix = 'videos/' || id || '/1-0', ended_at = now() - interval '30 days'`,
    )
    await new Sweeper(context).sweep()
    expect(existsSync(pathOf(id))).toBe(true)
    await become(`expires_at = now() - interval '1 hour'`)
    await new Sweeper(context).sweep()
    expect(existsSync(pathOf(id))).toBe(false)
  })
})

test('the colours the tests compare are far apart', () => {
  expect(farthest(QUADRANT_COLOURS.toReversed())).toBeGreaterThan(100)
})
