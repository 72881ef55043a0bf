import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { newId } from '@sluice/shared/ids'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { startReconciler } from '../../apps/api/src/attempts/reconcile.ts'
import { recoverDue } from '../../apps/api/src/attempts/recovery.ts'
import { startGate } from '../../apps/api/src/gate/leader.ts'
import { dispatchVideos } from '../../apps/api/src/videos/transition.ts'
import { eventually } from '../support/eventually.ts'
import { freePort } from '../support/free-port.ts'
import { gatePassed } from '../support/gate-passed.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { recoverSilent } from '../support/recover-silent.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'
import { storeWith } from '../support/store-with.ts'

const API_MAIN = fileURLToPath(new URL('../../apps/api/src/main.ts', import.meta.url))

let api: TestApi
let poolNumber = 0
const submitted: { id: string; key: string }[] = []

beforeAll(async () => {
  api = await startTestApi()
})
afterAll(() => api.stop())
// Whatever a failing test left behind must not reach the next one's worker.
afterEach(async () => {
  for (const { id, key } of submitted.splice(0)) await cancel(id, key)
})

async function withWorker(slots: number, work: (worker: HandWorker) => Promise<void>): Promise<void> {
  const worker = new HandWorker(api, { pool: `goes${poolNumber++}`, slots })
  try {
    await worker.heartbeat()
    await work(worker)
  } finally {
    await worker.heartbeat([], { draining: true })
    await worker.close()
  }
}
const submit = async (key: string, fields: Record<string, unknown> = {}): Promise<string> => {
  const answer = await api.call(
    'POST',
    '/v1/videos',
    { prompt: 'x', num_frames: 5, num_steps: 10, ...fields },
    { key },
  )
  expect(answer).toMatchObject({ status: 200 })
  submitted.push({ id: answer.body.id, key })
  return answer.body.id
}
const cancel = (id: string, key: string) => api.call('POST', `/v1/videos/${id}/cancel`, undefined, { key })
const admin = async (id: string) =>
  (await api.call('GET', `/v1/admin/videos/${id}`, undefined, { key: api.adminKey })).body
const rich = () => api.account(1_000_000_000n)
/** Silent for longer than the leases used here, and not for as long as the API's own reconciler waits. */
const age = (id: string) =>
  api.context.db.query({
    text: `update attempt set heartbeat_at = now() - interval '5 minutes' where video_id = $1`,
    values: [id],
  })

const POOL_GONE = { fences: [], gone: new Set(), isPoolGone: true }
const chosen = (videoId: string, accountId: string) => ({
  videoId,
  accountId,
  tier: 'standard',
  clockMs: 0,
  finishTagMs: 0,
  passedOver: [],
})

test('a worker that begins to stop while the gate chooses gets nothing more, and nobody waits for it', async () => {
  const { key, accountId } = await rich()
  const { db } = api.context
  await withWorker(1, async (worker) => {
    await worker.heartbeat([], { draining: true })
    const id = await submit(key)
    const pool = `goes${poolNumber - 1}`
    const { leaseMs } = api.config.timings
    const dispatch = (videoId: string) =>
      dispatchVideos(db, {
        pool,
        queue: pool,
        leaseMs,
        flexMultiplierBps: 5_000,
        videos: [chosen(videoId, accountId)],
      })
    expect(await dispatch(id)).toEqual(POOL_GONE)
    expect(await admin(id)).toMatchObject({ internal_status: 'queued', fence: 0, attempts: [] })
    expect(await dispatch(newId('video'))).toEqual(POOL_GONE)
  })
})

