import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import type { Logger } from 'pino'
import { SettingError } from './settings.ts'
import { within } from './time-limit.ts'
import { TIME_LIMITS } from './time-limits.ts'

/**
 * What a Redis is good for. `unfit`: it answers, and no time will make it fit, so a program that is started
 * with it refuses. `away`: it may be there later. `warnings` are of one that works.
 */
export type RedisVerdict =
  | { state: 'fit'; version: string; warnings: readonly string[] }
  | { state: 'away'; problem: string }
  | { state: 'unfit'; problem: string }

/** BullMQ's bounds, from its RedisConnection: below the first it refuses, below the other it warns. */
const VERSION_MIN = [5, 0]
const VERSION_RECOMMENDED = [6, 2]
/** Passing states of a server, by the first word of what it answers. */
const PASSING = ['LOADING', 'MASTERDOWN', 'MISCONF', 'OOM', 'BUSY', 'TRYAGAIN', 'CLUSTERDOWN', 'NOREPLICAS']

/** Uses one key below BullMQ's prefix as its scripts use theirs, and removes it. */
const SCRIPT = `
local key = KEYS[1]
local used = {
  {'SET', key, '1', 'PX', '1000'}, {'GET', key}, {'INCR', key}, {'EXISTS', key}, {'PEXPIRE', key, '1000'},
  {'DEL', key},
  {'HSET', key, 'a', '1'}, {'HGET', key, 'a'}, {'HMGET', key, 'a'}, {'HGETALL', key},
  {'HINCRBY', key, 'a', '1'}, {'HDEL', key, 'a'}, {'DEL', key},
  {'LPUSH', key, 'a'}, {'RPUSH', key, 'b'}, {'LLEN', key}, {'LRANGE', key, '0', '-1'},
  {'LREM', key, '1', 'a'}, {'RPOPLPUSH', key, key}, {'LTRIM', key, '0', '1'}, {'DEL', key},
  {'ZADD', key, '1', 'a'}, {'ZRANGE', key, '0', '0'}, {'ZRANGEBYSCORE', key, '0', '1'}, {'ZCARD', key},
  {'ZSCORE', key, 'a'}, {'ZPOPMIN', key}, {'ZREM', key, 'a'}, {'DEL', key},
  {'SADD', key, 'a'}, {'SMEMBERS', key}, {'SREM', key, 'a'}, {'DEL', key},
  {'XADD', key, '*', 'a', 'b'}, {'XTRIM', key, 'MAXLEN', '0'}, {'DEL', key},
}
for _, command in ipairs(used) do
  local reply = redis.pcall(unpack(command))
  if type(reply) == 'table' and reply['err'] then
    return redis.error_reply(command[1] .. ': ' .. reply['err'])
  end
end
return 1
`

/**
 * Looks at the Redis of a setting when a program starts. Throws SettingError when it is unfit. One that is
 * away is waited for later, and what is doubtful is logged.
 */
export async function requireFitRedis(
  url: string,
  setting: string,
  log: Pick<Logger, 'warn'>,
): Promise<void> {
  const verdict = await judgeRedis(url)
  if (verdict.state === 'unfit') throw unfitRedis(setting, verdict.problem)
  if (verdict.state === 'away') {
    log.warn({ setting, problem: verdict.problem }, `the Redis of ${setting} is away; waiting for it`)
    return
  }
  for (const warning of verdict.warnings)
    log.warn({ setting, warning }, `the Redis of ${setting}: ${warning}`)
}

/** What is wrong with a Redis, as a fault of the setting that names it. */
export function unfitRedis(setting: string, problem: string): SettingError {
  return new SettingError(setting, '(the URL of a Redis that is unfit)', problem)
}

/** Signs in to the Redis of a URL and tries what the queue needs, within `judgeMs`. Never throws. */
export async function judgeRedis(url: string): Promise<RedisVerdict> {
  const { username, password, pathname, protocol } = new URL(url)
  // Signing in and selecting the database are commands of ours, so that each has its own answer.
  const bare = new URL(url)
  bare.username = bare.password = bare.pathname = ''
  const client = new Redis(bare.href, {
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    disableClientInfo: true,
    protocol: 2,
    connectTimeout: TIME_LIMITS.redis.judgeMs,
  })
  let trouble: Error | undefined
  client.on('error', (error: Error) => {
    trouble ??= error
  })
  const sign = { user: decodeURIComponent(username), password: decodeURIComponent(password) }
  const database = Number(pathname.slice(1))
  try {
    return await within(TIME_LIMITS.redis.judgeMs, tryOut(client, sign, database), () => {
      const hint = protocol === 'rediss:' ? '; one without TLS needs redis://' : ''
      return new Error(`no answer within ${TIME_LIMITS.redis.judgeMs / 1_000} s${hint}`)
    })
  } catch (error) {
    return verdictOn(trouble ?? (error as Error))
  } finally {
    client.disconnect()
  }
}

