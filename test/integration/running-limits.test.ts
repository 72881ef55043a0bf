import fc from 'fast-check'
import { expect, test } from 'vitest'
import { eventually } from '../support/eventually.ts'
import { gatePassed } from '../support/gate-passed.ts'
import { type HandAttempt, HandWorker } from '../support/hand-worker.ts'
import { operatorOf } from '../support/operator.ts'
import { callJson, startTestApi, type TestApi } from '../support/start-api.ts'

/** Only the limits under test, no share of the pool. */
const start = () => startTestApi({ accountSharePercent: 100 })
const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }

interface Key {
  id: string
  key: string
}

/** A rich account with these limits, and its keys with theirs. */
async function tenant(
  api: TestApi,
  limits: Record<string, unknown>,
  keys: Record<string, unknown>[],
): Promise<[string, ...Key[]]> {
  const operator = operatorOf(api)
  const accountId = await operator.account({ paid: '100' }, limits)
  const made: Key[] = []
  for (const settings of keys) made.push(await operator.key(accountId, settings))
  return [accountId, ...made]
}

function at<Item>(items: readonly Item[], index: number): Item {
  const item = items[index]
  if (item === undefined) throw new Error(`there is no item ${index}`)
  return item
}

async function submit(api: TestApi, { key }: Key, fields: Record<string, unknown> = {}): Promise<string> {
  const answer = await api.call('POST', '/v1/videos', { ...SMALL, ...fields }, { key })
  expect(answer).toMatchObject({ status: 200 })
  return answer.body.id
}
const statusOf = async (api: TestApi, id: string): Promise<string> =>
  (await operatorOf(api).must('GET', `/v1/admin/videos/${id}`)).status
const finish = async (attempt: HandAttempt) =>
  attempt.report({ type: 'finished', result: await attempt.upload() })
const busy = (attempt: HandAttempt, step = 1, remaining_ms = 60_000) =>
  attempt.report({ type: 'progress', phase: 'denoise', step, remaining_ms })

/**
 * The most attempts of each account and key that were on their way to a device, or had it, at the same
 * moment.
 */
async function mostAtOnce(api: TestApi): Promise<Map<string, number>> {
  const { rows } = await api.context.db.query<{ id: string; most: bigint }>({
    text: `with span as (
        select a.dispatched_at as began, coalesce(a.released_at, a.ended_at, 'infinity') as ended, owner.id
        from attempt a
        join video v on v.id = a.video_id
        cross join lateral unnest(array[v.account_id, v.key_id]) owner(id))
      select s.id, max((
        select count(*) from span o where o.id = s.id and o.began <= s.began and o.ended > s.began)) as most
      from span s
      group by s.id`,
  })
  return new Map(rows.map((row) => [row.id, Number(row.most)]))
}

test('no more videos of an account and of a key run at once than they may, over all pools and whatever comes at once; all get their turn', async () => {
  await using api = await start()
  const replica = await api.replica()
  const [accountId, limited, free] = (await tenant(api, { running_max: 5 }, [{ running_max: 2 }, {}])) as [
    string,
    Key,
    Key,
  ]
  await using first = new HandWorker(api, { pool: 'first', slots: 3 })
  await using second = new HandWorker(api, { pool: 'second', slots: 4 })
  await first.heartbeat()
  await second.heartbeat()
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, index) =>
      callJson(
        index % 2 === 0 ? api.url : replica.url,
        (index % 4 < 2 ? limited : free).key,
        'POST',
        '/v1/videos',
        SMALL,
      ),
    ),
  )
  expect(answers.filter(({ status }) => status !== 200)).toEqual([])
  await gatePassed(api)
  const own = (await api.call('GET', '/v1/key', undefined, { key: limited.key })).body
  expect(own).toMatchObject({
    running: 2,
    running_max: 2,
    queued: 18,
    account: { running: 5, running_max: 5, queued: 35, in_progress: 5 },
  })

  let finished = 0
  const work = async (worker: HandWorker) => {
    for (;;) {
      const attempt = await worker.fetch().catch(() => null)
      if (attempt === null) return
      await finish(attempt)
      finished += 1
    }
  }
  const working = Promise.all([work(first), work(second)])
  await eventually(
    async () => finished,
    (count) => count === 40,
  )
  await first.close()
  await second.close()
  await working
  const most = await mostAtOnce(api)
  expect([most.get(accountId), most.get(limited.id)]).toEqual([5, 2])
  expect(await operatorOf(api).ledgerIsOk()).toMatchObject({ ok: true })
})

test('a key at its limit holds up no other key: neither of its account nor of another', async () => {
  await using api = await start()
  const [, limited, free] = (await tenant(api, {}, [{ running_max: 1 }, {}])) as [string, Key, Key]
  const [, other] = (await tenant(api, {}, [{}])) as [string, Key]
  for (let index = 0; index < 5; index += 1) await submit(api, limited)
  const behind = [await submit(api, free), await submit(api, other)]
  await using worker = new HandWorker(api, { slots: 4 })
  await worker.heartbeat()
  const running = [await worker.fetchJob(), await worker.fetchJob(), await worker.fetchJob()].map(
    (job) => job.video,
  )
  expect(running).toEqual(expect.arrayContaining(behind))
  await gatePassed(api)
  expect((await api.call('GET', '/v1/key', undefined, { key: limited.key })).body).toMatchObject({
    running: 1,
    queued: 4,
  })
})

