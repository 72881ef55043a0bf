import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { judgeDatabase } from '@sluice/shared/judge-database'
import { ask } from '../up/api-state.ts'
import { type Finding, fail, note, ok } from './finding.ts'

const MIGRATIONS_DIR = fileURLToPath(new URL('../../../api/migrations', import.meta.url))
const ANSWER_MS_MAX = 5_000
const SEE_LOG = 'see logs/api.log in the data dir'

/** `isExpected`: the service runs, so an API that does not answer is a failure. */
export async function checkApi(apiUrl: string, { isExpected }: { isExpected: boolean }): Promise<Finding[]> {
  const health = await ask(`${apiUrl}/health`)
  if (health === null) {
    const silence = `nothing answers at ${apiUrl}`
    return [
      isExpected
        ? fail('api', silence, SEE_LOG)
        : note('api', `${silence}: the service is not running`, 'npm start'),
    ]
  }
  if (health.status !== 200) {
    return [fail('api', `${apiUrl}/health answers ${health.status}: ${health.body.slice(0, 300)}`, SEE_LOG)]
  }
  const ready = await ask(`${apiUrl}/ready`)
  const apiFinding = ok('api', `${apiUrl}/health answers`)
  if (ready?.status === 200) {
    return [apiFinding, ok('ready', 'database, queue, store and a worker for the default model answer')]
  }
  return [
    apiFinding,
    fail(
      'ready',
      ready === null ? 'no answer' : ready.body.slice(0, 500),
      'start what is missing; see logs/ in the data dir',
    ),
  ]
}

export async function checkDatabase(url: string): Promise<Finding> {
  try {
    const { version, isBehind, isFresh } = await judgeDatabase(url, MIGRATIONS_DIR)
    const schema = isFresh
      ? ', empty'
      : isBehind
        ? ', its schema is brought up to date at the next start'
        : ''
    return ok('database', `SLUICE_DATABASE_URL: PostgreSQL ${version}${schema}`)
  } catch (error) {
    return fail(
      'database',
      describe(error),
      'the embedded PostgreSQL is used when SLUICE_DATABASE_URL is unset',
    )
  }
}

/**
 * Sends PING over the Redis protocol (https://redis.io/docs/latest/develop/reference/protocol-spec/), after
 * AUTH when the URL has a password.
 */
export async function checkRedis(text: string): Promise<Finding> {
  const todo = 'start that Redis, or unset REDIS_URL to keep the queue in PostgreSQL'
  const url = URL.parse(text)
  if (url === null || !/^rediss?:$/.test(url.protocol)) {
    return fail('redis', 'REDIS_URL must be redis:// or rediss://, got another URL', todo)
  }
  const at = { host: url.hostname, port: Number(url.port || 6379) }
  const socket = url.protocol === 'rediss:' ? connectTls({ ...at, servername: url.hostname }) : connectTcp(at)
  try {
    const signal = AbortSignal.timeout(ANSWER_MS_MAX)
    await once(socket, url.protocol === 'rediss:' ? 'secureConnect' : 'connect', { signal })
    const user = url.username === '' ? [] : [decodeURIComponent(url.username)]
    if (url.password !== '') socket.write(command(['AUTH', ...user, decodeURIComponent(url.password)]))
    socket.write(command(['PING']))
    let reply = ''
    while (!reply.includes('+PONG') && !reply.includes('-')) {
      reply += String((await once(socket, 'data', { signal }))[0])
    }
    return reply.includes('+PONG')
      ? ok('redis', `${at.host}:${at.port} answers`)
      : fail('redis', reply.trim(), 'correct the password in REDIS_URL')
  } catch (error) {
    return fail('redis', `${at.host}:${at.port}: ${describe(error)}`, todo)
  } finally {
    socket.destroy()
  }
}

function command(words: readonly string[]): string {
  return `*${words.length}\r\n${words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`).join('')}`
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.name === 'AbortError'
    ? `no answer within ${ANSWER_MS_MAX / 1_000} s`
    : error.message || ((error as NodeJS.ErrnoException).code ?? error.name)
}
