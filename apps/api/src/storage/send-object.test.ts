import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import express from 'express'
import { expect, onTestFinished, test } from 'vitest'
import { openDiskStore } from './disk-store.ts'
import { sendObject } from './send-object.ts'

test('a connection that has sent a file is closed when it is idle for as long as any other', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'sluice-send-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const store = await openDiskStore({ dir, baseUrl: 'http://127.0.0.1', secret: 'x'.repeat(64) })
  await store.put('videos/a.mp4', Buffer.alloc(1_000), 'video/mp4')
  const app = express()
  app.get('/file', async (asked, response) => {
    await sendObject(store, { key: 'videos/a.mp4' }, asked, response)
  })
  const server = createServer({ keepAliveTimeout: 20, keepAliveTimeoutBuffer: 0 }, app).listen(0)
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const { port } = server.address() as AddressInfo
  // Not node's own client, which closes what the server says it would close.
  const client = connect(port, '127.0.0.1')
  onTestFinished(() => {
    client.destroy()
  })
  client.write('GET /file HTTP/1.1\r\nhost: x\r\n\r\n')
  let received = ''
  client.setEncoding('latin1').on('data', (text: string) => {
    received += text
  })
  await once(client, 'end')
  expect(received).toMatch(/^HTTP\/1.1 200 /)
})