test('a video counts until its device is given back: not nearly so, and not while it is encoded', async () => {
  await using api = await start()
  const [, key] = (await tenant(api, { running_max: 1 }, [{}])) as [string, Key]
  const first = await submit(api, key)
  const second = await submit(api, key)
  await using worker = new HandWorker(api, { slots: 2 })
  await worker.heartbeat()
  const attempt = await worker.fetch()
  expect(attempt.job.video).toBe(first)
  await busy(attempt, 9, 500)
  await gatePassed(api)
  expect(await statusOf(api, second)).toBe('queued')
  await attempt.report({ type: 'released' })
  expect((await worker.fetchJob()).video).toBe(second)
  const account = (await api.call('GET', '/v1/key', undefined, { key: key.key })).body.account
  expect(account).toMatchObject({ running: 1, in_progress: 2, queued: 0 })
})

test('a changed limit counts from the gate’s next look on, and takes nothing off a device', async () => {
  await using api = await start()
  const operator = operatorOf(api)
  const [accountId, key] = (await tenant(api, { running_max: 0 }, [{}])) as [string, Key]
  for (let index = 0; index < 6; index += 1) await submit(api, key)
  await using worker = new HandWorker(api, { slots: 8 })
  await worker.heartbeat()
  await gatePassed(api)
  const running = async () => (await operator.must('GET', `/v1/admin/accounts/${accountId}`)).running
  expect(await running()).toBe(0)
  await operator.must('PATCH', `/v1/admin/accounts/${accountId}`, { running_max: 3 })
  const attempts = [await worker.fetch(), await worker.fetch(), await worker.fetch()]
  await operator.must('PATCH', `/v1/admin/keys/${key.id}`, { running_max: 1 })
  await gatePassed(api)
  expect(await running()).toBe(3)
  for (const attempt of attempts.slice(0, 2)) await finish(attempt)
  await gatePassed(api)
  expect(await running()).toBe(1)
  await operator.must('PATCH', `/v1/admin/keys/${key.id}`, { running_max: null })
  await operator.must('PATCH', `/v1/admin/accounts/${accountId}`, { running_max: null })
  for (let index = 0; index < 3; index += 1) await worker.fetchJob()
  expect(await running()).toBe(4)
})

test('a video that was handed back or cancelled gives its place to the next', async () => {
  await using api = await start()
  const [, key] = (await tenant(api, {}, [{ running_max: 1 }])) as [string, Key]
  const ids = [await submit(api, key), await submit(api, key)]
  await using worker = new HandWorker(api, { slots: 3 })
  await worker.heartbeat()
  await (await worker.fetch()).report({ type: 'yielded', step: 0 })
  const { video } = await worker.fetchJob()
  await api.call('POST', `/v1/videos/${video}/cancel`, undefined, { key: key.key })
  expect([video, (await worker.fetchJob()).video].sort()).toEqual(ids.sort())
})

test('no flex video makes room for a key at its limit, unless it is the key’s own', async () => {
  await using api = await start()
  const [, key] = (await tenant(api, {}, [{ running_max: 1 }])) as [string, Key]
  const [, other] = (await tenant(api, {}, [{}])) as [string, Key]
  await using worker = new HandWorker(api, { slots: 2 })
  await worker.heartbeat()
  await submit(api, other, { service_tier: 'flex' })
  const flex = await worker.fetch()
  await busy(flex)
  await submit(api, key, { service_tier: 'flex' })
  const own = await worker.fetch()
  await busy(own)
  const urgent = await submit(api, key, { service_tier: 'priority' })
  await eventually(
    () => busy(own, 2),
    ({ verdict }) => verdict === 'yield',
  )
  expect(await busy(flex, 2)).toEqual({ verdict: 'continue' })
  await own.report({ type: 'yielded', step: 2 })
  const now = await worker.fetch()
  expect(now.job.video).toBe(urgent)
  await busy(now)
  // The key runs one video that is not flex: for its next one nobody makes room.
  await submit(api, key, { service_tier: 'priority' })
  await gatePassed(api)
  expect(await busy(flex, 3)).toEqual({ verdict: 'continue' })
})

test('position and time to wait know the limits, for a quote too', async () => {
  await using api = await start()
  const [, limited, free] = (await tenant(api, {}, [{ running_max: 1 }, {}])) as [string, Key, Key]
  await using worker = new HandWorker(api, { slots: 4 })
  await worker.heartbeat()
  await submit(api, limited)
  await busy(await worker.fetch(), 1, 100_000)
  const waiting = await submit(api, limited)
  const queued = await eventually(
    async () => (await api.call('GET', `/v1/videos/${waiting}`, undefined, { key: limited.key })).body,
    // A forecast that was made before the other one said how long it takes knows nothing of that.
    (video) => video.queue_position === 1 && video.eta_seconds.p50 > 90,
  )
  expect(queued).toMatchObject({ status: 'queued' })
  const etaOf = async ({ key }: Key) =>
    (await api.call('POST', '/v1/videos/quote', SMALL, { key })).body.eta_seconds.p50
  expect(await etaOf(limited)).toBeGreaterThan(90)
  expect(await etaOf(free)).toBeLessThan(10)
})

