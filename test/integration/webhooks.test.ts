import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import OpenAI from 'openai'
import { Webhook } from 'standardwebhooks'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type DatabasePool, one, openDatabase, transaction } from '../../apps/api/src/db/database.ts'
import { migrateDatabase } from '../../apps/api/src/db/migrate.ts'
import { retryAfterMs, retryDelayMs } from '../../apps/api/src/webhooks/delivery-try.ts'
import { enqueueVideoEvent } from '../../apps/api/src/webhooks/enqueue.ts'
import { claimDue } from '../../apps/api/src/webhooks/outbox.ts'
import { eventually } from '../support/eventually.ts'
import { footprint } from '../support/footprint.ts'
import { freePort } from '../support/free-port.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { type Answer, callJson, startTestApi, type TestApi } from '../support/start-api.ts'
import { createTestDatabase } from '../support/test-database.ts'
import { type Received, startWebhookReceiver } from '../support/webhook-receiver.ts'

const MAIN = fileURLToPath(new URL('../../apps/api/src/main.ts', import.meta.url))
const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }

let api: TestApi

beforeAll(async () => {
  api = await startTestApi({ webhookAllowHosts: new Set(['127.0.0.1']) })
})
afterAll(() => api.stop())

type Call = (method: string, path: string, body?: unknown) => Promise<Answer>

/** An account of its own for each test, so that no endpoint receives another test's events. */
async function tenant(): Promise<Call & { accountId: string }> {
  const { accountId, key } = await api.account(1_000_000_000n)
  return Object.assign(
    (method: string, path: string, body?: unknown) => callJson(api.url, key, method, path, body),
    { accountId },
  )
}

const sql = async <Row extends Record<string, unknown>>(
  text: string,
  values: unknown[] = [],
): Promise<Row[]> => (await api.context.db.query<Row>({ text, values })).rows
const submit = async (call: Call, fields: object = {}): Promise<string> => {
  const { status, body } = await call('POST', '/v1/videos', { ...SMALL, ...fields })
  expect(body).toMatchObject({ object: 'video' })
  expect(status).toBe(200)
  return body.id
}
/** A video that has ended: cancelled while queued. */
const endedVideo = async (call: Call, fields: object = {}): Promise<string> => {
  const id = await submit(call, fields)
  expect((await call('POST', `/v1/videos/${id}/cancel`)).status).toBe(200)
  return id
}
const addEndpoint = async (call: Call, url: string, events?: string[]) => {
  const { status, body } = await call('POST', '/v1/webhook_endpoints', { url, events })
  expect(body).toMatchObject({ object: 'webhook_endpoint' })
  expect(status).toBe(200)
  return body as { id: string; secret: string }
}
const deliveriesOf = async (call: Call, endpointId: string) =>
  (await call('GET', `/v1/webhook_endpoints/${endpointId}/deliveries?limit=100`)).body.data
/** Makes pending deliveries due now. */
const makeDue = (where: string, value: string) =>
  sql(
    `with d as (update webhook_delivery set due_at = now() where ${where} = $1 and status = 'pending')
    select pg_notify('sluice_webhooks', '')`,
    [value],
  )

/** Checks that both libraries accept the request and return the same event. */
async function verify(received: Received, secret: string): Promise<void> {
  expect(new Webhook(secret).verify(received.raw, received.headers)).toEqual(received.event)
  const openai = new OpenAI({ apiKey: 'unused', webhookSecret: secret })
  expect(await openai.webhooks.unwrap(received.raw, received.headers)).toEqual(received.event)
}

async function isRefused(received: Received, secret: string): Promise<void> {
  expect(() => new Webhook(secret).verify(received.raw, received.headers)).toThrow()
  await expect(
    new OpenAI({ apiKey: 'unused' }).webhooks.unwrap(received.raw, received.headers, secret),
  ).rejects.toThrow()
}