test('a worker that was silent for longer than the lease gets nothing, and does again with its next heartbeat', async () => {
  const { key, accountId } = await rich()
  const { db } = api.context
  await withWorker(1, async (worker) => {
    const { leaseMs } = api.config.timings
    await db.query({
      text: `update worker set heartbeat_at = now() - ($2::int + 1000) * interval '1 millisecond' where id = $1`,
      values: [worker.id, leaseMs],
    })
    const id = await submit(key)
    await gatePassed(api)
    expect(await admin(id)).toMatchObject({ internal_status: 'queued', fence: 0 })
    const pool = `goes${poolNumber - 1}`
    const dispatch = { pool, queue: pool, leaseMs, flexMultiplierBps: 5_000, videos: [chosen(id, accountId)] }
    expect(await dispatchVideos(db, dispatch)).toEqual(POOL_GONE)
    await worker.heartbeat()
    expect(await worker.fetchJob()).toMatchObject({ video: id, fence: 1 })
  })
})

test('a video that the gate is not told of is found by it all the same', async () => {
  const { key } = await rich()
  const { db } = api.context
  await withWorker(1, async (worker) => {
    const id = await submit(key)
    await worker.fetch()
    // As if the wake-ups of a report and of a comeback had both been lost.
    await db.query({
      text: `
        with ended as (
          update attempt set ended_at = now(), outcome = 'lost' where video_id = $1 and ended_at is null)
        update video set status = 'queued', pool = null, fence = fence + 1 where id = $1`,
      values: [id],
    })
    expect((await worker.fetch()).job).toMatchObject({ video: id, fence: 3 })
  })
})

test('a group ends before the first of its videos that is no longer queued: those behind it were chosen as if it went', async () => {
  const { key, accountId } = await rich()
  const { db } = api.context
  const worker = new HandWorker(api, { pool: `goes${poolNumber++}` })
  // Nothing is dispatched but by this test: the worker serves another model.
  await worker.heartbeat([], { models: ['open-sora-2'] })
  const pool = `goes${poolNumber - 1}`
  const { queue } = (
    await db.query<{ queue: string }>({ text: 'select queue from worker where pool = $1', values: [pool] })
  ).rows[0] ?? { queue: pool }
  try {
    const ids = [await submit(key), await submit(key), await submit(key), await submit(key)]
    await cancel(ids[1] ?? '', key)
    await cancel(ids[3] ?? '', key)
    const outcome = await dispatchVideos(db, {
      pool,
      queue,
      leaseMs: api.config.timings.leaseMs,
      flexMultiplierBps: 5_000,
      videos: ids.map((id, index) => ({
        ...chosen(id, accountId),
        finishTagMs: index + 1,
        passedOver: index === 0 ? [ids[2] ?? ''] : [],
      })),
    })
    expect(outcome).toEqual({ fences: [1], gone: new Set([ids[1], ids[3]]), isPoolGone: false })
    expect(await admin(ids[0] ?? '')).toMatchObject({ internal_status: 'dispatched', fence: 1 })
    expect(await admin(ids[2] ?? '')).toMatchObject({ internal_status: 'queued', fence: 0, attempts: [] })
    const { rows } = await db.query({
      text: `select finish_ms, (select passed_over_at is not null from video where id = $2) as is_passed_over
        from gate_tag where account_id = $1`,
      values: [accountId, ids[2]],
    })
    expect(rows).toEqual([{ finish_ms: 1, is_passed_over: true }])
  } finally {
    await worker.heartbeat([], { draining: true })
    await worker.close()
  }
})

test('what the last worker of a pool had not taken when it began to stop goes to another pool at once, and counts as nobody’s failure', async () => {
  const { key } = await rich()
  const [untaken, taken] = [await submit(key), await submit(key)]
  await withWorker(2, async (stopping) => {
    const jobs = [await stopping.fetch(), await stopping.fetch()]
    const inHand = jobs.find((attempt) => attempt.job.video === taken)
    await inHand?.report({ type: 'taken', slot: 0 })
    const pool = `goes${poolNumber - 1}`
    const other = new HandWorker(api, { pool })
    await other.heartbeat([], { slots: 1 })
    await other.heartbeat([], { draining: true })
    // One worker of the pool goes on, so its jobs will be taken.
    expect((await admin(untaken)).internal_status).toBe('dispatched')
    await stopping.heartbeat([], { draining: true })
    // With the answer to that: no other pool is there that the gate could move it to.
    expect((await admin(untaken)).internal_status).toBe('queued')
    await withWorker(1, async (worker) => {
      const next = await worker.fetch()
      expect(next.job).toMatchObject({ video: untaken, fence: 3 })
      expect(await next.report({ type: 'taken', slot: 0 })).toMatchObject({ verdict: 'continue' })
    })
    expect(await admin(untaken)).toMatchObject({ failures_in_a_row: 0 })
    // What was taken is its worker's to finish or to hand back.
    expect(await inHand?.report({ type: 'started' })).toEqual({ verdict: 'continue' })
    expect(await jobs.find((attempt) => attempt !== inHand)?.report({ type: 'taken', slot: 1 })).toEqual({
      verdict: 'stop',
    })
    await other.close()
  })
})

