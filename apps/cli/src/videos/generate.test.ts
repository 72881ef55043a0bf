import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { UsageError } from '../connection/find-connection.ts'
import { ApiError } from '../connection/http-client.ts'
import { type GenerateOptions, generate } from './generate.ts'
import type { Terminal } from './terminal.ts'
import { watch } from './watch.ts'

const MP4 = Buffer.from('not really an MP4, but every byte of it')
const ID = 'video_01h455vb4pex5vsknk084sn02q'

interface Asked {
  method: string
  url: string
  headers: IncomingMessage['headers']
  body: string
}

let dir: string
let server: Server
let baseUrl: string
let asked: Asked[]
/** The answers of the next requests, one each, in place of the normal ones. */
let interruptions: ((response: ServerResponse) => void)[]
/** The video at each retrieval; the last one is repeated. */
let states: object[]
let cancelled: object | null

const video = (over: object = {}): object => ({
  id: ID,
  object: 'video',
  model: 'animatic',
  status: 'queued',
  progress: 0,
  size: '336x192',
  seconds: '5.375',
  error: null,
  created_at: 1,
  completed_at: null,
  expires_at: null,
  prompt: 'p',
  remixed_from_video_id: null,
  queue_position: null,
  eta_seconds: null,
  usage: { video_tokens: 8316, steps: 50, generated_tokens: 415_800 },
  cost: { amount: '6.6528', currency: 'USD', state: 'held' },
  ...over,
})
const completed = video({
  status: 'completed',
  progress: 100,
  cost: { amount: '6.6528', currency: 'USD', state: 'charged' },
})

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sluice-generate-'))
  asked = []
  interruptions = []
  cancelled = null
  states = [
    video({ queue_position: 3 }),
    video({ status: 'in_progress', progress: 46, eta_seconds: { p50: 12, p90: 20 } }),
    completed,
  ]
  let retrieved = 0
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const { method = '', url = '' } = request
    asked.push({ method, url, headers: request.headers, body: Buffer.concat(chunks).toString() })
    const interrupt = interruptions.shift()
    if (interrupt !== undefined) return interrupt(response)
    const json = (body: object) => {
      response
        .writeHead(200, { 'content-type': 'application/json', 'openai-poll-after-ms': '60' })
        .end(JSON.stringify(body))
    }
    if (method === 'POST' && url === '/v1/videos') return json(states[0] ?? {})
    if (method === 'POST' && url === `/v1/videos/${ID}/cancel`) {
      cancelled = video({
        status: 'failed',
        error: { code: 'cancelled', message: 'cancelled' },
        cost: { amount: '3.06', currency: 'USD', state: 'charged' },
      })
      return json(video({ status: 'in_progress', progress: 46 }))
    }
    if (url === `/v1/videos/${ID}`) {
      return json(cancelled ?? states[Math.min(++retrieved, states.length - 1)] ?? {})
    }
    if (url === `/v1/videos/${ID}/content`) {
      return void response.writeHead(200, { 'content-length': MP4.length }).end(MP4)
    }
    response
      .writeHead(404)
      .end(
        JSON.stringify({
          error: { message: 'no such video', type: 'invalid_request_error', code: 'not_found', param: null },
        }),
      )
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
})

afterEach(async () => {
  server.closeAllConnections()
  server.close()
  await rm(dir, { recursive: true, force: true })
})

function terminal(isTTY: boolean): Terminal & { text(): string; notices(): string } {
  let text = ''
  let notices = ''
  return {
    isTTY,
    columns: 100,
    write: (more) => {
      text += more
    },
    notice: (line) => {
      notices += `${line}\n`
    },
    text: () => text,
    notices: () => notices,
  }
}

function options(over: Partial<GenerateOptions> = {}): GenerateOptions {
  return {
    connection: { baseUrl, key: 'sk-test' },
    request: { prompt: 'a paper boat' },
    output: join(dir, 'boat.mp4'),
    isJson: false,
    terminal: terminal(false),
    stop: new AbortController().signal,
    abandon: new AbortController().signal,
    timings: { patienceMs: 5_000, againMs: 20 },
    ...over,
  }
}