describe('deliveries', () => {
  test('a completed video is sent once to its endpoint and its webhook_url, valid to libraries', async () => {
    const call = await tenant()
    await using receiver = await startWebhookReceiver()
    const endpoint = await addEndpoint(call, `${receiver.url}/endpoint`)
    const own = (await call('GET', '/v1/webhook_secret')).body
    expect(own).toEqual({
      object: 'webhook_secret',
      secret: expect.stringMatching(/^whsec_/),
      created_at: expect.any(Number),
      previous_secret_expires_at: null,
    })
    const id = await submit(call, { webhook_url: `${receiver.url}/own` })
    expect((await call('GET', `/v1/videos/${id}`)).body.webhook_url).toBe(`${receiver.url}/own`)
    await using worker = new HandWorker(api)
    await worker.heartbeat()
    const attempt = await worker.fetch()
    const result = await attempt.upload()
    await attempt.report({ type: 'finished', result })
    // A worker repeats a report until it is answered.
    await attempt.report({ type: 'finished', result })
    await worker.heartbeat([], { draining: true })

    await receiver.atLeast(2)
    const [toEndpoint, toOwn] = ['/endpoint', '/own'].map((path) =>
      receiver.received.find((one) => one.path === path),
    )
    if (toEndpoint === undefined || toOwn === undefined) throw new Error('both were to come')
    expect(toEndpoint.event).toEqual({
      id: expect.stringMatching(/^evt_[0-9a-z]{26}$/),
      object: 'event',
      type: 'video.completed',
      created_at: expect.any(Number),
      data: { id },
    })
    expect(toOwn.raw).toBe(toEndpoint.raw)
    expect(toEndpoint.headers).toMatchObject({
      'webhook-id': toEndpoint.event.id,
      'content-type': 'application/json',
    })
    await verify(toEndpoint, endpoint.secret)
    await verify(toOwn, own.secret)
    await isRefused(toEndpoint, own.secret)
    await isRefused(toOwn, endpoint.secret)
    await isRefused({ ...toOwn, raw: toOwn.raw.replace(id, 'video_another') }, own.secret)
    expect(await sql('select type from webhook_event where account_id = $1', [call.accountId])).toEqual([
      { type: 'video.completed' },
    ])
    expect(receiver.received).toHaveLength(2)
    const all = await eventually(
      async () => (await call('GET', '/v1/webhook_deliveries')).body.data,
      (data) => data.every((one: { status: string }) => one.status === 'delivered'),
    )
    expect(
      all
        .map((one: { endpoint_id: string; url: string; attempt: number }) => [
          one.endpoint_id,
          one.url,
          one.attempt,
        ])
        .sort(),
    ).toEqual(
      [
        [endpoint.id, `${receiver.url}/endpoint`, 1],
        [null, `${receiver.url}/own`, 1],
      ].sort(),
    )
  })

  test('failed, cancelled and expired videos are video.failed, for endpoints that ask for it', async () => {
    const call = await tenant()
    await using receiver = await startWebhookReceiver()
    await addEndpoint(call, `${receiver.url}/failed`, ['video.failed'])
    await addEndpoint(call, `${receiver.url}/completed`, ['video.completed'])
    const cancelled = await endedVideo(call)
    const expired = await submit(call)
    await sql(`update video set execution_expires_at = now() where id = $1`, [expired])
    await receiver.atLeast(2)
    const failed = await submit(call)
    await using worker = new HandWorker(api)
    await worker.heartbeat()
    const attempt = await worker.fetch()
    await attempt.report({
      type: 'failed',
      code: 'bad_input',
      message: 'no such motion',
      retryable: false,
      step: 0,
    })
    await worker.heartbeat([], { draining: true })
    await receiver.atLeast(3)
    expect(receiver.received.map(({ path, event }) => [path, event.type, event.data.id]).sort()).toEqual(
      [cancelled, expired, failed].map((id) => ['/failed', 'video.failed', id]).sort(),
    )
  })

  test('a video without a webhook leaves nothing in the outbox', async () => {
    const call = await tenant()
    await endedVideo(call)
    expect(await sql('select from webhook_event where account_id = $1', [call.accountId])).toEqual([])
  })

  test('the database refuses a second event of one video', async () => {
    const call = await tenant()
    await using receiver = await startWebhookReceiver()
    const id = await endedVideo(call, { webhook_url: receiver.url })
    await expect(
      sql(
        `insert into webhook_event (id, account_id, type, subject_id)
        values ('evt_second', $1, 'video.completed', $2)`,
        [call.accountId, id],
      ),
    ).rejects.toThrow('webhook_event_once_per_video')
  })

  test('the event is enqueued in the transaction that ends the video: no end, no event', async () => {
    const call = await tenant()
    await using receiver = await startWebhookReceiver()
    await addEndpoint(call, receiver.url)
    const id = await submit(call)
    // The end cannot be committed, since its hold cannot be settled.
    await sql(`update ledger_account set balance = 0 where account_id = $1 and kind = 'hold'`, [
      call.accountId,
    ])
    expect((await call('POST', `/v1/videos/${id}/cancel`)).status).toBe(500)
    expect(await sql('select from webhook_event where account_id = $1', [call.accountId])).toEqual([])
    expect((await call('GET', `/v1/videos/${id}`)).body.status).toBe('queued')
    await sql(
      `update ledger_account set balance = (select hold_micros from video where id = $2)
      where account_id = $1 and kind = 'hold'`,
      [call.accountId, id],
    )
    await call('POST', `/v1/videos/${id}/cancel`)
    expect((await receiver.atLeast(1)).map(({ event }) => event.data.id)).toEqual([id])
  })

  test('several API processes send each event once while nothing fails', async () => {
    const call = await tenant()
    await using receiver = await startWebhookReceiver()
    const replica = await api.replica()
    const endpoint = await addEndpoint(call, receiver.url)
    const ids = await Promise.all(Array.from({ length: 40 }, () => endedVideo(call)))
    await receiver.atLeast(40)
    const all = await eventually(
      () => deliveriesOf(call, endpoint.id),
      (data) => data.every((one: { status: string }) => one.status === 'delivered'),
    )
    expect(all).toHaveLength(40)
    expect(receiver.received.map(({ event }) => event.data.id).sort()).toEqual(ids.sort())
    await replica.stop()
  })
})

test('what one process is claiming, no other claims or waits for', async () => {
  await using database = await createTestDatabase()
  await migrateDatabase(database.databaseUrl)
  await using db = await openTestPool(database.databaseUrl)
  await db.query({ text: `insert into account (id, name) values ('acct_1', 'test')` })
  const video = (id: string) => ({ id, account_id: 'acct_1', webhook_url: 'https://example.com/' })
  await enqueueVideoEvent(db, video('video_1'), 'video.failed')
  const none = new Map<string, number>()
  const capacity = { total: 10, perQueue: 4, perAccount: 10, inFlightByQueue: none, inFlightByAccount: none }
  await transaction(db, async (taking) => {
    expect(await claimDue(taking, capacity)).toHaveLength(1)
    expect(await claimDue(db, capacity)).toEqual([])
  })
  expect(await claimDue(db, capacity)).toEqual([])
  // Never more than there is capacity for: in a queue, for an account, in all.
  for (let more = 2; more <= 12; more += 1)
    await enqueueVideoEvent(db, video(`video_${more}`), 'video.failed')
  const { queue } = one(
    await db.query<{ queue: string }>({ text: 'select distinct lane as queue from webhook_delivery' }),
  )
  expect(await claimDue(db, { ...capacity, total: 0 })).toEqual([])
  expect(await claimDue(db, { ...capacity, inFlightByQueue: new Map([[queue, 4]]) })).toEqual([])
  expect(await claimDue(db, { ...capacity, inFlightByAccount: new Map([['acct_1', 9]]) })).toHaveLength(1)
  expect(await claimDue(db, { ...capacity, inFlightByQueue: new Map([[queue, 1]]) })).toHaveLength(3)
  expect(await claimDue(db, { ...capacity, total: 2 })).toHaveLength(2)
})