const ACCOUNTS = 2
const KEYS_EACH = 2
const limit = fc.option(fc.integer({ min: 0, max: 2 }), { freq: 3 })
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      does: fc.constant('submits' as const),
      key: fc.nat(3),
      frames: fc.constantFrom(5, 9),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      does: fc.constantFrom('releases' as const, 'fails' as const, 'yields' as const),
      which: fc.nat(9),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ does: fc.constant('is limited' as const), key: fc.nat(3), to: limit }),
  },
)
interface Row extends Record<string, unknown> {
  id: string
  account_id: string
  key_id: string
  fence: number
  pool: string
  status: string
  runs: boolean
  account_max: number | null
  key_max: number | null
}

test('through any run of submissions, ends and changed limits the gate dispatches what may go, and nothing else', async () => {
  await using api = await start()
  const operator = operatorOf(api)
  let run = 0
  /**
   * Every video that has not ended, with what limits it: the whole backlog, which the gate itself never
   * reads.
   */
  const readAll = async (): Promise<Row[]> => {
    const { rows } = await api.context.db.query<Row>({
      text: `select v.id, v.account_id, v.key_id, v.fence, v.pool, v.status,
          v.status <> 'queued' and t.released_at is null as runs,
          a.running_max as account_max, k.running_max as key_max
        from video v
        join account a on a.id = v.account_id
        join api_key k on k.id = v.key_id
        left join attempt t on t.video_id = v.id and t.fence = v.fence
        where v.ended_at is null`,
    })
    return rows
  }
  const running = (rows: readonly Row[], by: 'account_id' | 'key_id', id: string) =>
    rows.filter((row) => row.runs && row[by] === id).length
  const hasRoom = (rows: readonly Row[], row: Row, more: 0 | 1) =>
    running(rows, 'account_id', row.account_id) + more <= (row.account_max ?? 99) &&
    running(rows, 'key_id', row.key_id) + more <= (row.key_max ?? 99)

  await fc.assert(
    fc.asyncProperty(
      fc.array(limit, { minLength: ACCOUNTS, maxLength: ACCOUNTS }),
      fc.array(limit, { minLength: 4, maxLength: 4 }),
      fc.array(step, { minLength: 5, maxLength: 25 }),
      async (accountMax, keyMax, steps) => {
        const slots = 3
        await using worker = new HandWorker(api, { pool: `run${run++}`, slots })
        const keys: Key[] = []
        for (let account = 0; account < ACCOUNTS; account += 1) {
          const settings = Array.from({ length: KEYS_EACH }, (_, key) => {
            const running_max = keyMax[account * KEYS_EACH + key] ?? null
            return running_max === null ? {} : { running_max }
          })
          const [, ...made] = await tenant(api, { running_max: accountMax[account] ?? null }, settings)
          keys.push(...made)
        }
        await worker.heartbeat()
        for (const step of steps) {
          const before = await readAll()
          const onDevice = before.filter((row) => row.runs)
          if (step.does === 'submits') await submit(api, at(keys, step.key), { num_frames: step.frames })
          else if (step.does === 'is limited')
            await operator.must('PATCH', `/v1/admin/keys/${at(keys, step.key).id}`, { running_max: step.to })
          else if (onDevice.length > 0) {
            const row = at(onDevice, step.which % onDevice.length)
            const attempt = worker.own({ video: row.id, fence: row.fence, pool: row.pool })
            if (step.does === 'releases') await attempt.report({ type: 'released' })
            else if (step.does === 'yields') await attempt.report({ type: 'yielded', step: 0 })
            else
              await attempt.report({
                type: 'failed',
                code: 'bad_input',
                message: 'no',
                retryable: false,
                step: 0,
              })
          }
          const after = await eventually(readAll, (rows) => {
            const isFull = rows.filter((row) => row.runs).length >= slots
            return isFull || rows.every((row) => row.status !== 'queued' || !hasRoom(rows, row, 1))
          })
          const known = new Set(onDevice.map((row) => `${row.id} ${row.fence}`))
          for (const row of after.filter(({ id, fence, runs }) => runs && !known.has(`${id} ${fence}`))) {
            expect(hasRoom(after, row, 0), `${row.id} had room`).toBe(true)
          }
        }
        await api.context.db.query({
          // Longer ago than what is being uploaded gets.
          text: `update video set execution_expires_at = now() - interval '1 minute' where ended_at is null`,
        })
        await eventually(readAll, (rows) => rows.length === 0)
        await worker.heartbeat([], { draining: true })
      },
    ),
    { numRuns: 15 },
  )
  expect(await operator.ledgerIsOk()).toMatchObject({ ok: true })
}, 120_000)
