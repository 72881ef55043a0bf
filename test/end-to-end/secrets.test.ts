import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { filesBelow } from '../support/files-below.ts'
import { freePort } from '../support/free-port.ts'
import { type PrivateRedis, startPrivateRedis } from '../support/start-redis.ts'
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts'

const PROGRAMS = {
  api: fileURLToPath(new URL('../../apps/api/src/main.ts', import.meta.url)),
  worker: fileURLToPath(new URL('../../apps/worker/src/main.ts', import.meta.url)),
  cli: fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url)),
}
type Program = keyof typeof PROGRAMS
type Env = Record<string, string>

/** Every secret that a setting, a request or a customer brings in. */
const canaries = new Map<string, string>()
function canary(name: string): string {
  const made = canaries.get(name) ?? `canary.${name}.${randomBytes(24).toString('base64url')}`
  canaries.set(name, made)
  return made
}

/** All that any program printed, answered or left in its log files, by what it is of. */
const said: { of: string; text: string }[] = []

let dir: string
let redis: PrivateRedis
let database: TestDatabase
/** Refuses every request, and repeats what it was sent, as badly written servers do. */
let parrot: Server
let parrotUrl: string
const settings: Env = {}

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-canary-'))
  redis = await startPrivateRedis({ requirepass: 'another' })
  database = await createTestDatabase()
  parrot = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const message = `refused: ${JSON.stringify(request.headers)} ${Buffer.concat(chunks)}`
      response
        .writeHead(401, { 'content-type': 'application/json' })
        .end(JSON.stringify({ error: { message, code: 'parrot', param: null } }))
    })
  }).listen(0, '127.0.0.1')
  await once(parrot, 'listening')
  const { port } = parrot.address() as AddressInfo
  parrotUrl = `http://127.0.0.1:${port}`
  Object.assign(settings, {
    SLUICE_LOG: 'debug',
    SLUICE_WORKER_TOKEN: canary('worker-token'),
    SLUICE_SECRET: canary('url-signing'),
    SLUICE_MODERATION_URL: `${parrotUrl}/?api-key=${canary('moderation-parameter')}`,
    SLUICE_MODERATION_KEY: canary('moderation'),
    SLUICE_REFINER_URL: parrotUrl,
    SLUICE_REFINER_MODEL: 'writer',
    SLUICE_REFINER_KEY: canary('refiner'),
    SLUICE_WEBHOOK_ALLOW_HOSTS: '127.0.0.1',
    SLUICE_API_KEY: canary('api-key'),
    SLUICE_ADMIN_KEY: canary('admin-key'),
    AWS_ACCESS_KEY_ID: canary('s3-id'),
    AWS_SECRET_ACCESS_KEY: canary('s3-key'),
  })
})

afterAll(async () => {
  parrot?.closeAllConnections()
  parrot?.close()
  await redis?.close()
  await database?.drop()
  rmSync(dir, { recursive: true, force: true })
})

/** Starts a program. `ended` has its exit code, once all it printed is in `said`. */
function start(program: Program, args: string[], env: Env, until?: RegExp) {
  const child = spawn(process.execPath, [PROGRAMS[program], ...args], {
    env: { PATH: process.env.PATH ?? '', HOME: dir, SLUICE_DATA_DIR: join(dir, 'data'), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (until?.test(text)) child.kill('SIGTERM')
    })
  }
  const ended = once(child, 'close').then(([code]) => {
    said.push({ of: `${program} ${args.join(' ')}`, text })
    return code as number | null
  })
  return { child, ended }
}

/** Runs a program to its end, which SIGTERM brings once it has printed `until`. Returns the exit code. */
function run(program: Program, args: string[], env: Env, until?: RegExp): Promise<number | null> {
  return start(program, args, env, until).ended
}

function withPassword(url: string, password: string, user?: string): string {
  const changed = new URL(url)
  changed.password = password
  if (user !== undefined) changed.username = user
  return changed.href
}

const redisRefuses = () => withPassword(redis.url, canary('redis'), 'default')
const redisAllows = () => withPassword(redis.url, 'another')
const databaseRefuses = () => withPassword(database.databaseUrl, canary('database'))