async function openTestPool(url: string): Promise<DatabasePool & AsyncDisposable> {
  const pool = openDatabase({ url, connectionsMax: 4, onError: () => undefined })
  return Object.assign(pool, { [Symbol.asyncDispose]: () => pool.end() })
}

describe('failures', () => {
  test('only 2xx counts: until then it is sent again, same id, new time; each try is stored', async () => {
    const call = await tenant()
    const answers = [500, 302, 404, 204]
    await using receiver = await startWebhookReceiver((_one, before) => answers[before] ?? 200)
    const endpoint = await addEndpoint(call, receiver.url)
    await endedVideo(call)
    for (let tries = 1; tries < answers.length; tries += 1) {
      const [waiting] = await eventually(
        () => deliveriesOf(call, endpoint.id),
        (data) => data[0]?.attempt === tries,
      )
      expect(waiting).toMatchObject({
        status: 'pending',
        status_code: answers[tries - 1],
        error: expect.stringContaining('only 2xx counts'),
      })
      // 5 s, 15 s, 45 s, a fifth more or less
      const [{ wait_s = 0 } = {}] = await sql<{ wait_s: number }>(
        `select extract(epoch from due_at - now())::float8 as wait_s from webhook_delivery where id = $1`,
        [waiting.id],
      )
      expect(wait_s).toBeGreaterThan(4 * 3 ** (tries - 1) - 3)
      expect(wait_s).toBeLessThanOrEqual(6 * 3 ** (tries - 1))
      await makeDue('id', waiting.id)
      await receiver.atLeast(tries + 1)
    }
    const [done] = await eventually(
      () => deliveriesOf(call, endpoint.id),
      (data) => data[0]?.status === 'delivered',
    )
    expect(done).toMatchObject({
      attempt: 4,
      status_code: 204,
      error: null,
      duration_ms: expect.any(Number),
      next_attempt_at: null,
    })
    expect(
      done.attempts.map((one: { attempt: number; status_code: number }) => [one.attempt, one.status_code]),
    ).toEqual(answers.map((status, index) => [index + 1, status]))
    expect(new Set(receiver.received.map(({ headers }) => headers['webhook-id'])).size).toBe(1)
    expect(receiver.received.map(({ path }) => path)).toEqual(['/', '/', '/', '/'])
    for (const one of receiver.received) await verify(one, endpoint.secret)
  })

  test('after 72 hours of failures a delivery fails; redelivered, it has 72 hours again', async () => {
    const call = await tenant()
    let status = 503
    await using receiver = await startWebhookReceiver(() => status)
    const endpoint = await addEndpoint(call, receiver.url)
    await endedVideo(call)
    const [pending] = await eventually(
      () => deliveriesOf(call, endpoint.id),
      (data) => data[0]?.attempt === 1,
    )
    const [{ hours } = { hours: 0 }] = await sql<{ hours: number }>(
      `select extract(epoch from expires_at - created_at)::float8 / 3600 as hours
      from webhook_delivery
      where id = $1`,
      [pending.id],
    )
    expect(hours).toBe(72)
    await sql(`update webhook_delivery set expires_at = now() where id = $1`, [pending.id])
    await makeDue('id', pending.id)
    const [failed] = await eventually(
      () => deliveriesOf(call, endpoint.id),
      (data) => data[0]?.status === 'failed',
    )
    expect(failed).toMatchObject({ attempt: 2, status_code: 503, next_attempt_at: null })
    status = 200
    const again = await call('POST', `/v1/webhook_deliveries/${pending.id}/redeliver`)
    expect(again).toMatchObject({
      status: 200,
      body: { id: pending.id, object: 'webhook_delivery', status: expect.any(String) },
    })
    await receiver.atLeast(3)
    const [done] = await eventually(
      () => deliveriesOf(call, endpoint.id),
      (data) => data[0]?.status === 'delivered',
    )
    expect(done.attempt).toBe(3)
    // What was delivered can be redelivered too.
    await call('POST', `/v1/webhook_deliveries/${pending.id}/redeliver`)
    const [, , third, fourth] = await receiver.atLeast(4)
    expect(fourth?.headers['webhook-id']).toBe(third?.headers['webhook-id'])
  })

  test('waits grow from seconds to hours, spread out, and fill 72 hours with tries', () => {
    expect([1, 2, 3].map((failures) => retryDelayMs(failures, 0.5))).toEqual([5_000, 15_000, 45_000])
    expect([retryDelayMs(1, 0), retryDelayMs(1, 1)]).toEqual([4_000, 6_000])
    let hours = 0
    let tries = 1
    while (hours < 72) {
      hours += retryDelayMs(tries, 0.5) / 3_600_000
      tries += 1
    }
    expect(tries).toBeGreaterThan(15)
    expect(retryDelayMs(1_000, 1)).toBeLessThan(8 * 3_600_000)
  })

  test('slow and dead endpoints with a backlog delay no good one, no ending video, no worker', async () => {
    const call = await tenant()
    await using slow = await startWebhookReceiver(() => 'hold')
    await using good = await startWebhookReceiver()
    await addEndpoint(call, slow.url)
    await addEndpoint(call, 'http://127.0.0.1:1/')
    // A long queue for the dead and the slow endpoint, all of it due.
    await Promise.all(Array.from({ length: 12 }, () => endedVideo(call, { webhook_url: `${slow.url}/own` })))
    await slow.atLeast(4)
    await sql(
      `with e as (
        insert into webhook_event (id, account_id, type, subject_id)
        select 'evt_b' || n, $1, 'video.failed', 'video_b' || n
        from generate_series(1, 5000) n
        returning id, account_id
      )
      insert into webhook_delivery (id, event_id, account_id, endpoint_id, lane, due_at)
      select 'whd_' || w.id || e.id, e.id, e.account_id, w.id, w.id, now() - interval '1 hour'
      from e
      join webhook_endpoint w using (account_id)`,
      [call.accountId],
    )
    const goodEndpoint = await addEndpoint(call, good.url)
    const last = await endedVideo(call)
    const [first] = await good.atLeast(1)
    // It came while the slow one has not answered: at most four requests for each of its two queues.
    expect(first?.event.data.id).toBe(last)
    expect(slow.received.length).toBeLessThanOrEqual(8)
    const [done] = await eventually(
      () => deliveriesOf(call, goodEndpoint.id),
      (data) => data[0]?.status === 'delivered',
    )
    expect(done.attempt).toBe(1)
    // A worker's report of an end writes to the same outbox, and is answered.
    const made = await submit(call)
    await using worker = new HandWorker(api, { pool: 'beside-slow' })
    await worker.heartbeat()
    const attempt = await worker.fetch()
    expect(attempt.job.video).toBe(made)
    await attempt.report({ type: 'finished', result: await attempt.upload() })
    await worker.heartbeat([], { draining: true })
    const [, second] = await good.atLeast(2)
    expect(second?.event).toMatchObject({ type: 'video.completed', data: { id: made } })
    await sql(`delete from webhook_event where account_id = $1`, [call.accountId])
  })

  test('an API killed before or during a delivery: another process sends it', async () => {
    // Nothing is answered until the process that sent it is gone.
    let isGone = false
    await using holding = await startWebhookReceiver(() => (isGone ? 200 : 'hold'))
    await using refusing = await startWebhookReceiver(() => (isGone ? 200 : 500))
    await using database = await startTestApi({ webhookAllowHosts: new Set() })
    const { accountId, key } = await database.account(1_000_000_000n)
    await database.api.stop()
    const port = await freePort()
    const child = spawn(process.execPath, [MAIN], {
      env: {
        PATH: process.env.PATH ?? '',
        PORT: String(port),
        SLUICE_DATABASE_URL: database.config.database.url,
        SLUICE_DATA_DIR: database.dataDir,
        SLUICE_WEBHOOK_ALLOW_HOSTS: '127.0.0.1',
        SLUICE_LOG: 'silent',
        ...(database.config.queue.backend === 'redis' ? { REDIS_URL: database.config.queue.url } : {}),
      },
      stdio: 'ignore',
    })
    try {
      const url = `http://127.0.0.1:${port}`
      await eventually(
        () =>
          fetch(`${url}/health`).then(
            (response) => response.status,
            () => 0,
          ),
        (status) => status === 200,
      )
      const ask: Call = (method, path, body) => callJson(url, key, method, path, body)
      await addEndpoint(ask, holding.url)
      const refused = await addEndpoint(ask, refusing.url)
      const id = await endedVideo(ask)
      await holding.atLeast(1)
      await eventually(
        () => deliveriesOf(ask, refused.id),
        (data) => data[0]?.attempt === 1,
      )
      const killed = once(child, 'exit')
      child.kill('SIGKILL')
      await killed
      isGone = true
      const replica = await database.replica({ webhookAllowHosts: new Set(['127.0.0.1']) })
      // As after some time: the dead process's claim expires, and the next try of the other delivery is due.
      await replica.context.db.query({
        text: `with d as (
          update webhook_delivery set due_at = now() where account_id = $1 and status = 'pending' returning id
        )
        select pg_notify('sluice_webhooks', '') from d`,
        values: [accountId],
      })
      for (const receiver of [holding, refusing]) {
        const [before, after] = await receiver.atLeast(2)
        expect(after?.event).toEqual(before?.event)
        expect(after?.event.data.id).toBe(id)
      }
    } finally {
      child.kill('SIGKILL')
    }
  })

  test('an API that stops hands back what it could not finish', async () => {
    await using receiver = await startWebhookReceiver((_one, before) => (before === 0 ? 'hold' : 200))
    await using other = await startTestApi({ webhookAllowHosts: new Set(['127.0.0.1']) })
    const ask: Call = (method, path, body) => other.call(method, path, body)
    const held = await addEndpoint(ask, receiver.url)
    await endedVideo(ask)
    await receiver.atLeast(1)
    await other.api.stop()
    await using db = await openTestPool(other.config.database.url)
    // At once, not when the claim would have expired.
    expect((await db.query({ text: 'select due_at <= now() as is_due from webhook_delivery' })).rows).toEqual(
      [{ is_due: true }],
    )
    const replica = await other.replica()
    await receiver.atLeast(2)
    const { rows } = await eventually(
      () =>
        replica.context.db.query<{ status: string }>({
          text: 'select status from webhook_delivery where endpoint_id = $1',
          values: [held.id],
        }),
      (answer) => answer.rows[0]?.status === 'delivered',
    )
    expect(rows).toHaveLength(1)
  })
})

