import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HandWorker } from '../support/hand-worker.ts'
import { type Operator, operatorOf } from '../support/operator.ts'
import { callJson, startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi
let operator: Operator

beforeAll(async () => {
  api = await startTestApi()
  operator = operatorOf(api)
})
afterAll(() => api.stop())

/** 504 video tokens x 10 steps = 5,040 generated tokens = 0.001008. */
const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }
const TOKENS = 5_040
const create = (key: string, body: unknown = SMALL, headers: Record<string, string> = {}) =>
  api.call('POST', '/v1/videos', body, { key, headers })
const cancel = (key: string, id: string) => api.call('POST', `/v1/videos/${id}/cancel`, undefined, { key })
const change = (id: string, fields: unknown) => operator.must('PATCH', `/v1/admin/keys/${id}`, fields)
const budgetOf = async (id: string) => (await operator.must('GET', `/v1/admin/keys/${id}`)).budget
const sql = (text: string, values: unknown[] = []) => api.context.db.query({ text, values })
const statuses = (answers: readonly { status: number }[]) => {
  const counts: Record<number, number> = {}
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

describe('a budget', () => {
  test('for ten videos takes exactly ten of a hundred submissions at once, through two API processes, and holds nothing for the others', async () => {
    const replica = await api.replica()
    const accountId = await operator.account({ paid: '1' })
    const { id, key } = await operator.key(accountId, {
      token_budget: TOKENS * 10 + 1,
      budget_interval: 'day',
    })
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        callJson(index % 2 === 0 ? api.url : replica.url, key, 'POST', '/v1/videos', SMALL),
      ),
    )
    expect(statuses(answers)).toEqual({ 200: 10, 402: 90 })
    for (const { status, body } of answers) {
      if (status === 402)
        expect(body.error).toMatchObject({ code: 'budget_exceeded', type: 'insufficient_quota', param: null })
    }
    expect(await operator.must('GET', `/v1/admin/accounts/${accountId}`)).toMatchObject({
      queued: 10,
      held: { amount: '0.01008' },
      paid: { amount: '0.98992' },
    })
    expect(await budgetOf(id)).toMatchObject({ used_tokens: TOKENS * 10, remaining_tokens: 1 })
    expect(await operator.ledgerIsOk()).toMatchObject({ ok: true })
    await replica.stop()
  })

  test('belongs to one key: other keys of the account go on', async () => {
    const accountId = await operator.account({ paid: '1' })
    const spent = await operator.key(accountId, { token_budget: TOKENS - 1 })
    const free = await operator.key(accountId)
    const refused = await create(spent.key)
    expect(refused.status).toBe(402)
    expect(refused.body.error.message).toBe(
      `This video generates ${TOKENS} tokens; this key has ${TOKENS - 1} of ${TOKENS - 1} left for its whole life.`,
    )
    expect((await create(free.key)).status).toBe(200)
    expect(await budgetOf(free.id)).toBeNull()
  })

  test('is not touched by a submission that the balance refuses, or by the same submission again', async () => {
    const poor = await operator.account({ paid: '0.000001' })
    const { id, key } = await operator.key(poor, { token_budget: 1_000_000 })
    expect((await create(key)).body.error.code).toBe('insufficient_balance')
    expect(await budgetOf(id)).toMatchObject({ used_tokens: 0 })

    const rich = await operator.account({ paid: '1' })
    const other = await operator.key(rich, { token_budget: TOKENS })
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => create(other.key, SMALL, { 'idempotency-key': 'once' })),
    )
    expect(statuses(answers)).toEqual({ 200: 20 })
    expect(await budgetOf(other.id)).toMatchObject({ used_tokens: TOKENS, remaining_tokens: 0 })
  })

  test('gets back what a video did not use, however it ends', async () => {
    await using fresh = await startTestApi()
    const their = operatorOf(fresh)
    const { id, key } = await their.key(await their.account({ paid: '1' }), {
      token_budget: TOKENS * 3,
      budget_interval: '30d',
    })
    const create = () => fresh.call('POST', '/v1/videos', SMALL, { key })
    const cancel = (videoId: string) => fresh.call('POST', `/v1/videos/${videoId}/cancel`, undefined, { key })
    const used = async () => (await their.must('GET', `/v1/admin/keys/${id}`)).budget.used_tokens
    await using worker = new HandWorker(fresh)

    const queued = (await create()).body.id
    expect(await used()).toBe(TOKENS)
    await cancel(queued)
    expect(await used()).toBe(0)
    await cancel(queued)
    expect(await used()).toBe(0)

    await create()
    await worker.heartbeat()
    const failing = await worker.fetch()
    await failing.report({ type: 'failed', code: 'bad_input', message: 'no', retryable: false, step: 7 })
    expect(await used()).toBe(0)

    const running = (await create()).body.id
    const attempt = await worker.fetch()
    await attempt.report({ type: 'progress', phase: 'denoise', step: 3, remaining_ms: 1_000 })
    await cancel(running)
    await attempt.report({ type: 'cancelled', step: 4 })
    // Four of ten steps were done and charged.
    expect(await used()).toBe(504 * 4)

    await create()
    const whole = await worker.fetch()
    await whole.report({ type: 'finished', result: await whole.upload() })
    expect(await used()).toBe(504 * 4 + TOKENS)
    expect(await their.ledgerIsOk()).toMatchObject({ ok: true })
  })

  test('starts anew with its interval, and a video returns its tokens to the interval it was submitted in', async () => {
    const accountId = await operator.account({ paid: '1' })
    const { id, key } = await operator.key(accountId, { token_budget: TOKENS * 2, budget_interval: 'day' })
    const early = (await create(key)).body.id
    await create(key)
    expect((await create(key)).status).toBe(402)

    // A day passes: what was submitted lies in yesterday's interval.
    await sql(`update key_budget set starts_at = starts_at - interval '1 day' where key_id = $1`, [id])
    await sql(`update video set budget_starts_at = budget_starts_at - interval '1 day' where key_id = $1`, [
      id,
    ])
    expect(await budgetOf(id)).toMatchObject({ used_tokens: 0, remaining_tokens: TOKENS * 2 })
    expect(statuses([await create(key), await create(key), await create(key)])).toEqual({ 200: 2, 402: 1 })

    await cancel(key, early)
    expect(await budgetOf(id)).toMatchObject({ used_tokens: TOKENS * 2 })
    expect((await create(key)).status).toBe(402)
    const { rows } = await sql('select used_tokens from key_budget where key_id = $1 order by starts_at', [
      id,
    ])
    expect(rows).toEqual([{ used_tokens: BigInt(TOKENS) }, { used_tokens: BigInt(TOKENS * 2) }])
    expect(await operator.ledgerIsOk()).toMatchObject({ ok: true })
  })

  test.each([
    ['day', '2026-02-10T12:00:00Z', '2026-03-01T23:59:59.999Z', '2026-03-01T00:00:00.000Z'],
    ['day', '2026-02-10T12:00:00Z', '2026-03-02T00:00:00Z', '2026-03-02T00:00:00.000Z'],
    ['day', '2026-02-10T12:00:00Z', '2026-03-02T01:30:00+02:00', '2026-03-01T00:00:00.000Z'],
    ['30d', '2026-02-10T12:00:00Z', '2026-02-10T12:00:00Z', '2026-02-10T00:00:00.000Z'],
    ['30d', '2026-02-10T12:00:00Z', '2026-03-11T23:59:59Z', '2026-02-10T00:00:00.000Z'],
    ['30d', '2026-02-10T12:00:00Z', '2026-03-12T00:00:00Z', '2026-03-12T00:00:00.000Z'],
    ['none', '2026-02-10T12:00:00Z', '2036-01-01T00:00:00Z', '2026-02-10T00:00:00.000Z'],
  ])('by %s of a key made at %s begins, at %s, at %s', async (interval, madeAt, at, startsAt) => {
    const { rows } = await sql('select budget_interval_start($1, $2, $3) as starts_at', [
      interval,
      madeAt,
      at,
    ])
    expect(rows[0]).toEqual({ starts_at: new Date(startsAt) })
  })

  test('lowered below what is used takes nothing more, and what comes back breaks nothing', async () => {
    const { id, key } = await operator.key(await operator.account({ paid: '1' }), {
      token_budget: TOKENS * 3,
    })
    const [first, second] = [(await create(key)).body.id, (await create(key)).body.id]
    await change(id, { token_budget: TOKENS })
    expect(await budgetOf(id)).toMatchObject({ tokens: TOKENS, used_tokens: TOKENS * 2, remaining_tokens: 0 })
    const refused = await create(key)
    expect([refused.status, refused.body.error.message]).toEqual([
      402,
      `This video generates ${TOKENS} tokens; this key has 0 of ${TOKENS} left for its whole life.`,
    ])
    await cancel(key, first)
    expect(await budgetOf(id)).toMatchObject({ used_tokens: TOKENS, remaining_tokens: 0 })
    expect((await create(key)).status).toBe(402)
    await cancel(key, second)
    expect(statuses([await create(key), await create(key)])).toEqual({ 200: 1, 402: 1 })

    await change(id, { token_budget: TOKENS * 2 })
    expect(statuses([await create(key), await create(key)])).toEqual({ 200: 1, 402: 1 })
    await change(id, { token_budget: null })
    expect(statuses([await create(key), await create(key)])).toEqual({ 200: 2 })
    expect(await budgetOf(id)).toBeNull()
    // What was submitted without one does not count.
    await change(id, { token_budget: TOKENS * 3 })
    expect(await budgetOf(id)).toMatchObject({ used_tokens: TOKENS * 2, remaining_tokens: TOKENS })
    expect(await operator.ledgerIsOk()).toMatchObject({ ok: true })
  })

  test('raised while a hundred submissions arrive is spent to the last video, and not beyond', async () => {
    const replica = await api.replica()
    const { id, key } = await operator.key(await operator.account({ paid: '1' }), {
      token_budget: TOKENS * 3,
    })
    const hundred = () =>
      Promise.all(
        Array.from({ length: 100 }, (_, index) =>
          callJson(index % 2 === 0 ? api.url : replica.url, key, 'POST', '/v1/videos', SMALL),
        ),
      )
    const [during] = await Promise.all([hundred(), change(id, { token_budget: TOKENS * 10 })])
    const taken = (await budgetOf(id)).used_tokens / TOKENS
    expect(during.filter(({ status }) => status === 200)).toHaveLength(taken)
    expect(statuses(await hundred())).toEqual(
      taken === 10 ? { 402: 100 } : { 200: 10 - taken, 402: 90 + taken },
    )
    expect(await operator.ledgerIsOk()).toMatchObject({ ok: true })
    await replica.stop()
  })

  test('given a longer interval counts what the shorter ones in it used, and given a shorter one begins with nothing used', async () => {
    const { id, key } = await operator.key(await operator.account({ paid: '1' }), {
      token_budget: TOKENS * 3,
      budget_interval: 'day',
    })
    const early = (await create(key)).body.id
    // Made five days ago, with a video of yesterday and one of today.
    await sql(`update api_key set created_at = created_at - interval '5 days' where id = $1`, [id])
    await sql(`update key_budget set starts_at = starts_at - interval '1 day' where key_id = $1`, [id])
    await sql(`update video set budget_starts_at = budget_starts_at - interval '1 day' where key_id = $1`, [
      id,
    ])
    const today = (await create(key)).body.id
    expect(await budgetOf(id)).toMatchObject({ used_tokens: TOKENS })

    await change(id, { budget_interval: '30d' })
    expect(await budgetOf(id)).toMatchObject({
      interval: '30d',
      used_tokens: TOKENS * 2,
      remaining_tokens: TOKENS,
    })
    expect(statuses([await create(key), await create(key)])).toEqual({ 200: 1, 402: 1 })
    await cancel(key, early)
    expect(statuses([await create(key), await create(key)])).toEqual({ 200: 1, 402: 1 })
    await change(id, { budget_interval: null })
    expect(await budgetOf(id)).toMatchObject({ interval: 'none', used_tokens: TOKENS * 3, resets_at: null })

    await change(id, { budget_interval: 'day' })
    expect(await budgetOf(id)).toMatchObject({ used_tokens: TOKENS })
    await cancel(key, today)
    expect(await budgetOf(id)).toMatchObject({ used_tokens: 0 })
    expect(await operator.ledgerIsOk()).toMatchObject({ ok: true })
  })

  test('is overspent by nobody: the database refuses it whatever the program does', async () => {
    const { id, key } = await operator.key(await operator.account({ paid: '1' }), { token_budget: TOKENS })
    await create(key)
    const overspent = sql('update key_budget set used_tokens = used_tokens + 1 where key_id = $1', [id])
    await expect(overspent).rejects.toMatchObject({ constraint: 'key_budget_not_overspent' })
  })
})