async function tryOut(
  client: Redis,
  sign: { user: string; password: string },
  database: number,
): Promise<RedisVerdict> {
  await client.connect()
  const warnings: string[] = []
  if (sign.password !== '') {
    const user = sign.user === '' ? [] : [sign.user]
    const needless = await client.call('AUTH', ...user, sign.password).then(() => false, isNeedless)
    if (needless) warnings.push('it asks for no password, although the URL has one')
  }
  await client.ping()
  const info = parseInfo(await client.info())
  const problem = problemOf(info)
  if (problem !== null) return { state: 'unfit', problem }
  if (database > 0) await client.select(database)
  const key = `bull:videos.check.${randomBytes(8).toString('hex')}`
  await client.eval(SCRIPT, 1, key)
  await client.bzpopmin(key, 0.01)
  return {
    state: 'fit',
    version: info.get('redis_version') ?? '',
    warnings: [...warnings, ...warningsOf(info)],
  }
}

/** The answer of a Redis without a password to one that is given; others are thrown. */
function isNeedless(error: Error): true {
  if (/no password is set|without any password configured/.test(error.message)) return true
  throw error
}

function parseInfo(text: string): ReadonlyMap<string, string> {
  return new Map(
    text.split(/\r?\n/).flatMap((line) => {
      const colon = line.indexOf(':')
      return colon < 0 ? [] : [[line.slice(0, colon), line.slice(colon + 1)] as const]
    }),
  )
}

function problemOf(info: ReadonlyMap<string, string>): string | null {
  const version = info.get('redis_version') ?? ''
  if (info.get('redis_mode') === 'sentinel')
    return 'it is a sentinel; the queue needs the Redis that it watches'
  if (info.get('cluster_enabled') === '1') return 'it is a cluster; the queue needs a single Redis'
  if (info.get('role') === 'slave')
    return 'it is a replica, which takes no writes; the queue needs its primary'
  if (isOlder(version, VERSION_MIN))
    return `it is Redis ${version}; the queue needs ${VERSION_MIN.join('.')} or later`
  return null
}

function warningsOf(info: ReadonlyMap<string, string>): string[] {
  const version = info.get('redis_version') ?? ''
  const policy = info.get('maxmemory_policy') ?? 'noeviction'
  return [
    ...(policy === 'noeviction'
      ? []
      : [
          `its maxmemory-policy is ${policy}: when it is full, jobs get lost and are sent again late; set noeviction`,
        ]),
    ...(isOlder(version, VERSION_RECOMMENDED)
      ? [`it is Redis ${version}; ${VERSION_RECOMMENDED.join('.')} or later is recommended`]
      : []),
  ]
}

function isOlder(version: string, than: readonly number[]): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [thanMajor = 0, thanMinor = 0] = than
  return major < thanMajor || (major === thanMajor && minor < thanMinor)
}

function verdictOn(error: Error): RedisVerdict {
  const code = (error as NodeJS.ErrnoException).code ?? ''
  const problem = error.message === '' ? code : error.message
  if (error.name === 'ReplyError') {
    const words = wordsFor(problem)
    return isPassing(problem) ? { state: 'away', problem: words } : { state: 'unfit', problem: words }
  }
  if (/SSL|CERT|TLS|UNABLE_TO/.test(code)) return { state: 'unfit', problem: `no TLS with it: ${code}` }
  // What an HTTP server says, for example.
  if (error.name === 'ParserError' || /Protocol error|RESP type/.test(problem))
    return { state: 'unfit', problem: 'what answers there is no Redis' }
  if (/Connection is closed|ECONNRESET|EPIPE/.test(problem + code))
    return { state: 'away', problem: 'it closes the connection; one with TLS needs rediss://' }
  return { state: 'away', problem }
}

function isPassing(message: string): boolean {
  // Of a script's error the server may say first in which script it was.
  return PASSING.some((word) => message.startsWith(word) || message.includes(` ${word} `))
}

function wordsFor(message: string): string {
  if (/^(WRONGPASS|ERR invalid password)/.test(message)) return 'it refuses the user name or password'
  if (message.startsWith('NOAUTH')) return 'it asks for a password, and the URL has none'
  if (message.includes('DB index is out of range')) return 'it has no database of that number'
  return `it answers ${message}`
}