describe('what a receiver says', () => {
  const statusesOf = async (call: Call, endpointId: string): Promise<string[]> =>
    (await deliveriesOf(call, endpointId)).map((one: { status: string }) => one.status)

  test('410 disables the endpoint and ends what waits for it; its owner sees why, other endpoints get all', async () => {
    const call = await tenant()
    let status = 500
    await using receiver = await startWebhookReceiver(({ path }) => (path === '/gone' ? status : 200))
    const [gone, other] = [
      await addEndpoint(call, `${receiver.url}/gone`),
      await addEndpoint(call, `${receiver.url}/other`),
    ]
    await endedVideo(call)
    await endedVideo(call)
    await eventually(
      () => deliveriesOf(call, gone.id),
      (data) => data.length === 2 && data.every((one: { attempt: number }) => one.attempt === 1),
    )
    status = 410
    await endedVideo(call)
    const endpoint = await eventually(
      async () => (await call('GET', `/v1/webhook_endpoints/${gone.id}`)).body,
      (body) => body.disabled,
    )
    expect(endpoint).toMatchObject({ disabled: true, disabled_reason: 'gone' })
    const [last, ...waited] = await eventually(
      () => deliveriesOf(call, gone.id),
      (data) => data[0]?.attempt === 1,
    )
    expect(last).toMatchObject({
      status: 'failed',
      attempt: 1,
      status_code: 410,
      error: 'url answered 410: nothing more is sent to it.',
      next_attempt_at: null,
    })
    expect(waited).toMatchObject([
      { status: 'failed', next_attempt_at: null },
      { status: 'failed', next_attempt_at: null },
    ])
    await endedVideo(call)
    await eventually(
      () => statusesOf(call, other.id),
      (all) => all.length === 4 && all.every((one) => one === 'delivered'),
    )
    expect((await call('GET', `/v1/webhook_endpoints/${other.id}`)).body).toMatchObject({
      disabled: false,
      disabled_reason: null,
    })
    expect(await statusesOf(call, gone.id)).toHaveLength(3)
    status = 200
    const enabled = await call('PATCH', `/v1/webhook_endpoints/${gone.id}`, { disabled: false })
    expect(enabled.body).toMatchObject({ disabled: false, disabled_reason: null })
    expect((await call('POST', `/v1/webhook_deliveries/${last.id}/redeliver`)).status).toBe(200)
    await eventually(
      () => statusesOf(call, gone.id),
      (all) => all[0] === 'delivered',
    )
  })

  test('410 of a webhook_url ends the deliveries to that URL and to no other', async () => {
    const call = await tenant()
    let status = 500
    await using receiver = await startWebhookReceiver(({ path }) => (path === '/gone' ? status : 500))
    await endedVideo(call, { webhook_url: `${receiver.url}/gone` })
    await endedVideo(call, { webhook_url: `${receiver.url}/stays` })
    await receiver.atLeast(2)
    status = 410
    await endedVideo(call, { webhook_url: `${receiver.url}/gone` })
    const rows = await eventually(
      () =>
        sql<{ url: string; status: string }>(
          'select url, status from webhook_delivery where account_id = $1 order by id',
          [call.accountId],
        ),
      (all) => all.filter((one) => one.status === 'failed').length === 2,
    )
    expect(rows.map((one) => `${new URL(one.url).pathname} ${one.status}`)).toEqual([
      '/gone failed',
      '/stays pending',
      '/gone failed',
    ])
  })

  test('410 of a URL that was changed meanwhile ends nothing: the delivery goes to the new one', async () => {
    const call = await tenant()
    await using receiver = await startWebhookReceiver(({ path }) => (path === '/before' ? 'hold' : 200))
    const endpoint = await addEndpoint(call, `${receiver.url}/before`)
    await endedVideo(call)
    const [asked] = await receiver.atLeast(1)
    await call('PATCH', `/v1/webhook_endpoints/${endpoint.id}`, { url: `${receiver.url}/after` })
    asked?.answer(410)
    await eventually(
      () => deliveriesOf(call, endpoint.id),
      (data) => data[0]?.attempt === 1,
    )
    await makeDue('account_id', call.accountId)
    const [before, after] = await receiver.atLeast(2)
    expect(after).toMatchObject({ path: '/after', event: before?.event })
    expect((await call('GET', `/v1/webhook_endpoints/${endpoint.id}`)).body.disabled).toBe(false)
  })

  test.each([429, 503, 302])(
    '%i with Retry-After: nothing is sent to the endpoint before that, and by hand at once',
    async (status) => {
      const call = await tenant()
      await using receiver = await startWebhookReceiver((_one, before) =>
        before === 0 ? { status, headers: { 'retry-after': '60' } } : 200,
      )
      await using other = await startWebhookReceiver()
      const endpoint = await addEndpoint(call, receiver.url)
      await addEndpoint(call, other.url)
      await endedVideo(call)
      const [waiting] = await eventually(
        () => deliveriesOf(call, endpoint.id),
        (data) => data[0]?.attempt === 1,
      )
      const [{ wait_s = 0 } = {}] = await sql<{ wait_s: number }>(
        'select extract(epoch from due_at - now())::float8 as wait_s from webhook_delivery where id = $1',
        [waiting.id],
      )
      expect(wait_s).toBeGreaterThan(50)
      expect(wait_s).toBeLessThanOrEqual(60)
      await eventually(
        () => sql('select from webhook_endpoint where id = $1 and paused_until > now()', [endpoint.id]),
        (rows) => rows.length === 1,
      )
      // A new event waits as well; the account's other endpoint gets it.
      await endedVideo(call)
      await other.atLeast(2)
      expect(receiver.received).toHaveLength(1)
      await call('POST', `/v1/webhook_deliveries/${waiting.id}/redeliver`)
      await receiver.atLeast(3)
    },
  )

  test('Retry-After is seconds or a date, and never more than an hour', () => {
    const nowMs = Date.parse('2026-01-01T00:00:00Z')
    const waits = [
      '60',
      ' 7 ',
      'Thu, 01 Jan 2026 00:01:00 GMT',
      '86400',
      '9999999999999999',
      '-5',
      'soon',
      '',
    ]
    expect(waits.map((header) => retryAfterMs(header, nowMs))).toEqual([
      60_000, 7_000, 60_000, 3_600_000, 0, 0, 0, 0,
    ])
    expect(retryAfterMs('Thu, 01 Jan 2025 00:01:00 GMT', nowMs)).toBe(0)
    expect(retryAfterMs(undefined, nowMs)).toBe(0)
    expect([retryDelayMs(1, 0.5, 60_000), retryDelayMs(9, 0.5, 60_000)]).toEqual([60_000, 21_600_000])
  })
})

