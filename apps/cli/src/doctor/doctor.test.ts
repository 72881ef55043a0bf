import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort } from '../../../../test/support/free-port.ts'
import { type PrivateRedis, startPrivateRedis } from '../../../../test/support/start-redis.ts'
import { conclusion, doctor } from './doctor.ts'
import { fail, note, ok } from './finding.ts'

let dir: string
let redis: PrivateRedis
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'sluice-doctor-'))
  redis = await startPrivateRedis()
})
afterAll(async () => {
  await redis?.close()
  rmSync(dir, { recursive: true })
})

async function examine(env: Record<string, string>): Promise<{ code: number; lines: string[] }> {
  const lines: string[] = []
  const surroundings = {
    PATH: process.env.PATH,
    SLUICE_DATA_DIR: join(dir, 'data'),
    PORT: String(await freePort()),
  }
  const code = await doctor({ ...surroundings, ...env }, (line) => void lines.push(...line.split('\n')))
  return { code, lines }
}

test('where nothing runs it does not say that everything works', async () => {
  const { code, lines } = await examine({})
  expect(lines.at(-1)).toBe('Nothing runs here. Nothing is in the way of a start: npm start')
  expect(code).toBe(0)
  expect(conclusion([ok('api', ''), ok('ready', '')])).toBe('Everything needed works.')
  expect(conclusion([note('api', '')])).not.toContain('works')
  expect(conclusion([ok('ready', ''), fail('redis', '', '')])).toBe('1 part does not work: see ✗ above.')
})

test('it names every setting that API or worker would refuse, in their words', async () => {
  const wrong = {
    SLUICE_REFINER_URL: 'ftp://h',
    SLUICE_INTERNAL_URL: 'http://0.0.0.0:3000',
    SLUICE_WORKER_TOKEN: 'short',
    SLUICE_SLOTS: ';;',
    REDIS_URL: 'redis://h/queue',
  }
  const { code, lines } = await examine(wrong)
  expect(code).toBe(1)
  for (const name of Object.keys(wrong))
    expect(lines.filter((line) => line.startsWith(`✗ settings     ${name} is`)).length, name).toBeGreaterThan(
      0,
    )
})

test('it says of a model that the animatic runner was not told to stand in for what to do', async () => {
  const { code, lines } = await examine({ SLUICE_MODEL: 'animatic,open-sora-2' })
  expect(code).toBe(1)
  expect(lines).toContain('✗ model        SLUICE_MODEL has open-sora-2; the animatic runner makes animatic')
  const named = { SLUICE_MODEL: 'open-sora-2', SLUICE_ANIMATIC_MODELS: 'animatic, open-sora-2' }
  expect((await examine(named)).code).toBe(0)
})

test('it sees a Redis as API and worker see it', async () => {
  const of = (lines: string[]) => lines.filter((line) => /^. redis/.test(line)).join('\n')
  const refused = await examine({ REDIS_URL: `redis://nobody:pw@127.0.0.1:${redis.port}` })
  expect(of(refused.lines)).toMatch(/^✗ redis +REDIS_URL is .*refuses the user name or password$/)
  const client = new Redis(redis.url)
  await client.config('SET', 'maxmemory-policy', 'allkeys-lru')
  client.disconnect()
  const evicting = await examine({ REDIS_URL: redis.url })
  expect(of(evicting.lines)).toMatch(/^✓ redis.*\n✗ redis +REDIS_URL: its maxmemory-policy is allkeys-lru/)
  expect([refused.code, evicting.code]).toEqual([1, 1])
})

test('on a GPU host it asks for the API that the worker will need', async () => {
  const api = `http://127.0.0.1:${await freePort()}`
  const { code, lines } = await examine({
    SLUICE_API_URL: api,
    SLUICE_WORKER_TOKEN: '7a1b03e9f48d4c5db6e2c8a0f91d5e37',
    SLUICE_QUEUE_URL: redis.url,
  })
  expect(code).toBe(1)
  expect(lines).toContain('✓ settings     the worker takes its settings')
  expect(lines).toContain(`✗ api          nothing answers at ${api}`)
})
