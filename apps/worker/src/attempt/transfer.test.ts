import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import type { Assignment } from '@sluice/shared/attempt-contract'
import { pino } from 'pino'
import { expect, onTestFinished, test } from 'vitest'
import { AttemptFiles } from './attempt-files.ts'

type Handler = (request: IncomingMessage, response: ServerResponse) => unknown

const LIMITS = { silenceMs: 200 }

/** A store that answers one request after the other with `handlers`; the last one answers all further. */
async function startStore(handlers: readonly Handler[]): Promise<{ url: string; requests: () => number }> {
  let requests = 0
  const server = createServer((request, response) => {
    const handler = handlers[Math.min(requests, handlers.length - 1)]
    requests += 1
    handler?.(request, response)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, requests: () => requests }
}

function assignmentAt(url: string, more: Partial<Assignment> = {}): Assignment {
  const put = `${url}/put`
  return {
    // No test here reads the request.
    request: {} as Assignment['request'],
    uploads: { video: put, thumbnail: put, spritesheet: put, checkpoint: put, result: put },
    resume: null,
    ...more,
  }
}

function filesOf(
  assignment: Assignment,
  freshAssignment: () => Promise<Assignment | null> = async () => null,
) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-transfer-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const files = new AttemptFiles(assignment, {
    folder,
    ended: new AbortController().signal,
    freshAssignment,
    limits: LIMITS,
    log: pino({ level: 'silent' }),
  })
  return { folder, files }
}

const swallows: Handler = (request) => request.resume()
const readsNothing: Handler = (request) => request.pause()
const accepts =
  (stored: Buffer[]): Handler =>
  async (request, response) => {
    stored.push(await buffer(request))
    response.end()
  }

test.each([
  ['is swallowed: the body is taken and never answered', swallows],
  ['is not read', readsNothing],
  ['is cut off', ((request) => request.socket.destroy()) satisfies Handler],
  [
    'finds a full disk',
    ((request, response) => {
      request.resume()
      response.writeHead(507).end()
    }) satisfies Handler,
  ],
])('a PUT that %s is given up and made anew: the file arrives whole', async (_name, fault) => {
  const stored: Buffer[] = []
  const store = await startStore([fault, accepts(stored)])
  const { folder, files } = filesOf(assignmentAt(store.url))
  const path = join(folder, 'video.mp4')
  // More than the buffers of both sockets hold.
  const bytes = randomBytes(12_000_000)
  writeFileSync(path, bytes)
  expect(await files.upload('video', path, 10_000)).toBe(bytes.length)
  expect(stored.map((body) => body.equals(bytes))).toEqual([true])
})

test('a small body whose PUT is swallowed is put anew', async () => {
  const stored: Buffer[] = []
  const store = await startStore([swallows, accepts(stored)])
  const { files } = filesOf(assignmentAt(store.url))
  expect(await files.upload('result', { json: '"é"' }, 10_000)).toBe(4)
  expect(stored.map(String)).toEqual(['"é"'])
})

test('a download that falls silent half way is begun anew: the checkpoint arrives whole', async () => {
  const bytes = randomBytes(300_000)
  const half: Handler = (_request, response) => {
    response.writeHead(200, { 'content-length': bytes.length })
    response.write(bytes.subarray(0, 100_000))
  }
  const away: Handler = (_request, response) => response.writeHead(503).end()
  const store = await startStore([half, away, (_request, response) => response.end(bytes)])
  const resume = { step: 7, url: `${store.url}/checkpoint` }
  const { files } = filesOf(assignmentAt(store.url, { resume }))
  await files.fetchCheckpoint()
  expect(files.resume?.step).toBe(7)
  expect(readFileSync(files.resume?.path ?? '').equals(bytes)).toBe(true)
  expect(store.requests()).toBe(3)
})

test('URLs that are about to expire, or have, are asked for again before the file is given up', async () => {
  const stored: Buffer[] = []
  const fresh = await startStore([accepts(stored)])
  const old = await startStore([
    (request, response) => {
      request.resume()
      response.writeHead(403).end()
    },
  ])
  let asked = 0
  const freshAssignment = async () => {
    asked += 1
    return assignmentAt(fresh.url, { urls_expire_in_s: 900 })
  }
  const aging = filesOf(assignmentAt(old.url, { urls_expire_in_s: 1 }), freshAssignment)
  await aging.files.upload('result', { json: '1' }, 10_000)
  await aging.files.upload('result', { json: '2' }, 10_000)
  expect([asked, old.requests()]).toEqual([1, 0])
  const expired = filesOf(assignmentAt(old.url), freshAssignment)
  await expired.files.upload('result', { json: '3' }, 10_000)
  expect([asked, old.requests()]).toEqual([2, 1])
  expect(stored.map(String)).toEqual(['1', '2', '3'])
})
