import { afterAll, beforeAll, expect, test } from 'vitest'
import type { GateNews, WakeGate } from '../../apps/api/src/context.ts'
import { HEAD_COLUMNS } from '../../apps/api/src/gate/head-columns.ts'
import { openSubmissionGroups } from '../../apps/api/src/submissions/submit.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi
const told: GateNews[] = []

beforeAll(async () => {
  api = await startTestApi()
  const wakeGate: WakeGate = (news) => {
    if (news !== undefined) told.push(news)
    api.context.wakeGate(news)
  }
  api.context.submissionGroups = openSubmissionGroups({ ...api.context, wakeGate })
})
afterAll(() => api.stop())

test('what a submission tells the gate of its video is what the gate would read of it', async () => {
  const { accountId, key } = await api.account(1_000_000_000n)
  await api.context.db.query({
    text: 'update account set weight = 250, running_max = 7 where id = $1',
    values: [accountId],
  })
  await api.context.db.query({
    text: 'update api_key set running_max = 3 where account_id = $1',
    values: [accountId],
  })
  for (const fields of [
    {},
    { service_tier: 'priority', size: '192x336' },
    { service_tier: 'flex', max_price: '16' },
  ]) {
    const answer = await api.call(
      'POST',
      '/v1/videos',
      { prompt: 'x', num_frames: 5, num_steps: 2, ...fields },
      { key },
    )
    expect(answer).toMatchObject({ status: 200 })
    const queued = told.flatMap((news) => news.queued ?? []).filter(({ id }) => id === answer.body.id)
    const { rows } = await api.context.db.query({
      text: `select ${HEAD_COLUMNS} from video v join api_key k on k.id = v.key_id
        join account a on a.id = k.account_id where v.id = $1`,
      values: [answer.body.id],
    })
    const [read] = rows
    expect(queued).toEqual([
      {
        id: answer.body.id,
        known: { row: { ...read, expires_in_ms: expect.any(Number) }, readAtMs: expect.any(Number) },
      },
    ])
    // Of the same moment to the minute.
    const expires = queued[0]?.known?.row.expires_in_ms ?? 0
    expect(Math.round(expires / 60_000)).toBe(Math.round(Number(read?.expires_in_ms) / 60_000))
  }
})

test('the gate is told nothing of a video that waits for its time', async () => {
  const { key } = await api.account(1_000_000_000n)
  const notBefore = Math.floor(Date.now() / 1_000) + 3_600
  const answer = await api.call(
    'POST',
    '/v1/videos',
    { prompt: 'x', num_frames: 5, num_steps: 2, service_tier: 'flex', not_before: notBefore },
    { key },
  )
  expect(answer).toMatchObject({ status: 200 })
  expect(told.flatMap((news) => news.queued ?? []).map(({ id }) => id)).not.toContain(answer.body.id)
})