describe('requests per minute', () => {
  test('are counted together by all API processes: of a hundred at once exactly ten are answered, the others say when to come back', async () => {
    const replica = await api.replica()
    const { id, key } = await operator.key(await operator.account(), { requests_per_minute: 10 })
    const ask = (url: string) => callJson(url, key, 'GET', '/v1/models')
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) => ask(index % 2 === 0 ? api.url : replica.url)),
    )
    expect(statuses(answers)).toEqual({ 200: 10, 429: 90 })
    const left = answers
      .filter(({ status }) => status === 200)
      .map(({ headers }) => Number(headers.get('x-ratelimit-remaining-requests')))
    expect(left.sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    for (const { status, headers, body } of answers) {
      expect(headers.get('x-ratelimit-limit-requests')).toBe('10')
      expect(headers.get('x-ratelimit-reset-requests')).toMatch(/^([1-9]|[1-5]\d|60)s$/)
      if (status === 200) continue
      expect(body.error).toMatchObject({ code: 'rate_limited', type: 'rate_limit_error' })
      expect(headers.get('x-ratelimit-remaining-requests')).toBe('0')
      // SDKs wait for at most a minute.
      expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
      expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(60)
    }
    // The minute is over.
    await sql('update rate_limit set expire = 1 where key = $1', [`key:${id}`])
    expect((await ask(replica.url)).headers.get('x-ratelimit-remaining-requests')).toBe('9')
    await replica.stop()
  })

  test('are not limited for the key of the first account, the admin key and keys without a limit, and nothing is counted for them', async () => {
    const before = await sql('select count(*) from rate_limit')
    const answers = await Promise.all(Array.from({ length: 200 }, () => api.call('GET', '/v1/models')))
    expect(statuses(answers)).toEqual({ 200: 200 })
    expect(answers[0]?.headers.get('x-ratelimit-limit-requests')).toBeNull()
    expect((await sql('select count(*) from rate_limit')).rows).toEqual(before.rows)
    const own = (await api.call('GET', '/v1/key')).body
    expect(own).toMatchObject({
      requests_per_minute: null,
      token_budget: null,
      models: null,
      expires_at: null,
      budget: null,
    })
    expect(await operator.must('GET', `/v1/admin/accounts/${own.account_id}`)).toMatchObject({
      queued_max: 1_000,
      unfinished_max: null,
    })
  })
})