test('events older than thirty days are removed until none is left, however many there are', async () => {
  const call = await tenant()
  await sql(
    `with e as (
      insert into webhook_event (id, account_id, type, subject_id, created_at)
      select 'evt_old' || n, $1, 'video.failed', 'video_old' || n, now() - interval '31 days'
      from generate_series(1, 2500) n
      returning id, account_id
    )
    insert into webhook_delivery (id, event_id, account_id, url, lane, status, due_at)
    select 'whd_' || id, id, account_id, 'https://example.com/', 'x', 'delivered', null from e`,
    [call.accountId],
  )
  await using receiver = await startWebhookReceiver()
  await endedVideo(call, { webhook_url: receiver.url })
  // Every start looks at once, as each process does every hour.
  const replica = await api.replica()
  await eventually(
    () => sql('select id from webhook_delivery where account_id = $1', [call.accountId]),
    (rows) => rows.length === 1,
  )
  expect(await sql('select id from webhook_event where account_id = $1', [call.accountId])).toHaveLength(1)
  await replica.stop()
})

describe('secrets', () => {
  test('after a rotation both secrets sign for a day, then the new one alone', async () => {
    const call = await tenant()
    await using receiver = await startWebhookReceiver()
    const endpoint = await addEndpoint(call, receiver.url)
    const rotated = (await call('POST', `/v1/webhook_endpoints/${endpoint.id}/rotate`)).body
    expect(rotated).toMatchObject({ id: endpoint.id, secret: expect.stringMatching(/^whsec_/) })
    expect(rotated.secret).not.toBe(endpoint.secret)
    expect(rotated.previous_secret_expires_at - Date.now() / 1_000).toBeGreaterThan(86_000)
    await endedVideo(call)
    const [both] = await receiver.atLeast(1)
    if (both === undefined) throw new Error('nothing came')
    expect(both.headers['webhook-signature']?.split(' ')).toHaveLength(2)
    await verify(both, endpoint.secret)
    await verify(both, rotated.secret)
    await sql(`update webhook_endpoint set previous_secret_until = now() where id = $1`, [endpoint.id])
    await endedVideo(call)
    const [, alone] = await receiver.atLeast(2)
    if (alone === undefined) throw new Error('nothing came')
    await verify(alone, rotated.secret)
    await isRefused(alone, endpoint.secret)
    expect(
      (await call('GET', `/v1/webhook_endpoints/${endpoint.id}`)).body.previous_secret_expires_at,
    ).toBeNull()
  })

  test("the account's own secret rotates the same way, and can be read", async () => {
    const call = await tenant()
    await using receiver = await startWebhookReceiver()
    const before = (await call('GET', '/v1/webhook_secret')).body
    const after = (await call('POST', '/v1/webhook_secret/rotate')).body
    expect(after.secret).not.toBe(before.secret)
    expect((await call('GET', '/v1/webhook_secret')).body).toEqual(after)
    await endedVideo(call, { webhook_url: receiver.url })
    const [both] = await receiver.atLeast(1)
    if (both === undefined) throw new Error('nothing came')
    await verify(both, before.secret)
    await verify(both, after.secret)
  })

  test("the account's own secret, rotated by a call that an SDK repeats, is rotated once, and the one before signs on", async () => {
    const { key } = await api.account(10_000_000_000n)
    const call = (method: string, path: string, headers = {}) =>
      api.call(method, path, undefined, { key, headers })
    const before = (await call('GET', '/v1/webhook_secret')).body
    const rotate = (tryNumber: number) =>
      call('POST', '/v1/webhook_secret/rotate', { 'x-stainless-retry-count': String(tryNumber) })
    const lost = (await rotate(0)).body
    expect((await rotate(1)).body).toEqual(lost)
    const rows = await sql('select previous_secret from webhook_secret where secret = $1', [lost.secret])
    expect(rows).toEqual([{ previous_secret: before.secret }])
    expect((await rotate(0)).body.secret).not.toBe(lost.secret)
  })

  test('an endpoint shows its secret when it is made or rotated, and nowhere else', async () => {
    const call = await tenant()
    await using receiver = await startWebhookReceiver()
    const made = (await call('POST', '/v1/webhook_endpoints', { url: receiver.url })).body
    const { secret, signing_secret, ...endpoint } = made
    expect(secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/)
    expect(endpoint).toEqual({
      id: expect.stringMatching(/^whe_/),
      object: 'webhook_endpoint',
      url: receiver.url,
      events: ['video.completed', 'video.failed', 'video.promise_missed'],
      event_types: endpoint.events,
      name: '',
      disabled: false,
      disabled_reason: null,
      created_at: expect.any(Number),
      updated_at: expect.any(Number),
      previous_secret_expires_at: null,
      signing_secret_hint: `${secret.slice(6, 10)}...`,
    })
    expect(signing_secret).toBe(secret)
    const path = `/v1/webhook_endpoints/${endpoint.id}`
    expect((await call('GET', path)).body).toEqual(endpoint)
    expect((await call('GET', '/v1/webhook_endpoints')).body).toEqual({
      object: 'list',
      data: [endpoint],
      first_id: endpoint.id,
      last_id: endpoint.id,
      has_more: false,
    })
    expect((await call('PATCH', path, { events: ['video.failed', 'video.failed'] })).body).toEqual({
      ...endpoint,
      events: ['video.failed'],
      event_types: ['video.failed'],
      updated_at: expect.any(Number),
    })
    for (const answer of [
      await call('POST', `${path}/test`),
      await call('GET', `${path}/deliveries`),
      await call('GET', path),
    ]) {
      expect(JSON.stringify(answer.body)).not.toContain('whsec_')
    }
  })
})