test('a video whose row is locked is passed over: the others are dispatched', async () => {
  const { key } = await rich()
  const lockedId = await submit(key)
  const locker = new pg.Client({ connectionString: api.database.databaseUrl })
  await locker.connect()
  await locker.query('begin')
  await locker.query('select from video where id = $1 for update', [lockedId])
  try {
    const next = await submit(key)
    await withWorker(1, async (worker) => {
      const attempt = await worker.fetch()
      expect(attempt.job.video).toBe(next)
      await cancel(next, key)
      await locker.query('rollback')
      expect((await worker.fetch()).job.video).toBe(lockedId)
      await cancel(lockedId, key)
    })
  } finally {
    await locker.end()
  }
})

test('a video that the database refuses to dispatch keeps no other from going', async () => {
  const { key } = await rich()
  const refused = await submit(key)
  const admin = new pg.Client(api.database.adminUrl)
  await admin.connect()
  try {
    await admin.query(`
      create function refuse() returns trigger language plpgsql as $$
        begin raise exception 'refused' using errcode = '23514'; end $$;
      create trigger refuse before insert on attempt for each row
        when (new.video_id = '${refused}') execute function refuse()`)
    const next = await submit(key)
    await withWorker(1, async (worker) => {
      expect((await worker.fetch()).job.video).toBe(next)
      await cancel(next, key)
      await admin.query('drop trigger refuse on attempt')
      expect((await worker.fetch()).job.video).toBe(refused)
      await cancel(refused, key)
    })
  } finally {
    await admin.query('drop function refuse() cascade')
    await admin.end()
  }
})

test('no flex video makes room for an account at its cap: it would only be started again', async () => {
  const [greedy, modest] = [await rich(), await rich()]
  const flex = await submit(modest.key, { service_tier: 'flex' })
  await withWorker(2, async (worker) => {
    const running = await worker.fetch()
    expect(running.job.video).toBe(flex)
    await running.report({ type: 'progress', phase: 'denoise', step: 1, remaining_ms: 60_000 })
    const first = await submit(greedy.key)
    const standard = await worker.fetch()
    expect(standard.job.video).toBe(first)
    await standard.report({ type: 'progress', phase: 'denoise', step: 1, remaining_ms: 60_000 })
    // Two slots, so one each: the greedy account's second video may not have the flex video's slot.
    const second = await submit(greedy.key)
    const { context } = api.api
    await recoverDue(context)
    await gatePassed(api)
    expect(
      await running.report({ type: 'progress', phase: 'denoise', step: 2, remaining_ms: 60_000 }),
    ).toEqual({ verdict: 'continue' })
    // A third account's video may.
    const { key } = await rich()
    const third = await submit(key)
    await eventually(
      () => running.report({ type: 'progress', phase: 'denoise', step: 3, remaining_ms: 60_000 }),
      (answer) => answer.verdict === 'yield',
    )
    for (const [id, owner] of [
      [flex, modest.key],
      [first, greedy.key],
      [second, greedy.key],
      [third, key],
    ] as const) {
      await cancel(id, owner)
    }
    await running.report({ type: 'cancelled', step: 3 })
    await standard.report({ type: 'cancelled', step: 1 })
  })
})

