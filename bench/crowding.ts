/**
 * Measures what another tenant's submission and read, and a worker's heartbeat, take while one tenant floods
 * the service in one way after another, beside the same on a quiet service, in turns of the same run. The
 * target is twice as long at most.
 * CROWDING_CONNECTIONS (200) sets how many connections flood.
 */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import type { Heartbeat } from '@sluice/shared/attempt-contract'
import { pause } from '@sluice/shared/pause'
import { createBenchAccounts, runSql } from './rig/accounts.ts'
import { type ApiProcess, startApiProcess } from './rig/api-process.ts'
import { startBenchPostgres } from './rig/postgres.ts'
import { asMs, asTimes, percentile, printTable } from './rig/statistics.ts'

const CONNECTIONS = Number(process.env.CROWDING_CONNECTIONS ?? 200)
const SAMPLES = 60
const SETTLE_MS = 1_500
const SMALL = JSON.stringify({ prompt: 'a paper boat', num_frames: 5, num_steps: 2 })

/** One way to crowd the service at `url`, for as long as the process lives. */
type Flood = (url: string, key: string) => void

const FLOODS: Record<string, Flood> = {
  'strangers read the document': (url) => repeat(url, { method: 'GET', path: '/openapi.json' }),
  'strangers with made-up keys': (url) =>
    repeat(url, { method: 'GET', path: '/v1/videos', key: () => `sk-${randomUUID()}` }),
  'submissions without money': (url, key) =>
    repeat(url, { method: 'POST', path: '/v1/videos', key: () => key, body: SMALL }),
  'reads of lists': (url, key) =>
    repeat(url, { method: 'GET', path: '/v1/videos?limit=100', key: () => key }),
  quotes: (url, key) =>
    repeat(url, { method: 'POST', path: '/v1/videos/quote', key: () => key, body: SMALL }),
  'uploads that stop': (url, key) => stalledUploads(url, key),
}

const [, , mode, ...given] = process.argv
if (mode === 'flood') {
  // A process of its own, so that what floods does not slow down what measures.
  const [name = '', url = '', key = ''] = given
  FLOODS[name]?.(url, key)
} else await compare()

async function compare(): Promise<void> {
  const postgres = await startBenchPostgres()
  try {
    const dataDir = join(postgres.dir, 'api')
    const { databaseUrl } = postgres.server
    const api = await startApiProcess({ databaseUrl, redisUrl: null, dataDir })
    const [other] = await createBenchAccounts(databaseUrl, dataDir, 1)
    if (other === undefined) throw new Error('no account was made')
    const crowd = await poorKey(api)
    await measure(api, other.key)
    await runSql(databaseUrl, ['analyze'])
    const rows: string[][] = [['one tenant floods with', 'submission', 'read', 'heartbeat']]
    for (const name of Object.keys(FLOODS)) {
      const quiet = await measure(api, other.key)
      const flood = spawn(process.execPath, [import.meta.filename, 'flood', name, api.url, crowd], {
        stdio: ['ignore', 'inherit', 'inherit'],
      })
      await pause(SETTLE_MS)
      const crowded = await measure(api, other.key)
      flood.kill('SIGKILL')
      await once(flood, 'exit')
      await pause(SETTLE_MS)
      rows.push([name, ...crowded.map((ms, index) => shown(ms, quiet[index] ?? Number.NaN))])
    }
    printTable(`median beside a quiet service's, ${CONNECTIONS} connections, ${SAMPLES} samples`, rows)
    await api.stop()
  } finally {
    await postgres.stop()
  }
}

function shown(ms: number, quietMs: number): string {
  return `${asTimes(ms / quietMs)} (${asMs(quietMs)}, ${asMs(ms)})`
}

/** An account without money. */
async function poorKey(api: ApiProcess): Promise<string> {
  const ask = async (path: string, body: object): Promise<{ id: string; key: string }> => {
    const headers = { authorization: `Bearer ${api.adminKey}`, 'content-type': 'application/json' }
    const response = await fetch(api.url + path, { method: 'POST', headers, body: JSON.stringify(body) })
    return response.json() as Promise<{ id: string; key: string }>
  }
  const { id } = await ask('/v1/admin/accounts', { name: 'crowd' })
  return (await ask(`/v1/admin/accounts/${id}/keys`, {})).key
}

/** The median milliseconds of a submission, a read and a heartbeat. */
async function measure(api: ApiProcess, key: string): Promise<number[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const beat = JSON.stringify(heartbeat())
  const calls = [
    { method: 'POST', path: '/v1/videos', key, body: SMALL },
    { method: 'GET', path: '/v1/credits', key },
    { method: 'POST', path: '/internal/heartbeat', key: api.workerToken, body: beat },
  ]
  const samples: number[][] = calls.map(() => [])
  for (let sample = 0; sample < SAMPLES; sample += 1) {
    for (const [index, call] of calls.entries()) {
      const startedMs = performance.now()
      const status = await send(api.url, call, agent)
      if (status !== 200) throw new Error(`${call.method} ${call.path} is answered ${status}`)
      samples[index]?.push(performance.now() - startedMs)
    }
  }
  agent.destroy()
  return samples.map((each) => percentile(each, 0.5))
}

function heartbeat(): Heartbeat {
  return {
    worker: 'crowding',
    boot: randomUUID(),
    pool: 'crowding',
    slots: 1,
    device: 'none',
    devices_per_slot: 1,
    vram_bytes: 0,
    models: [],
    limits: { frames_max: 1, pixels_max: 1 },
    cost_per_hour_micros: null,
    draining: true,
    attempts: [],
  }
}

interface Sent {
  method: string
  path: string
  key?: string
  body?: string
}

function send(url: string, { method, path, key, body }: Sent, agent: Agent): Promise<number> {
  const headers = {
    ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
    ...(body === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
  }
  return new Promise((resolve, reject) => {
    const sent = request(url + path, { method, headers, agent }, (response) => {
      response.resume()
      response.once('end', () => resolve(response.statusCode ?? 0))
      response.once('error', reject)
    })
    sent.once('error', reject)
    sent.end(body)
  })
}

/** Sends a call again and again from every connection, as soon as it is answered. */
function repeat(url: string, { key, ...call }: Omit<Sent, 'key'> & { key?: () => string }): void {
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS })
  const loop = async () => {
    for (;;) {
      const sent = key === undefined ? call : { ...call, key: key() }
      await send(url, sent, agent).catch(() => pause(50))
    }
  }
  for (let connection = 0; connection < CONNECTIONS; connection += 1) loop().catch(() => {})
}

/** Uploads of 9 MiB that stop before their last bytes. */
function stalledUploads(url: string, key: string): void {
  const { hostname, port } = new URL(url)
  const bytes = 9 * 1024 * 1024
  const head = [
    'POST /v1/videos HTTP/1.1',
    `host: ${hostname}`,
    `authorization: Bearer ${key}`,
    'content-type: application/json',
    `content-length: ${bytes}`,
    '\r\n',
  ].join('\r\n')
  for (let upload = 0; upload < Math.min(CONNECTIONS, 80); upload += 1) {
    const socket = connect(Number(port), hostname)
    socket.on('error', () => {})
    socket.write(head)
    socket.write(Buffer.alloc(bytes - 10, ' '))
  }
}