test('programs whose servers refuse them name the setting, and show no secret', async () => {
  const port = String(await freePort())
  const api = { ...settings, PORT: port, SLUICE_DATABASE_URL: database.databaseUrl }
  const worker = { ...settings, SLUICE_API_URL: parrotUrl }
  const cli = { ...settings, PORT: port, SLUICE_DATABASE_URL: databaseRefuses(), REDIS_URL: redisRefuses() }
  expect(await run('api', [], { ...api, REDIS_URL: redisRefuses() })).toBe(2)
  expect(said.at(-1)?.text).toMatch(/REDIS_URL is .*refuses the user name or password/)
  expect(await run('worker', [], { ...worker, REDIS_URL: redisRefuses() })).toBe(2)
  expect(said.at(-1)?.text).toMatch(/REDIS_URL is .*refuses the user name or password/)
  await Promise.all([
    run('api', [], { ...api, SLUICE_DATABASE_URL: databaseRefuses() }, /"level":[45]0/),
    run(
      'api',
      [],
      { ...api, PORT: String(await freePort()), SLUICE_S3_ENDPOINT: parrotUrl },
      /"level":[45]0/,
    ),
  ])
  await Promise.all([
    run('worker', [], { ...worker, REDIS_URL: redisAllows() }, /refuses this worker token/),
    run('worker', [], { ...worker, SLUICE_QUEUE_URL: databaseRefuses() }).then((code) =>
      expect(code).toBe(2),
    ),
    run('cli', ['doctor'], { ...cli, SLUICE_S3_ENDPOINT: parrotUrl }),
    run('cli', ['up'], { ...cli, SLUICE_DATA_DIR: join(dir, 'up') }, /\n.*\n.*\n/),
  ])
  const parroted = { ...settings, SLUICE_BASE_URL: `${parrotUrl}/v1` }
  await Promise.all([
    run('cli', ['quote', 'a boat'], parroted),
    run('cli', ['keys', 'list'], parroted),
    run('cli', ['keys', 'list'], { ...settings, SLUICE_BASE_URL: `http://127.0.0.1:${port}/v1` }),
  ])
  const wrong = { ...settings, SLUICE_BASE_URL: `http://u:${canary('base-url')}@127.0.0.1/v1` }
  expect(await run('cli', ['quote', 'a boat'], wrong)).toBe(2)
})

test('a running API whose hooks and receivers refuse answers and logs no secret', async () => {
  const port = String(await freePort())
  const url = `http://127.0.0.1:${port}`
  const dataDir = join(dir, 'running')
  const env = { ...settings, PORT: port, SLUICE_DATABASE_URL: database.databaseUrl, SLUICE_DATA_DIR: dataDir }
  const { child, ended } = start('api', [], env)
  onTestFinished(() => void child.kill('SIGKILL'))
  const ask = async (path: string, key: string, body?: object): Promise<{ status: number; text: string }> => {
    const answer = await fetch(url + path, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return { status: answer.status, text: await answer.text() }
  }
  const reach = () =>
    ask('/health', 'x').then(
      ({ status }) => status,
      () => 0,
    )
  await eventually(reach, (status) => status === 200, 60_000)
  const keys = JSON.parse(readFileSync(join(dataDir, 'keys.json'), 'utf8'))
  canaries.set('first key', keys.key)
  canaries.set('first admin key', keys.admin_key)
  const heard = async (path: string, key: string, body?: object) => {
    const answer = await ask(path, key, body)
    said.push({ of: `the answer ${answer.status} of ${path}`, text: answer.text })
    return answer.status
  }
  const stranger = `sk-sluice-${canary('of-a-stranger')}`
  expect(await heard('/v1/videos', stranger, { prompt: 'x' })).toBe(401)
  expect(await heard('/v1/videos', keys.key, { prompt: 'a boat', refine_prompt: true })).toBe(503)
  const endpoint = { url: `http://u:${canary('webhook-password')}@127.0.0.1/x`, events: ['video.completed'] }
  expect(await heard('/v1/webhook_endpoints', keys.key, endpoint)).toBe(400)
  const made = await ask('/v1/webhook_endpoints', keys.key, { url: parrotUrl, events: ['video.completed'] })
  expect(made.status, made.text).toBeLessThan(300)
  const { id, secret } = JSON.parse(made.text)
  canaries.set('webhook secret', secret)
  await heard(`/v1/webhook_endpoints/${id}/test`, keys.key, {})
  await heard('/ready', keys.admin_key)
  await heard('/metrics', keys.admin_key)
  await heard('/v1/admin/audit', keys.admin_key)
  child.kill('SIGTERM')
  expect(await ended).toBe(0)
})

test('of all that was printed, answered and left in log files, nothing has a secret', async () => {
  for (const path of (await filesBelow(dir)).filter((file) => file.endsWith('.log')))
    said.push({ of: path, text: readFileSync(join(dir, path), 'utf8') })
  expect(said.length).toBeGreaterThan(15)
  expect(said.map(({ text }) => text).join('').length).toBeGreaterThan(5_000)
  for (const { of, text } of said) {
    for (const [name, secret] of canaries)
      expect(text.includes(secret), `${name} in ${of}: ${text}`).toBe(false)
  }
})