describe('sluice generate', () => {
  it('creates, follows and downloads a video, and says what it cost', async () => {
    const screen = terminal(false)
    const request = { prompt: 'a paper boat', num_steps: 50, max_cost: '7' }
    expect(await generate(options({ terminal: screen, request }))).toBe(0)
    expect(await readFile(join(dir, 'boat.mp4'))).toEqual(MP4)
    expect(await readdir(dir)).toEqual(['boat.mp4'])
    expect(JSON.parse(asked[0]?.body ?? '')).toEqual(request)
    expect(asked.every(({ headers }) => headers.authorization === 'Bearer sk-test')).toBe(true)
    expect(screen.text()).toContain('queued, position 3')
    expect(screen.text()).toContain('23/50 steps, 0:12 left, 6.6528 USD held')
    expect(screen.text()).toContain('415800 tokens (8316 x 50 steps), 6.6528 USD charged')
  })

  it('redraws one line on a terminal, with a bar of the steps done', async () => {
    const screen = terminal(true)
    await generate(options({ terminal: screen }))
    expect(screen.text()).toContain(`\r\u001b[K  ${'█'.repeat(14)}${'░'.repeat(16)} 23/50 steps, 0:12 left`)
  })

  it('prints nothing but the finished video with --json', async () => {
    const screen = terminal(false)
    await generate(options({ terminal: screen, isJson: true }))
    expect(JSON.parse(screen.text())).toMatchObject({
      id: ID,
      status: 'completed',
      usage: { video_tokens: 8316, steps: 50, generated_tokens: 415_800 },
      file: { path: join(dir, 'boat.mp4'), bytes: MP4.length },
    })
  })

  it('creates one video however often the API breaks off, restarts or asks for patience', async () => {
    interruptions = [
      (response) => response.destroy(),
      (response) => response.writeHead(503).end('starting'),
      (response) => response.writeHead(429).end('{}'),
    ]
    expect(await generate(options())).toBe(0)
    const creations = asked.filter(({ method }) => method === 'POST')
    expect(creations).toHaveLength(4)
    expect(new Set(creations.map(({ headers }) => headers['idempotency-key'])).size).toBe(1)
  })

  it('leaves no half file when the download breaks off, and fetches it again', async () => {
    states = [completed]
    interruptions = [
      (response) =>
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(completed)),
      (response) =>
        void response
          .writeHead(200, { 'content-length': MP4.length })
          .write(MP4.subarray(0, 5), () => response.destroy()),
    ]
    expect(await generate(options())).toBe(0)
    expect(await readdir(dir)).toEqual(['boat.mp4'])
    expect(await readFile(join(dir, 'boat.mp4'))).toEqual(MP4)
  })

  it('cancels at Ctrl-C, waits until it is settled, says what was charged, and exits with 130', async () => {
    const stop = new AbortController()
    const screen = terminal(false)
    states = [video(), video({ status: 'in_progress', progress: 46 })]
    const write = (text: string) => {
      screen.write(text)
      if (text.includes('23/50')) stop.abort()
    }
    expect(await generate(options({ terminal: { ...screen, write }, stop: stop.signal }))).toBe(130)
    expect(asked.some(({ method, url }) => method === 'POST' && url === `/v1/videos/${ID}/cancel`)).toBe(true)
    expect(screen.text()).toMatch(
      /^making a video at .*; Ctrl-C cancels it, and the steps done by then are charged\n/,
    )
    expect(screen.text()).toContain('cancelled\n')
    expect(screen.text()).toContain('3.06 USD charged')
    expect(await readdir(dir)).toEqual([])
  })

  it('ends at Ctrl-C with nothing made while the API is away, and says where it asked and why', async () => {
    const stop = new AbortController()
    const screen = terminal(false)
    server.close()
    const notice = (line: string) => {
      screen.notice(line)
      if (line.includes('trying again')) stop.abort()
    }
    expect(await generate(options({ terminal: { ...screen, notice }, stop: stop.signal }))).toBe(130)
    expect(screen.notices()).toContain(`${baseUrl} cannot be reached (ECONNREFUSED)`)
    expect(screen.notices()).toContain('no video was created')
  })

  it('ends at Ctrl-C in a download with no half file, and says that it is charged and how to fetch it', async () => {
    const stop = new AbortController()
    const screen = terminal(false)
    states = [completed]
    interruptions = [
      (response) =>
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(completed)),
      (response) =>
        void response
          .writeHead(200, { 'content-length': MP4.length })
          .write(MP4.subarray(0, 5), () => stop.abort()),
    ]
    expect(await generate(options({ terminal: screen, stop: stop.signal }))).toBe(130)
    expect(await readdir(dir)).toEqual([])
    expect(screen.notices()).toContain('was charged (6.6528 USD charged)')
    expect(screen.notices()).toContain(`npx sluice watch ${ID} -o ${join(dir, 'boat.mp4')}`)
  })

  it('says what it waits for while the API takes a call and does not answer', async () => {
    const stop = new AbortController()
    const screen = terminal(false)
    interruptions = [() => stop.abort(), () => {}]
    const notice = (line: string) => {
      screen.notice(line)
      if (line.includes('waiting')) abandon.abort()
    }
    const abandon = new AbortController()
    const over = { terminal: { ...screen, notice }, stop: stop.signal, abandon: abandon.signal }
    expect(await generate(options(over))).toBe(130)
    expect(screen.notices()).toContain(`waiting for an answer to POST ${baseUrl}/videos, at most 30 s`)
    expect(screen.notices()).toContain('it is not known whether the video was created')
  })

  it('exits with 3 when somebody else cancelled the video', async () => {
    states = [video(), video({ status: 'failed', error: { code: 'cancelled', message: 'cancelled' } })]
    expect(await generate(options())).toBe(3)
  })

  it('says why a video failed, and exits with 1', async () => {
    const screen = terminal(false)
    const error = { code: 'attempts_exhausted', message: 'three workers ended while they made it' }
    states = [
      video(),
      video({ status: 'failed', error, cost: { amount: '6.6528', currency: 'USD', state: 'released' } }),
    ]
    expect(await generate(options({ terminal: screen }))).toBe(1)
    expect(screen.text()).toContain('failed: three workers ended while they made it [attempts_exhausted]')
    expect(screen.text()).toContain('6.6528 USD released')
  })

  it("passes on the API's refusal with its field, and does not repeat it", async () => {
    const error = {
      message: 'must be 4k+1',
      type: 'invalid_request_error',
      code: 'invalid_value',
      param: 'num_frames',
    }
    interruptions = [(response) => void response.writeHead(400).end(JSON.stringify({ error }))]
    await expect(generate(options())).rejects.toThrow('must be 4k+1 (num_frames) [400 invalid_value]')
    expect(asked).toHaveLength(1)
  })

  it('gives up when the API stays away', async () => {
    server.close()
    server.closeAllConnections()
    await expect(generate(options({ timings: { patienceMs: 60, againMs: 20 } }))).rejects.toThrow(ApiError)
  })

  it('never puts a file in the place of a device or a pipe: that is refused before anything is submitted', async () => {
    const pipe = join(dir, 'pipe')
    execFileSync('mkfifo', [pipe])
    for (const output of [pipe, '/dev/null']) {
      await expect(generate(options({ output }))).rejects.toThrow(UsageError)
      await expect(watch({ ...options(), id: ID, output })).rejects.toThrow('is a device or a pipe')
    }
    expect((await stat(pipe)).isFIFO()).toBe(true)
    expect(asked).toEqual([])
  })

  it('asks for nothing when the file could not be written', async () => {
    await expect(generate(options({ output: dir }))).rejects.toThrow(UsageError)
    await expect(generate(options({ output: join(dir, 'no/such/folder/boat.mp4') }))).rejects.toThrow(
      UsageError,
    )
    expect(asked).toEqual([])
  })
})

