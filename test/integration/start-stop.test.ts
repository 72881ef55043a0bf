import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Server } from 'node:http'
import { urlsFromElsewhere } from '@sluice/shared/own-address'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startApi } from '../../apps/api/src/start-api.ts'
import { eventually } from '../support/eventually.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi

beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.stop())

test('an API that is stopped while it still opens its connections stops', async () => {
  for (let round = 0; round < 10; round += 1) {
    const starting = await startApi({ ...api.config, http: { ...api.config.http, port: 0 } })
    await starting.stop()
  }
})

test('an API whose port is taken says so, and closes its connections', async () => {
  const url = new URL(api.config.database.url)
  url.searchParams.set('application_name', 'second')
  const second = startApi({ ...api.config, database: { ...api.config.database, url: url.href } })
  await expect(second).rejects.toThrow(/^PORT is .* taken by another program/)
  const connections = async () => {
    const { rows } = await api.context.db.query<{ pid: number }>({
      text: `select pid from pg_stat_activity where application_name = 'second'`,
    })
    return rows
  }
  await eventually(connections, (open) => open.length === 0, 5_000)
})

test('an API on every address is reached at each of the machine, and the URLs it names for others are those', async () => {
  const http = { ...api.config.http, host: '0.0.0.0', port: 0 }
  const open = await startApi({ ...api.config, http })
  const port = Number(new URL(open.url).port)
  expect(new URL(open.url).hostname).toBe('127.0.0.1')
  for (const url of [open.url, ...urlsFromElsewhere('0.0.0.0', port)])
    expect((await fetch(`${url}/health`)).status).toBe(200)
  await open.stop()
})

test('a connection that cannot be accepted does not end the API', async () => {
  const server = await serverOf(api)
  // As the server emits it when there are no file descriptors left.
  for (let error = 0; error < 2; error += 1) server.emit('error', new Error('accept EMFILE'))
  expect((await fetch(`${api.url}/health`)).status).toBe(200)
})

/** The HTTP server inside the API: the one that takes a request to its URL. */
async function serverOf({ url }: TestApi): Promise<Server> {
  const started = Promise.withResolvers<Server>()
  const onRequest = (message: unknown) => started.resolve((message as { server: Server }).server)
  subscribe('http.server.request.start', onRequest)
  try {
    await fetch(`${url}/health`)
    return await started.promise
  } finally {
    unsubscribe('http.server.request.start', onRequest)
  }
}