test('a slot that turns out to be nearly free is offered its next video at once', async () => {
  const { key } = await rich()
  const ids = [await submit(key), await submit(key)]
  await withWorker(1, async (worker) => {
    const running = await worker.fetch()
    await running.report({ type: 'started' })
    await gatePassed(api)
    const reportedAtMs = performance.now()
    await running.report({ type: 'progress', phase: 'denoise', step: 1, remaining_ms: 500 })
    expect((await worker.fetch()).job.video).toBe(ids[1])
    expect(performance.now() - reportedAtMs).toBeLessThan(700)
    for (const id of ids) await cancel(id, key)
    await running.report({ type: 'cancelled', step: 1 })
  })
})

test('while the queue is away a video costs one fence, not one a try', async () => {
  const database = await startTestApi()
  try {
    const { context } = database.api
    let tries = 0
    let pings = 0
    const away = {
      add: async () => {},
      addAll: async () => {
        tries += 1
        throw new Error('away')
      },
      ping: async () => {
        pings += 1
        throw new Error('away')
      },
      close: async () => {},
    }
    await untilLeads(database)
    let leads = false
    const gate = startGate(
      context.db,
      away,
      {
        catalogue: context.config.catalogue,
        accountSharePercent: 75,
        flexRunMsMin: 30_000,
        leaseMs: context.config.timings.leaseMs,
        switchMs: 0,
        switchWaitMsMax: 0,
        flexMultiplierBps: 5_000,
      },
      {
        onError: () => {},
        onLead: () => {
          leads = true
        },
      },
    )
    // The API's own gate rests for a second after its loss, and this one asks twice a second; on a busy
    // machine the other may still be faster, and is deposed again.
    while (!leads) {
      await deposeLeader(database)
      await eventually(
        async () => leads,
        (isLeader) => isLeader,
        3_000,
      ).catch(() => undefined)
    }
    const worker = new HandWorker(database, { pool: 'away' })
    await worker.heartbeat()
    const { id } = (await database.call('POST', '/v1/videos', { prompt: 'x', num_frames: 5 })).body
    await eventually(
      async () => pings,
      (count) => count >= 3,
    )
    expect(tries).toBe(1)
    await gate.stop()
    const job = await worker.fetchJob()
    expect(job).toMatchObject({ video: id })
    expect(job.fence).toBeLessThanOrEqual(4)
    await worker.close()
  } finally {
    await database.stop()
  }
})