describe('endpoints', () => {
  test("another tenant's endpoint or delivery, an unknown and a malformed id: the same 404", async () => {
    const [owner, stranger] = [await tenant(), await tenant()]
    await using receiver = await startWebhookReceiver()
    const { id } = await addEndpoint(owner, receiver.url)
    const delivery = (await owner('POST', `/v1/webhook_endpoints/${id}/test`)).body.id
    const unknown = id.replace(/.{4}$/, '0000')
    const answersFor =
      (path: (id: string) => string, method: string, body?: unknown) => async (name: string) => {
        const { status, body: answer } = await stranger(method, path(name), body)
        return { status, answer }
      }
    const calls = [
      answersFor((name) => `/v1/webhook_endpoints/${name}`, 'GET'),
      answersFor((name) => `/v1/webhook_endpoints/${name}`, 'PATCH', {
        disabled: true,
        url: 'https://10.0.0.1/',
      }),
      answersFor((name) => `/v1/webhook_endpoints/${name}`, 'DELETE'),
      answersFor((name) => `/v1/webhook_endpoints/${name}/rotate`, 'POST'),
      answersFor((name) => `/v1/webhook_endpoints/${name}/test`, 'POST'),
      answersFor((name) => `/v1/webhook_endpoints/${name}/deliveries`, 'GET'),
    ]
    for (const ask of calls) {
      const answers = [await ask(id), await ask(unknown), await ask('nonsense')]
      expect(answers[0]).toMatchObject({ status: 404, answer: { error: { code: 'not_found', param: 'id' } } })
      expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1)
    }
    const redeliver = answersFor((name) => `/v1/webhook_deliveries/${name}/redeliver`, 'POST')
    const answers = [
      await redeliver(delivery),
      await redeliver(delivery.replace(/.{4}$/, '0000')),
      await redeliver('x'),
    ]
    expect(answers[0]).toMatchObject({ status: 404 })
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1)
    expect((await stranger('GET', `/v1/webhook_deliveries?after=${delivery}`)).status).toBe(404)
    expect((await stranger('GET', '/v1/webhook_deliveries')).body.data).toEqual([])
    expect((await owner('GET', `/v1/webhook_endpoints/${id}`)).body.disabled).toBe(false)
  })

  test('a deleted or disabled endpoint gets nothing more, not even what waits for it', async () => {
    const call = await tenant()
    await using receiver = await startWebhookReceiver(() => 500)
    const [deleted, disabled] = [
      await addEndpoint(call, `${receiver.url}/deleted`),
      await addEndpoint(call, `${receiver.url}/disabled`),
    ]
    await endedVideo(call)
    await eventually(
      () =>
        sql(
          `select from webhook_attempt join webhook_delivery d on d.id = delivery_id where account_id = $1`,
          [call.accountId],
        ),
      (rows) => rows.length === 2,
    )
    expect((await call('DELETE', `/v1/webhook_endpoints/${deleted.id}`)).body).toEqual({
      id: deleted.id,
      object: 'webhook_endpoint.deleted',
      deleted: true,
    })
    expect(
      (await call('PATCH', `/v1/webhook_endpoints/${disabled.id}`, { disabled: true })).body.disabled,
    ).toBe(true)
    await makeDue('account_id', call.accountId)
    await endedVideo(call)
    const rows = await eventually(
      () =>
        sql<{ id: string; status: string }>('select id, status from webhook_delivery where account_id = $1', [
          call.accountId,
        ]),
      (all) => all.every(({ status }) => status === 'failed'),
    )
    expect(rows).toHaveLength(2)
    expect(receiver.received).toHaveLength(2)
    expect((await call('GET', `/v1/webhook_endpoints/${deleted.id}`)).status).toBe(404)
    for (const { id } of rows) {
      expect(await call('POST', `/v1/webhook_deliveries/${id}/redeliver`)).toMatchObject({
        status: 409,
        body: { error: { code: 'state_conflict' } },
      })
    }
    await call('PATCH', `/v1/webhook_endpoints/${disabled.id}`, { disabled: false })
    await endedVideo(call)
    await receiver.atLeast(3)
    expect(receiver.received.at(-1)?.path).toBe('/disabled')
  })

  test('twenty at most, also when they are created at once', async () => {
    const call = await tenant()
    const answers = await Promise.all(
      Array.from({ length: 25 }, (_, index) =>
        call('POST', '/v1/webhook_endpoints', { url: `http://127.0.0.1:${4_000 + index}/` }),
      ),
    )
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(20)
    const refused = answers.filter(({ status }) => status !== 200)
    expect(refused[0]).toMatchObject({
      status: 409,
      body: { error: { code: 'state_conflict', message: expect.stringContaining('20') } },
    })
    expect(refused[0]?.headers.get('x-should-retry')).toBe('false')
    const { data } = (await call('GET', '/v1/webhook_endpoints')).body
    expect(data).toHaveLength(20)
    await call('DELETE', `/v1/webhook_endpoints/${data[0].id}`)
    expect((await call('POST', '/v1/webhook_endpoints', { url: 'http://127.0.0.1:4100/' })).status).toBe(200)
  })

  test('a test event is sent at once; its result is returned and stored, accepted or not', async () => {
    const call = await tenant()
    let status = 200
    await using receiver = await startWebhookReceiver(() => status)
    const endpoint = await addEndpoint(call, receiver.url)
    const path = `/v1/webhook_endpoints/${endpoint.id}`
    const taken = await call('POST', `${path}/test`)
    expect(taken).toMatchObject({
      status: 200,
      body: {
        object: 'webhook_delivery',
        status: 'delivered',
        attempt: 1,
        status_code: 200,
        error: null,
        next_attempt_at: null,
        event: { type: 'webhook.test', data: { id: endpoint.id } },
      },
    })
    expect(receiver.received[0]?.event).toEqual(taken.body.event)
    if (receiver.received[0] !== undefined) await verify(receiver.received[0], endpoint.secret)
    status = 418
    expect((await call('POST', `${path}/test`)).body).toMatchObject({
      status: 'failed',
      status_code: 418,
      error: expect.any(String),
    })
    await call('PATCH', path, { url: 'http://127.0.0.1:1/' })
    expect((await call('POST', `${path}/test`)).body).toMatchObject({
      status: 'failed',
      status_code: null,
      error: 'url could not be reached: ECONNREFUSED.',
      next_attempt_at: null,
    })
    const first = (await call('GET', `${path}/deliveries?limit=2`)).body
    expect(first).toMatchObject({
      object: 'list',
      has_more: true,
      first_id: first.data[0].id,
      last_id: first.data[1].id,
    })
    const second = (await call('GET', `${path}/deliveries?limit=2&after=${first.last_id}`)).body
    expect(second).toMatchObject({ has_more: false })
    expect(second.data.map((one: { id: string }) => one.id)).toEqual([taken.body.id])
    expect(receiver.received).toHaveLength(2)
  })
})

