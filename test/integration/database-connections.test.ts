import { TIME_LIMITS } from '@sluice/shared/time-limits'
import pg from 'pg'
import { expect, test } from 'vitest'
import { CONNECTIONS_MIN } from '../../apps/api/src/db/databases.ts'
import { eventually } from '../support/eventually.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { operatorOf } from '../support/operator.ts'
import { callJson, startTestApi } from '../support/start-api.ts'
import { createTestDatabase } from '../support/test-database.ts'

test('customers who use up every connection of theirs stop neither workers nor the gate nor settlement', async () => {
  await using api = await startTestApi()
  const { db } = api.context
  await using worker = new HandWorker(api)
  await worker.heartbeat()
  const { id } = (await api.call('POST', '/v1/videos', { prompt: 'x', num_frames: 5 })).body
  const taken = await Promise.all(Array.from({ length: db.options.max ?? 0 }, () => db.connect()))
  try {
    const attempt = await worker.fetch()
    expect(attempt.job.video).toBe(id)
    const result = await attempt.upload()
    await worker.heartbeat([attempt.owned])
    expect(await attempt.report({ type: 'finished', result })).toEqual({ verdict: 'continue' })
    const { rows } = await api.context.internal.db.query({
      text: 'select status from video where id = $1',
      values: [id],
    })
    expect(rows).toEqual([{ status: 'completed' }])
  } finally {
    for (const client of taken) client.release()
  }
})

test('an API that may open only the fewest connections makes a video and stops', async () => {
  await using api = await startTestApi({})
  const replica = await api.replica({
    database: { url: api.config.database.url, connectionsMax: CONNECTIONS_MIN },
  })
  await api.api.stop()
  const response = await fetch(`${replica.url}/v1/videos`, {
    method: 'POST',
    headers: { authorization: `Bearer ${api.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ prompt: 'x', num_frames: 5 }),
  })
  expect(response.status).toBe(200)
  const { id } = (await response.json()) as { id: string }
  await using worker = new HandWorker({ ...api, url: replica.url })
  await worker.heartbeat()
  expect((await worker.fetchJob()).video).toBe(id)
})

test('with the fewest connections accounts that somebody has locked keep no other account’s submissions waiting', async () => {
  await using api = await startTestApi({})
  const operator = operatorOf(api)
  const accounts = await Promise.all(Array.from({ length: 6 }, () => operator.account({ paid: '1' })))
  const keys = await Promise.all(accounts.map((id) => operator.key(id)))
  const replica = await api.replica({
    database: {
      url: api.config.database.url,
      connectionsMax: CONNECTIONS_MIN,
      // Who waits for a lock waits until this test lets it go.
      limits: { lockMs: 60_000, statementMs: 60_000, answerMs: 90_000 },
    },
  })
  const submit = (key: string) =>
    callJson(replica.url, key, 'POST', '/v1/videos', { prompt: 'x', num_frames: 5 })
  const holder = new pg.Client({ connectionString: api.database.adminUrl })
  await holder.connect()
  try {
    await holder.query('begin')
    await holder.query('select from ledger_account where account_id = any ($1) for update', [accounts])
    const late = keys.map(({ key }) => submit(key))
    // All of them were waited for a moment, and some are waited for as long as it takes.
    await eventually(
      () => lockWaitsMs(holder),
      (waitsMs) => waitsMs.length > 0 && waitsMs.every((ms) => ms > 2 * TIME_LIMITS.database.turnMs),
    )
    for (let submission = 0; submission < 3; submission += 1) expect((await submit(api.key)).status).toBe(200)
    expect((await lockWaitsMs(holder)).length).toBeGreaterThan(0)
    await holder.query('commit')
    for (const { status } of await Promise.all(late)) expect([200, 503]).toContain(status)
  } finally {
    await holder.end()
  }
})

/** How long each statement waits for a lock by now. */
async function lockWaitsMs(client: pg.Client): Promise<number[]> {
  const { rows } = await client.query<{ ms: number }>(
    `select extract(epoch from clock_timestamp() - query_start)::float8 * 1000 as ms
    from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`,
  )
  return rows.map(({ ms }) => ms)
}

test('a time zone, lock or statement limit of the database or its role changes none of the API’s', async () => {
  await using database = await createTestDatabase()
  const admin = new pg.Client({ connectionString: database.adminUrl })
  await admin.connect()
  for (const setting of [`timezone = 'Asia/Kolkata'`, 'lock_timeout = 0', 'statement_timeout = 1'])
    await admin.query(`alter role sluice in database ${database.name} set ${setting}`)
  await admin.end()
  await using api = await startTestApi({}, { database: { ...database, drop: async () => {} } })
  for (const { db } of [api.context, api.context.internal]) {
    const { rows } = await db.query({
      text: `select current_user as role, current_setting('timezone') as zone,
        current_setting('lock_timeout') as lock, current_setting('statement_timeout') as statement`,
    })
    expect(rows).toEqual([{ role: 'sluice_app', zone: 'UTC', lock: '3s', statement: '5s' }])
  }
})
