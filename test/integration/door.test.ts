import { expect, test } from 'vitest'
import { startTestApi } from '../support/start-api.ts'

test('/openapi.json is written once: the same bytes to everybody, and nothing to who has them', async () => {
  await using api = await startTestApi()
  const first = await fetch(`${api.url}/openapi.json`)
  const etag = first.headers.get('etag') ?? ''
  expect(etag).toMatch(/^"[\w-]{43}"$/)
  expect(first.headers.get('content-type')).toMatch(/^application\/json/)
  const again = await fetch(`${api.url}/openapi.json`, { headers: { 'if-none-match': etag } })
  expect([again.status, await again.text()]).toEqual([304, ''])
  for (const file of ['swagger-ui-bundle.js', 'swagger-ui.css', 'favicon-32x32.png']) {
    const sent = await fetch(`${api.url}/docs/${file}`)
    const headers = { 'if-none-match': sent.headers.get('etag') ?? '' }
    expect([sent.status, (await fetch(`${api.url}/docs/${file}`, { headers })).status]).toEqual([200, 304])
  }
})

test('/ready costs one look-up a second whoever asks, and tells strangers which part is missing, an admin key why', async () => {
  await using api = await startTestApi()
  const looks = countStatements(api.context.db, 'select 1')
  const answers = await Promise.all(Array.from({ length: 50 }, () => fetch(`${api.url}/ready`)))
  expect(answers.map((answer) => answer.status)).toEqual(Array.from({ length: 50 }, () => 503))
  expect(looks()).toBe(1)
  const seen = async (key: string) => (await api.call('GET', '/ready', undefined, { key })).body.missing
  const why = { part: 'worker', problem: 'no worker for animatic is connected' }
  const unsaid = { part: 'worker', problem: 'not ready; an admin key is told why, and so is the log' }
  expect(await seen(api.adminKey)).toEqual([why])
  for (const key of [api.key, api.workerToken, 'sk-unknown']) expect(await seen(key)).toEqual([unsaid])
})

test('a thousand requests with keys that nobody has cost a few look-ups', async () => {
  await using api = await startTestApi()
  const looks = countStatements(api.context.db, 'key-authenticate')
  const reads = Array.from({ length: 1_000 }, (_, index) =>
    api.context.keyReaders.customers.read(`sk-unknown-${index}`).then(
      () => 'known',
      (error: { code: string }) => error.code,
    ),
  )
  const real = api.context.keyReaders.customers.read(api.key)
  expect(new Set(await Promise.all(reads))).toEqual(new Set(['invalid_api_key']))
  expect((await real).scopes).toContain('videos:write')
  expect(looks()).toBeLessThan(10)
})

type Query = (statement: { name?: string; text: string }) => Promise<unknown>

/** Counts the statements of that name or text that the API's pool is asked for from now on. */
function countStatements(db: { query: unknown }, named: string): () => number {
  const query = (db.query as Query).bind(db)
  let count = 0
  const counted: Query = (statement) => {
    if (statement.name === named || statement.text === named) count += 1
    return query(statement)
  }
  db.query = counted
  return () => count
}