describe('sluice watch', () => {
  const connected = {
    get connection() {
      return { baseUrl, key: 'sk-test' }
    },
    id: ID,
  }

  it('shows the progress of an existing video until it is done', async () => {
    const screen = terminal(false)
    const stop = new AbortController().signal
    expect(await watch({ ...connected, output: null, terminal: screen, stop })).toBe(0)
    expect(screen.text()).toContain('Ctrl-C ends the watching, the video goes on')
    expect(screen.text()).toContain('23/50 steps')
    expect(asked.every(({ method }) => method === 'GET')).toBe(true)
  })

  it('writes the file of a completed video, as after a download that was interrupted', async () => {
    states = [completed]
    const output = join(dir, 'later.mp4')
    const stop = new AbortController().signal
    expect(await watch({ ...connected, output, terminal: terminal(false), stop })).toBe(0)
    expect(await readFile(output)).toEqual(MP4)
  })

  it('says cancelled of a cancelled video, and exits with 3', async () => {
    const error = { code: 'cancelled', message: 'cancelled' }
    states = [video({ status: 'failed', error, cost: { amount: '0', currency: 'USD', state: 'released' } })]
    for (const isTTY of [false, true]) {
      const screen = terminal(isTTY)
      const stop = new AbortController().signal
      expect(await watch({ ...connected, output: null, terminal: screen, stop })).toBe(3)
      expect(screen.text()).toContain('cancelled')
      expect(screen.text()).not.toContain('failed')
    }
  })
})
