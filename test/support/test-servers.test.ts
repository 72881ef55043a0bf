import pg from 'pg'
import { describe, expect, it } from 'vitest'
import { createTestDatabase } from './test-database.ts'
import { createTestRedis } from './test-redis.ts'

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

describe('the servers of a test run', () => {
  it('gives each caller a database of its own that its owner may fill', async () => {
    await using first = await createTestDatabase()
    await using second = await createTestDatabase()
    await query(first.databaseUrl, 'CREATE TABLE here (id int)')
    await expect(query(second.databaseUrl, 'TABLE here')).rejects.toThrow('does not exist')
  })

  it("keeps the worker's role out of everything it was not granted", async () => {
    await using database = await createTestDatabase()
    await query(database.databaseUrl, 'CREATE TABLE ledger (id int)')
    await expect(query(database.queueUrl, 'TABLE public.ledger')).rejects.toThrow('permission denied')
    await expect(query(database.queueUrl, 'CREATE TABLE public.mine (id int)')).rejects.toThrow(
      'permission denied',
    )
    const elsewhere = new URL(database.queueUrl)
    elsewhere.pathname = '/postgres'
    await expect(query(elsewhere.href, 'SELECT 1')).rejects.toThrow('permission denied')
  })

  it('copies a template', async () => {
    await using template = await createTestDatabase()
    await query(template.databaseUrl, 'CREATE TABLE filled AS SELECT 7 AS id')
    await using copy = await createTestDatabase({ template: template.name })
    expect(await query(copy.databaseUrl, 'TABLE filled')).toEqual([{ id: 7 }])
  })

  it('gives each caller a Redis database of its own', async () => {
    const { Redis } = await import('ioredis')
    const [first, second] = [new Redis(await createTestRedis()), new Redis(await createTestRedis())]
    try {
      await first.set('key', 'value')
      expect(await second.get('key')).toBeNull()
    } finally {
      first.disconnect()
      second.disconnect()
    }
  })
})