describe('a key', () => {
  test('may ask for the models on its list alone, whatever they are called', async () => {
    const accountId = await operator.account({ paid: '1' })
    const { key } = await operator.key(accountId, { models: ['open-sora-2'] })
    for (const model of ['animatic', 'sora-2', undefined]) {
      const refused = await create(key, { ...SMALL, ...(model === undefined ? {} : { model }) })
      expect(refused.status).toBe(403)
      expect(refused.body.error).toMatchObject({
        code: 'model_not_allowed',
        type: 'permission_error',
        param: 'model',
      })
    }
    expect((await operator.must('GET', `/v1/admin/accounts/${accountId}`)).held.amount).toBe('0')
    const { body } = await create(key, { ...SMALL, model: 'open-sora-2' })
    expect(body.model).toBe('open-sora-2')
    // Remixing another key's video is no way around it.
    const free = await operator.key(accountId)
    const { id } = (await create(free.key)).body
    const remixed = await api.call('POST', `/v1/videos/${id}/remix`, { prompt: 'again' }, { key })
    expect(remixed.body.error.code).toBe('model_not_allowed')
  })

  test('is shown the models it may ask for and no others, an alias with the model it stands for', async () => {
    const accountId = await operator.account({ paid: '1' })
    const idsFor = async (key: string): Promise<string[]> =>
      (await api.call('GET', '/v1/models', undefined, { key })).body.data.map(({ id }: { id: string }) => id)
    const everything = await idsFor(api.key)
    expect(everything).toEqual(expect.arrayContaining(['animatic', 'open-sora-2', 'sora-2']))
    for (const models of [['open-sora-2'], ['animatic'], ['animatic', 'open-sora-2']]) {
      const { key } = await operator.key(accountId, { models })
      const shown = await idsFor(key)
      for (const model of everything) {
        const { status } = await api.call('POST', '/v1/videos/quote', { ...SMALL, model }, { key })
        expect(status, model).toBe(shown.includes(model) ? 200 : 403)
      }
    }
  })

  test('does what its scopes say and nothing else', async () => {
    const accountId = await operator.account({ paid: '1' })
    const reader = await operator.key(accountId, { scopes: ['videos:read'] })
    const writer = await operator.key(accountId, { scopes: ['videos:write'] })
    const both = await operator.key(accountId, { scopes: ['videos:read', 'admin'] })
    const list = (key: string) => api.call('GET', '/v1/videos', undefined, { key })
    const accounts = (key: string) => api.call('GET', '/v1/admin/accounts', undefined, { key })
    expect([
      (await create(reader.key)).status,
      (await list(reader.key)).status,
      (await accounts(reader.key)).status,
    ]).toEqual([403, 200, 403])
    expect([
      (await create(writer.key)).status,
      (await list(writer.key)).status,
      (await accounts(writer.key)).status,
    ]).toEqual([200, 403, 403])
    expect([
      (await create(both.key)).status,
      (await list(both.key)).status,
      (await accounts(both.key)).status,
    ]).toEqual([403, 200, 200])
    expect(both.key).toMatch(/^sk-admin-/)
  })

  test('is refused once it expired or was revoked, and its videos go on', async () => {
    const accountId = await operator.account({ paid: '1' })
    const inAnHour = Math.floor(Date.now() / 1_000) + 3_600
    const expiring = await operator.key(accountId, { expires_at: inAnHour, name: 'for an hour' })
    const video = (await create(expiring.key)).body.id
    await sql('update api_key set expires_at = now() where id = $1', [expiring.id])
    const revoked = await operator.key(accountId)
    const revokedAt = (await operator.must('DELETE', `/v1/admin/keys/${revoked.id}`)).revoked_at
    expect(revokedAt).toEqual(expect.any(Number))
    for (const { key } of [expiring, revoked]) {
      const refused = await create(key)
      expect(refused.status).toBe(401)
      expect(refused.body.error.code).toBe('invalid_api_key')
    }
    expect((await operator.must('DELETE', `/v1/admin/keys/${revoked.id}`)).revoked_at).toBe(revokedAt)
    expect((await operator.must('GET', `/v1/admin/videos/${video}`)).status).toBe('queued')
    const keys = await operator.must('GET', `/v1/admin/accounts/${accountId}/keys`)
    expect(keys.data.map((key: { id: string }) => key.id)).toEqual([revoked.id, expiring.id])
    expect(keys.data[1]).toMatchObject({ name: 'for an hour', revoked_at: null })
  })

  test('has at most so many videos queued, whatever arrives at once, and its account’s other keys go on', async () => {
    const replica = await api.replica()
    const accountId = await operator.account({ paid: '1' })
    const limited = await operator.key(accountId, { queued_max: 5 })
    const other = await operator.key(accountId)
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        callJson(index % 2 === 0 ? api.url : replica.url, limited.key, 'POST', '/v1/videos', SMALL),
      ),
    )
    expect(statuses(answers)).toEqual({ 200: 5, 429: 45 })
    expect(answers.find(({ status }) => status === 429)?.body.error).toMatchObject({
      code: 'queue_full',
      message: 'This key has 5 videos queued; at most 5 are allowed. Wait for some to finish.',
    })
    expect((await create(other.key)).status).toBe(200)
    await change(limited.id, { queued_max: 6 })
    expect(statuses([await create(limited.key), await create(limited.key)])).toEqual({ 200: 1, 429: 1 })
    expect((await api.call('GET', '/v1/key', undefined, { key: limited.key })).body).toMatchObject({
      queued_max: 6,
      queued: 6,
      running_max: null,
      running: 0,
      account: { queued: 7, queued_max: 1_000, running_max: null },
    })
    await replica.stop()
  })

  test('is changed field by field from the next request on: what is left out stays, null clears', async () => {
    const accountId = await operator.account({ paid: '1' })
    const inAnHour = Math.floor(Date.now() / 1_000) + 3_600
    const settings = {
      name: 'shop',
      models: ['animatic'],
      token_budget: 7,
      budget_interval: 'day',
      requests_per_minute: 60,
      queued_max: 3,
      running_max: 2,
      expires_at: inAnHour,
    }
    const { id, key } = await operator.key(accountId, settings)
    const own = async () => (await api.call('GET', '/v1/key', undefined, { key })).body
    expect(await change(id, {})).toMatchObject({
      id,
      account_id: accountId,
      scopes: ['videos:read', 'videos:write'],
      ...settings,
    })
    const others = {
      name: 'web shop',
      models: ['open-sora-2', 'animatic'],
      token_budget: 0,
      budget_interval: '30d',
      requests_per_minute: 100,
      queued_max: 0,
      running_max: 0,
      expires_at: inAnHour + 1,
    }
    let expected: Record<string, unknown> = settings
    for (const [field, value] of Object.entries(others)) {
      expected = { ...expected, [field]: value }
      expect(await change(id, { [field]: value })).toMatchObject(expected)
      expect(await own()).toMatchObject(expected)
    }
    const cleared = {
      name: '',
      models: null,
      token_budget: null,
      budget_interval: 'none',
      requests_per_minute: null,
      queued_max: null,
      running_max: null,
      expires_at: null,
    }
    expect(
      await change(id, Object.fromEntries(Object.keys(others).map((field) => [field, null]))),
    ).toMatchObject(cleared)
    expect(await own()).toMatchObject(cleared)

    await change(id, { scopes: ['videos:write', 'admin'] })
    expect((await api.call('GET', '/v1/key', undefined, { key })).status).toBe(403)
    expect((await api.call('GET', '/v1/admin/accounts', undefined, { key })).status).toBe(200)
    await change(id, { scopes: ['videos:read'] })
    expect([
      (await create(key)).status,
      (await api.call('GET', '/v1/admin/accounts', undefined, { key })).status,
    ]).toEqual([403, 403])
  })

  test('that expired lives again with more time; one that was revoked is changed no more', async () => {
    const accountId = await operator.account()
    const { id, key } = await operator.key(accountId, { expires_at: Math.floor(Date.now() / 1_000) + 3_600 })
    await sql(`update api_key set expires_at = now() where id = $1`, [id])
    const status = async () => (await api.call('GET', '/v1/key', undefined, { key })).status
    expect(await status()).toBe(401)
    await change(id, { expires_at: null })
    expect(await status()).toBe(200)
    const before = await operator.must('DELETE', `/v1/admin/keys/${id}`)
    const refused = await operator.call('PATCH', `/v1/admin/keys/${id}`, { name: 'again', expires_at: null })
    expect([refused.status, refused.body.error.code, refused.headers.get('x-should-retry')]).toEqual([
      409,
      'state_conflict',
      'false',
    ])
    const { budget: _budget, ...after } = await operator.must('GET', `/v1/admin/keys/${id}`)
    expect(after).toEqual(before)
  })

  test('cannot take admin from itself, and another admin key can', async () => {
    const { id, key } = await operator.key(await operator.account(), { scopes: ['videos:read', 'admin'] })
    const as = (body: unknown) => api.call('PATCH', `/v1/admin/keys/${id}`, body, { key })
    expect((await as({ name: 'me', scopes: ['videos:write', 'admin'] })).status).toBe(200)
    const refused = await as({ scopes: ['videos:write'] })
    expect([refused.status, refused.body.error.code, refused.body.error.param]).toEqual([
      409,
      'state_conflict',
      'scopes',
    ])
    expect((await change(id, { scopes: ['videos:write'] })).scopes).toEqual(['videos:write'])
    expect((await as({ name: 'x' })).status).toBe(403)
  })

  test.each([
    [{ scopes: ['videos:read'] }, 'scopes'],
    [{ models: ['animatic'] }, 'models'],
    [{ token_budget: 1 }, 'token_budget'],
    [{ budget_interval: 'day' }, 'budget_interval'],
    [{ requests_per_minute: 1 }, 'requests_per_minute'],
    [{ queued_max: 1 }, 'queued_max'],
    [{ running_max: 1 }, 'running_max'],
  ])(
    'of the operator or a worker has no limits and stays what it is: %j is refused',
    async (fields, param) => {
      for (const scope of ['admin', 'worker']) {
        const made = await operator.must('POST', '/v1/admin/keys', { name: 'one', scope })
        const refused = await operator.call('PATCH', `/v1/admin/keys/${made.id}`, { ...fields, name: 'two' })
        expect(refused.status).toBe(400)
        expect(refused.body.error).toMatchObject({ code: 'invalid_value', param })
        const { key: _secret, ...kept } = made
        const { budget: _budget, ...read } = await operator.must('GET', `/v1/admin/keys/${made.id}`)
        expect(read).toEqual(kept)
        const clear = { [param]: null, name: 'three' }
        if (param !== 'scopes')
          expect((await operator.must('PATCH', `/v1/admin/keys/${made.id}`, clear)).name).toBe('three')
      }
      await expect(sql('update api_key set running_max = 1 where account_id is null')).rejects.toMatchObject({
        code: '23514',
      })
      await expect(sql('update api_key set queued_max = 1 where account_id is null')).rejects.toMatchObject({
        code: '23514',
      })
    },
  )

  test.each([
    [{ name: ' ' }, 'name'],
    [{ scopes: [] }, 'scopes'],
    [{ scopes: ['admin'] }, 'scopes'],
    [{ scopes: ['videos:read', 'worker'] }, 'scopes.1'],
    [{ models: [] }, 'models'],
    [{ models: ['sora-2'] }, 'models.0'],
    [{ token_budget: -1 }, 'token_budget'],
    [{ budget_interval: 'week' }, 'budget_interval'],
    [{ requests_per_minute: 0 }, 'requests_per_minute'],
    [{ queued_max: '5' }, 'queued_max'],
    [{ running_max: -1 }, 'running_max'],
    [{ expires_at: 1_700_000_000 }, 'expires_at'],
    [{ expires_at: 1_700_000_000, models: ['sora-2'] }, 'expires_at'],
    [{ account_id: 'acct_01m84f0j8df20bh2fw7sqrp04k' }, 'account_id'],
    [{ revoked_at: null }, 'revoked_at'],
  ])('is not changed by %j: a 400 that names the field', async (fields, param) => {
    const { id, key: _secret, ...made } = await operator.key(await operator.account())
    const refused = await operator.call('PATCH', `/v1/admin/keys/${id}`, {
      ...fields,
      requests_per_minute: 5,
      ...fields,
    })
    expect([refused.status, refused.body.error.param]).toEqual([400, param])
    expect(await operator.must('GET', `/v1/admin/keys/${id}`)).toMatchObject(made)
  })

  test('shows its secret once', async () => {
    const accountId = await operator.account()
    const { id, key } = await operator.key(accountId)
    expect(key).toMatch(/^sk-sluice-[\w-]{43}$/)
    for (const path of [
      `/v1/admin/keys/${id}`,
      '/v1/admin/keys',
      `/v1/admin/accounts/${accountId}/keys`,
      '/v1/admin/audit',
    ]) {
      const answer = JSON.stringify(await operator.must('GET', path))
      expect(answer).toContain(id)
      expect(answer).not.toContain(key.slice(20))
    }
  })

  test('of the operator cannot revoke itself; a worker token made over the API is let in until it is revoked', async () => {
    const admin = await operator.must('POST', '/v1/admin/keys', { name: 'second operator', scope: 'admin' })
    const itself = await api.call('DELETE', `/v1/admin/keys/${admin.id}`, undefined, { key: admin.key })
    expect(itself.status).toBe(409)
    expect(itself.headers.get('x-should-retry')).toBe('false')
    await operator.must('DELETE', `/v1/admin/keys/${admin.id}`)
    expect((await api.call('GET', '/v1/admin/keys', undefined, { key: admin.key })).status).toBe(401)

    const token = await operator.must('POST', '/v1/admin/keys', { name: 'gpu host', scope: 'worker' })
    const beat = () => callJson(api.url, token.key, 'POST', '/internal/heartbeat', {})
    expect((await beat()).status).toBe(400)
    await operator.must('DELETE', `/v1/admin/keys/${token.id}`)
    expect((await beat()).status).toBe(401)
  })

  test('reads what it may do and what it spent, exactly and in the shape OpenRouter users know', async () => {
    await using fresh = await startTestApi()
    const their = operatorOf(fresh)
    const sql = (text: string, values: unknown[]) => fresh.api.context.db.query({ text, values })
    const accountId = await their.account({ trial: '1' })
    const { id, key } = await their.key(accountId, {
      name: 'web shop',
      token_budget: TOKENS * 10,
      budget_interval: 'day',
      requests_per_minute: 60,
    })
    const own = async () => (await fresh.call('GET', '/v1/key', undefined, { key })).body
    await fresh.call('POST', '/v1/videos', SMALL, { key })
    const zero = { amount: '0', currency: 'USD' }
    const before = await own()
    expect(before).toMatchObject({
      id,
      account_id: accountId,
      spent: { total: zero, day: zero, week: zero, month: zero },
    })
    const nextDay = Math.floor(Date.now() / 86_400_000 + 1) * 86_400
    expect(before.budget).toEqual({
      tokens: TOKENS * 10,
      interval: 'day',
      used_tokens: TOKENS,
      remaining_tokens: TOKENS * 9,
      resets_at: nextDay,
    })
    expect(before.data).toEqual({
      label: 'web shop',
      limit: TOKENS * 10,
      limit_remaining: TOKENS * 9,
      limit_reset: 'daily',
      usage: 0,
      usage_daily: 0,
      usage_weekly: 0,
      usage_monthly: 0,
      is_free_tier: true,
      rate_limit: { requests: 60, interval: '1m' },
    })
    // Charged today, then longer ago than this month and this week.
    await sql(
      `update video set status = 'cancelled', error_code = 'x', ended_at = now(), charged_steps = 10, charged_micros = hold_micros where key_id = $1`,
      [id],
    )
    const cost = { amount: '0.001008', currency: 'USD' }
    const after = await own()
    expect(after.spent).toEqual({ total: cost, day: cost, week: cost, month: cost })
    expect(after.data).toMatchObject({
      usage: 0.001008,
      usage_daily: 0.001008,
      usage_weekly: 0.001008,
      usage_monthly: 0.001008,
    })
    await sql(
      `update video set ended_at = date_trunc('month', now(), 'UTC') - interval '8 days' where key_id = $1`,
      [id],
    )
    expect((await own()).spent).toEqual({ total: cost, day: zero, week: zero, month: zero })
  })
})

