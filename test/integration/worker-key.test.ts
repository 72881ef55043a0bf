import { expect, test } from 'vitest'
import { HandWorker } from '../support/hand-worker.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

const TAKEN = { type: 'taken', slot: 0 } as const

const submit = async (api: TestApi) =>
  (await api.call('POST', '/v1/videos', { prompt: 'x', num_frames: 5, num_steps: 2 })).body.id
const claimOf = async (api: TestApi, video: string) =>
  (
    await api.context.db.query<{ claim: string | null }>({
      text: 'select claim from attempt where video_id = $1',
      values: [video],
    })
  ).rows[0]?.claim
const change = async (api: TestApi, change: string) =>
  api.context.db.query({ text: `update api_key set ${change} where 'worker' = any (scopes)` })

test.each([
  ['revoked', 'revoked_at = now()', 'revoked_at = null'],
  ['expired', `expires_at = now() - interval '1 second'`, 'expires_at = null'],
])(
  'a worker token that was good a moment ago and is %s takes nothing, and is told nothing else',
  async (...[_, end, restore]) => {
    await using api = await startTestApi()
    await using worker = new HandWorker(api, { slots: 2 })
    await worker.heartbeat()
    await submit(api)
    expect(await (await worker.fetch()).report(TAKEN)).toMatchObject({ verdict: 'continue' })
    const video = await submit(api)
    const attempt = await worker.fetch()
    const asks = [
      () => attempt.reportRaw(TAKEN),
      () => attempt.reportRaw({ type: 'started' }),
      // What cannot be parsed.
      () => attempt.reportRaw(TAKEN, { fence: 0 }),
    ]
    for (const ask of asks) {
      await change(api, restore)
      await worker.heartbeat()
      await change(api, end)
      expect(await ask()).toMatchObject({ status: 401 })
    }
    expect(await claimOf(api, video)).toBeNull()
    await change(api, restore)
    expect(await attempt.report(TAKEN)).toMatchObject({ verdict: 'continue' })
    expect(await claimOf(api, video)).toBe(attempt.claim)
  },
)

test('a token that loses its scope a moment after it was good takes nothing', async () => {
  await using api = await startTestApi()
  await using worker = new HandWorker(api, { slots: 2 })
  await worker.heartbeat()
  await submit(api)
  await (await worker.fetch()).report(TAKEN)
  const video = await submit(api)
  const attempt = await worker.fetch()
  await change(api, `scopes = '{metrics:read}'`)
  expect(await attempt.reportRaw(TAKEN)).toMatchObject({ status: 403 })
  expect(await claimOf(api, video)).toBeNull()
})
