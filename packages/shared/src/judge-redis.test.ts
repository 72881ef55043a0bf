import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { freePort } from '../../../test/support/free-port.ts'
import { type PrivateRedis, startPrivateRedis } from '../../../test/support/start-redis.ts'
import { judgeRedis, requireFitRedis } from './judge-redis.ts'
import { SettingError } from './settings.ts'

let redis: PrivateRedis
beforeAll(async () => {
  redis = await startPrivateRedis({ databases: '4' })
})
afterAll(() => redis?.close())

async function command(...words: string[]): Promise<void> {
  const client = new Redis(redis.url)
  try {
    await client.call(words[0] ?? '', ...words.slice(1))
  } finally {
    client.disconnect()
  }
}

function at(change: { user?: string; password?: string; path?: string; scheme?: string }): string {
  const sign = change.password === undefined ? '' : `${change.user ?? ''}:${change.password}@`
  return `${change.scheme ?? 'redis'}://${sign}127.0.0.1:${redis.port}${change.path ?? ''}`
}

/** A server that is no good, and answers each request with the same bytes. */
async function startOdd(answer: string): Promise<string> {
  const server: Server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', () => socket.write(answer))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return `redis://127.0.0.1:${(server.address() as { port: number }).port}`
}

test('a Redis that carries queues is fit, in any of its databases, and nothing of the look stays in it', async () => {
  expect(await judgeRedis(at({ path: '/3' }))).toMatchObject({ state: 'fit', warnings: [] })
  const client = new Redis(at({ path: '/3' }))
  expect(await client.dbsize()).toBe(0)
  client.disconnect()
})

test('one that evicts is doubtful, and so is a password that nobody asks for', async () => {
  await command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
  const verdict = await judgeRedis(at({ password: 'needless' }))
  await command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
  expect(verdict).toMatchObject({
    state: 'fit',
    warnings: [
      expect.stringContaining('no password'),
      expect.stringContaining('maxmemory-policy is allkeys-lru'),
    ],
  })
})

test('a wrong user, password or database, and a user without a right that the queue needs, are unfit and named', async () => {
  await command('ACL', 'SETUSER', 'no-zadd', 'on', '>pw', '~bull:*', '+@all', '-zadd')
  await command('ACL', 'SETUSER', 'no-info', 'on', '>pw', '~bull:*', '+@all', '-info')
  await command('ACL', 'SETUSER', 'no-keys', 'on', '>pw', '~other:*', '+@all')
  await command('ACL', 'SETUSER', 'enough', 'on', '>p/w', '~bull:*', '+@all')
  const problems = {
    'refuses the user name or password': at({ user: 'enough', password: 'wrong' }),
    'no database of that number': at({ path: '/4' }),
    ZADD: at({ user: 'no-zadd', password: 'pw' }),
    "'info' command": at({ user: 'no-info', password: 'pw' }),
    'one of the keys': at({ user: 'no-keys', password: 'pw' }),
  }
  for (const [problem, url] of Object.entries(problems))
    expect(await judgeRedis(url)).toMatchObject({ state: 'unfit', problem: expect.stringContaining(problem) })
  expect(await judgeRedis(at({ user: 'enough', password: 'p%2Fw' }))).toMatchObject({ state: 'fit' })
})

test('a replica, a cluster, a server that wants a password, one that is too old and one that is no Redis are unfit', async () => {
  const servers = await Promise.all([
    startPrivateRedis({ replicaof: `127.0.0.1 ${redis.port}` }),
    startPrivateRedis({ 'cluster-enabled': 'yes', databases: '1' }),
    startPrivateRedis({ requirepass: 'secret' }),
  ])
  onTestFinished(async () => {
    for (const server of servers) await server.close()
  })
  const urls = [
    ...servers.map(({ url }) => url),
    await startOdd('$22\r\nredis_version:4.0.14\r\n\r\n'),
    await startOdd('HTTP/1.1 400 Bad Request\r\n\r\n'),
  ]
  const verdicts = await Promise.all(urls.map(judgeRedis))
  expect(verdicts.map(({ state }) => state)).toEqual(urls.map(() => 'unfit'))
  const said = verdicts.map((verdict) => ('problem' in verdict ? verdict.problem : ''))
  for (const [index, words] of [
    'needs its primary',
    'needs a single Redis',
    'asks for a password',
    'Redis 4.0.14',
    'no Redis',
  ].entries())
    expect(said[index]).toContain(words)
})

test('one that is not there, or still loads, is away: it may come', async () => {
  const urls = [
    `redis://127.0.0.1:${await freePort()}`,
    'redis://no.such.name.invalid',
    await startOdd('-LOADING Redis is loading the dataset in memory\r\n'),
  ]
  for (const url of urls) expect(await judgeRedis(url)).toMatchObject({ state: 'away' })
})

test('a program that starts refuses an unfit Redis by its setting without its password, and waits for one that is away', async () => {
  const warned: unknown[] = []
  const log = { warn: (fields: unknown) => void warned.push(fields) }
  const refused = requireFitRedis(at({ password: 'hunter22' }), 'REDIS_URL', log)
  await expect(
    requireFitRedis(at({ user: 'nobody', password: 'hunter22' }), 'REDIS_URL', log),
  ).rejects.toThrow(/^REDIS_URL is .*refuses the user name or password$/)
  await expect(
    requireFitRedis(at({ user: 'nobody', password: 'hunter22' }), 'REDIS_URL', log),
  ).rejects.toBeInstanceOf(SettingError)
  await refused
  expect(warned).toMatchObject([{ setting: 'REDIS_URL', warning: expect.stringContaining('no password') }])
  await requireFitRedis(`redis://127.0.0.1:${await freePort()}`, 'REDIS_URL', log)
  expect(warned[1]).toMatchObject({ setting: 'REDIS_URL', problem: expect.stringContaining('ECONNREFUSED') })
})