describe('an account', () => {
  test('has at most so many videos queued and running together, whatever arrives at once', async () => {
    await using fresh = await startTestApi()
    const their = operatorOf(fresh)
    const { key } = await their.key(await their.account({ paid: '1' }, { unfinished_max: 4 }))
    const submit = () => fresh.call('POST', '/v1/videos', SMALL, { key })
    const first = (await submit()).body.id
    await using worker = new HandWorker(fresh)
    await worker.heartbeat()
    await worker.fetch()
    const answers = await Promise.all(Array.from({ length: 100 }, submit))
    expect(statuses(answers)).toEqual({ 200: 3, 429: 97 })
    expect(answers.find(({ status }) => status === 429)?.body.error).toMatchObject({
      code: 'queue_full',
      message: 'This account has 4 videos queued or running; at most 4 are allowed. Wait for some to finish.',
    })
    await fresh.call('POST', `/v1/videos/${first}/cancel`, undefined, { key })
    expect((await submit()).status).toBe(200)
    expect(await their.ledgerIsOk()).toMatchObject({ ok: true })
  })

  test('has at most so many videos queued as the operator says now', async () => {
    const accountId = await operator.account({ paid: '1' }, { queued_max: 0 })
    const { key } = await operator.key(accountId)
    expect((await create(key)).body.error.code).toBe('queue_full')
    await operator.must('PATCH', `/v1/admin/accounts/${accountId}`, { queued_max: 2 })
    expect(statuses(await Promise.all([1, 2, 3].map(() => create(key))))).toEqual({ 200: 2, 429: 1 })
  })
})