test('a leader that freezes loses the gate to another process', async () => {
  const other = await startTestApi()
  let frozen: ChildProcess | undefined
  try {
    frozen = spawn(process.execPath, [API_MAIN], {
      env: {
        PATH: process.env.PATH ?? '',
        PORT: String(await freePort()),
        SLUICE_DATABASE_URL: other.database.databaseUrl,
        SLUICE_DATA_DIR: other.dataDir,
        SLUICE_LOG: 'info',
        ...(other.config.queue.backend === 'redis' ? { REDIS_URL: other.config.queue.url } : {}),
      },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    let said = ''
    frozen.stdout?.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    await eventually(
      async () => said,
      (text) => text.includes('listening'),
    )
    await untilLeads(other)
    // The first leader's connection ends; the new process, which asks twice a second, is faster than its
    // second of rest.
    await deposeLeader(other)
    await eventually(
      async () => said,
      (text) => text.includes('leads the gate'),
    )
    frozen.kill('SIGSTOP')
    const worker = new HandWorker(other, { pool: 'frozen' })
    await worker.heartbeat()
    const { id } = (await other.call('POST', '/v1/videos', { prompt: 'x', num_frames: 5 })).body
    expect(await worker.fetchJob()).toMatchObject({ video: id })
    await worker.close()
  } finally {
    if (frozen !== undefined) {
      const exited = once(frozen, 'exit')
      frozen.kill('SIGKILL')
      await exited
    }
    await other.stop()
  }
}, 40_000)

test('a store that refuses to delete keeps no lost video from coming back', async () => {
  const { key } = await rich()
  const id = await submit(key)
  await withWorker(1, async (worker) => {
    const lost = await worker.fetch()
    await lost.report({ type: 'taken', slot: 0 })
    // Something to sweep, for both reconcilers.
    await cancel(await submit(key), key)
    const refusing = storeWith(api.context.store, {
      deletePrefix: async () => {
        throw new Error('access denied')
      },
    })
    const { store } = api.context
    api.context.store = refusing
    api.context.internal.store = refusing
    await api.context.db.query({
      text: `update video set ended_at = now() - interval '1 hour', swept_at = null where ended_at is not null`,
    })
    const context = {
      ...api.context,
      config: { ...api.config, timings: { ...api.config.timings, leaseMs: 200 } },
    }
    const reconciler = startReconciler(context)
    try {
      await age(id)
      expect((await worker.fetch()).job).toMatchObject({ video: id, fence: lost.job.fence + 2 })
    } finally {
      await reconciler.stop()
      api.context.store = store
      api.context.internal.store = store
    }
    await cancel(id, key)
  })
})

test('a video whose result cannot be read keeps no other from being recovered', async () => {
  const { key } = await rich()
  const ids = [await submit(key), await submit(key), await submit(key)]
  await withWorker(3, async (worker) => {
    const attempts = [await worker.fetch(), await worker.fetch(), await worker.fetch()]
    for (const attempt of attempts) await attempt.report({ type: 'taken', slot: 0 })
    const poisoned = attempts[0]?.job.video ?? ''
    const { store } = api.context
    const unreadable = storeWith(api.context.store, {
      readText: async (name: string, bytesMax: number) => {
        if (name.includes(poisoned)) throw new Error('input/output error')
        return store.readText(name, bytesMax)
      },
    })
    for (const id of ids) await age(id)
    await worker.heartbeat([], { slots: 0 })
    await recoverSilent({
      ...api.context,
      store: unreadable,
      config: { ...api.config, timings: { ...api.config.timings, leaseMs: 1_000 } },
    })
    for (const id of ids) {
      expect((await admin(id)).attempts[0]).toMatchObject({ outcome: id === poisoned ? null : 'lost' })
      await cancel(id, key)
    }
  })
})

test('a result that names another attempt’s files is refused, and nothing is charged', async () => {
  const { key } = await rich()
  const id = await submit(key)
  await withWorker(1, async (worker) => {
    const attempt = await worker.fetch()
    const result = await attempt.upload()
    for (const wrong of [{ claim: `../../${id}` }, { video: 'video_other' }, { fence: result.fence + 1 }]) {
      const answer = await attempt.reportRaw({ type: 'finished', result: { ...result, ...wrong } })
      expect(answer.status).toBe(400)
    }
    expect((await admin(id)).transfers.map((transfer: { kind: string }) => transfer.kind)).toEqual(['hold'])
    await attempt.report({ type: 'finished', result })
    expect(await admin(id)).toMatchObject({ status: 'completed' })
  })
})

test('handing back does not wipe out the failures before it: a video that ends every runner fails in the end', async () => {
  const { key } = await rich()
  const id = await submit(key)
  await withWorker(1, async (worker) => {
    for (let failure = 1; failure <= 3; failure += 1) {
      await (await worker.fetch()).report({
        type: 'failed',
        code: 'runner_exited',
        message: 'x',
        retryable: true,
        step: 0,
      })
      if (failure < 3) await (await worker.fetch()).report({ type: 'yielded', step: 0 })
    }
    expect(await admin(id)).toMatchObject({ error: { code: 'attempts_exhausted' } })
  })
})

/** The gate of the API itself opens a connection of its own, so it is not the leader at once. */
async function untilLeads(of: TestApi): Promise<void> {
  await eventually(
    async () => (await of.context.metrics.gateLeader.get()).values[0]?.value,
    (isLeader) => isLeader === 1,
  )
}

/**
 * Ends the leader's connection, as a restart of the database would; its process rests for a second before it
 * asks again.
 */
async function deposeLeader(of: TestApi): Promise<void> {
  const client = new pg.Client({ connectionString: of.database.adminUrl })
  await client.connect()
  await client.query('select pg_terminate_backend(pid) from gate_leader')
  await client.end()
}
