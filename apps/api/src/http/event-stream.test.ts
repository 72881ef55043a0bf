import { once } from 'node:events'
import type { Server } from 'node:http'
import { type AddressInfo, connect, type Socket } from 'node:net'
import express from 'express'
import { afterEach, expect, test } from 'vitest'
import { EventStream } from './event-stream.ts'

const KEEP_ALIVE_MS = 50
const EVENT_BYTES = 100_000

let server: Server | undefined
let reader: Socket | undefined

afterEach(() => {
  reader?.destroy()
  server?.closeAllConnections()
  server?.close()
})

/** A stream to a socket that reads nothing until it is resumed. */
async function openStream(): Promise<{ stream: EventStream; response: express.Response; socket: Socket }> {
  const app = express()
  const opened = new Promise<{ stream: EventStream; response: express.Response }>((resolve) => {
    app.get('/', (_request, response) =>
      resolve({ stream: new EventStream(response, KEEP_ALIVE_MS), response }),
    )
  })
  server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  reader = socket
  socket.on('error', () => {})
  socket.pause()
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  return { ...(await opened), socket }
}

const event = (id: number, isLast = false) => ({
  id: String(id),
  name: 'video.progress',
  data: 'x'.repeat(EVENT_BYTES),
  isLast,
})

test('a reader that is too slow misses what is in between, never the last, and costs the memory of one event', async () => {
  const { stream, response, socket } = await openStream()
  let asked = 0
  for (let id = 1; id <= 1_000; id += 1) {
    stream.offer(() => {
      asked += 1
      return event(id)
    })
    // Gives the network its turn, so that what the system's own buffers take is taken.
    await new Promise(setImmediate)
    expect(response.writableLength).toBeLessThan(2 * EVENT_BYTES)
  }
  stream.offer(() => event(1_001, true))
  expect(asked).toBeLessThan(900)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.resume()
  await once(socket, 'close')
  const ids = [...text.matchAll(/^id: (\d+)$/gm)].map((match) => Number(match[1]))
  expect(ids[0]).toBe(1)
  expect(ids.at(-1)).toBe(1_001)
  expect(ids).toEqual(ids.toSorted((a, b) => a - b))
  expect(ids.length).toBeLessThan(900)
})

test('a reader that takes nothing is let go, before and after the last event', async () => {
  for (const isLast of [false, true]) {
    const { stream, response } = await openStream()
    const closed = once(response, 'close')
    for (let id = 1; !response.writableNeedDrain; id += 1) {
      stream.offer(() => event(id))
      await new Promise(setImmediate)
    }
    if (isLast) stream.offer(() => event(0, true))
    await closed
    reader?.destroy()
    server?.close()
  }
})

test('a silent stream gets a comment at each interval, and nothing after its end', async () => {
  const { stream, socket } = await openStream()
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
    if (text.split(': still here').length === 4) stream.end()
  })
  socket.resume()
  await once(socket, 'close')
  expect(text).toContain('retry: 2000')
  expect(text.split(': still here')).toHaveLength(4)
})