describe('refusals', () => {
  const HOSTILE = [
    'http://example.com/hook',
    'http://169.254.169.254/latest/',
    'https://169.254.169.254/latest/',
    'https://[fd00:ec2::254]/',
    'https://localhost/',
    'https://[::ffff:127.0.0.1]/',
    'https://2130706434/',
    'https://10.0.0.1/',
    'https://user:pw@8.8.8.8/',
    'ftp://8.8.8.8/',
    'hook',
    '',
    `https://8.8.8.8/${'x'.repeat(2_050)}`,
    'https://8.8.8.8/\u0000',
  ]

  test.each(HOSTILE)('%j is refused with the field at fault, and leaves nothing behind', async (url) => {
    const call = await tenant()
    await using receiver = await startWebhookReceiver()
    const endpoint = await addEndpoint(call, receiver.url)
    const everything = async () => ({
      ...(await footprint(api)),
      webhooks: await sql(`select (select json_agg(w order by id) from webhook_endpoint w) as endpoints,
        (select count(*) from webhook_event) as events, (select count(*) from webhook_secret) as secrets`),
    })
    const before = await everything()
    for (const [method, path, body, param] of [
      ['POST', '/v1/videos', { ...SMALL, webhook_url: url }, 'webhook_url'],
      ['POST', '/v1/webhook_endpoints', { url }, 'url'],
      ['PATCH', `/v1/webhook_endpoints/${endpoint.id}`, { url, disabled: true }, 'url'],
    ] as const) {
      expect(await call(method, path, body)).toMatchObject({
        status: 400,
        body: { error: { code: 'invalid_value', param } },
      })
    }
    expect(await everything()).toEqual(before)
  })

  test('events that do not exist, none at all and unknown fields are refused by name', async () => {
    const call = await tenant()
    const post = (body: unknown) => call('POST', '/v1/webhook_endpoints', body)
    expect(await post({ url: 'https://8.8.8.8/', events: ['video.started'] })).toMatchObject({
      status: 400,
      body: {
        error: { param: 'events.0', message: expect.stringContaining('video.completed, video.failed') },
      },
    })
    expect(await post({ url: 'https://8.8.8.8/', events: [] })).toMatchObject({
      status: 400,
      body: { error: { param: 'events' } },
    })
    expect(await post({})).toMatchObject({
      status: 400,
      body: { error: { code: 'missing_parameter', param: 'url' } },
    })
    expect(await post({ url: 'https://8.8.8.8/', colour: 'x' })).toMatchObject({
      status: 400,
      body: { error: { code: 'unknown_parameter', param: 'colour' } },
    })
    const both = { url: 'https://8.8.8.8/', events: ['video.failed'], event_types: ['video.failed'] }
    expect(await post(both)).toMatchObject({
      status: 400,
      body: { error: { code: 'invalid_value', param: 'event_types' } },
    })
    expect(await post({ url: 'https://8.8.8.8/', name: 'x'.repeat(101) })).toMatchObject({
      status: 400,
      body: { error: { param: 'name' } },
    })
    expect((await call('GET', '/v1/webhook_endpoints')).body.data).toEqual([])
  })

  test('a host that was allowed once is not reached any more when it no longer is', async () => {
    const call = await tenant()
    await using receiver = await startWebhookReceiver()
    const endpoint = await addEndpoint(call, receiver.url)
    // As when a name resolves to another address after it was checked.
    await sql(`update webhook_endpoint set url = $2 where id = $1`, [
      endpoint.id,
      receiver.url.replace('127.0.0.1', '127.0.0.2'),
    ])
    await endedVideo(call)
    const [tried] = await eventually(
      () => deliveriesOf(call, endpoint.id),
      (data) => data[0]?.attempt === 1,
    )
    expect(tried).toMatchObject({
      status: 'pending',
      status_code: null,
      error: expect.stringContaining('allowed is an https URL of a public host'),
    })
    expect(receiver.received).toEqual([])
  })
})
