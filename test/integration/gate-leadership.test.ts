import type { AttemptJob } from '@sluice/shared/attempt-contract'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openDatabase } from '../../apps/api/src/db/database.ts'
import { startGate } from '../../apps/api/src/gate/leader.ts'
import { isGateLed, winLeadership } from '../../apps/api/src/gate/leadership.ts'
import { eventually } from '../support/eventually.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'
import { createTestDatabase, type TestDatabase } from '../support/test-database.ts'

/** The keys of advisory locks that once stood for something: the gate's leader, and a first start. */
const FORMER_LOCKS = [0x67617465, 0x66697273]

let database: TestDatabase
let gpuHost: pg.Client
let api: TestApi

beforeAll(async () => {
  database = await createTestDatabase()
  gpuHost = new pg.Client({ connectionString: database.queueUrl })
  await gpuHost.connect()
  // Before any gate could: every lock that stood for something is taken for good.
  for (const key of FORMER_LOCKS) await gpuHost.query('select pg_advisory_lock($1)', [key])
  api = await startTestApi({}, { database })
})
afterAll(async () => {
  await gpuHost.end()
  await api.stop()
})

const asOwner = async (...statements: string[]) => {
  const client = new pg.Client({ connectionString: database.databaseUrl })
  await client.connect()
  try {
    for (const statement of statements) await client.query(statement)
  } finally {
    await client.end()
  }
}
const leads = async () => (await api.context.metrics.gateLeader.get()).values[0]?.value === 1
const untilLeads = (whether: boolean) => eventually(leads, (now) => now === whether)
const missingParts = async () => {
  const { body } = await api.call('GET', '/ready', undefined, { key: api.adminKey })
  return body.missing.map(({ part }: { part: string }) => part)
}
const gateLed = async () => {
  const response = await fetch(`${api.url}/metrics`, { headers: { authorization: `Bearer ${api.adminKey}` } })
  return /^sluice_gate_led (\d)$/m.exec(await response.text())?.[1]
}

test('the role of GPU hosts neither sees the leadership nor keeps anybody from it', async () => {
  for (const sql of [
    'select * from public.gate_leader',
    'update public.gate_leader set term = term',
    'do $$ begin lock table public.gate_leader in share mode; end $$',
  ]) {
    await expect(gpuHost.query(sql), sql).rejects.toMatchObject({ code: '42501' })
  }
  await using worker = new HandWorker(api)
  await worker.heartbeat()
  const { id } = (await api.call('POST', '/v1/videos', { prompt: 'x', num_frames: 5 })).body
  expect((await worker.fetchJob()).video).toBe(id)
  expect(await missingParts()).not.toContain('gate')
})

test('the role of GPU hosts has a bound on its connections, its statements and its waits', async () => {
  const { rows } = await gpuHost.query(
    `select rolconnlimit > 0 as is_bounded from pg_roles where rolname = 'sluice_worker'`,
  )
  expect(rows).toEqual([{ is_bounded: true }])
  const later = new pg.Client({ connectionString: database.queueUrl })
  await later.connect()
  try {
    expect((await later.query('show statement_timeout')).rows).toEqual([{ statement_timeout: '10s' }])
    expect((await later.query('show lock_timeout')).rows).toEqual([{ lock_timeout: '5s' }])
  } finally {
    await later.end()
  }
})

test('while nobody leads the gate, /ready and /metrics say so; and a leader comes back by itself', async () => {
  await untilLeads(true)
  expect(await gateLed()).toBe('1')
  await asOwner('revoke update on gate_leader from sluice_app')
  try {
    await untilLeads(false)
    await eventually(missingParts, (parts) => parts.includes('gate'))
    await eventually(gateLed, (led) => led === '0')
  } finally {
    await asOwner('grant update on gate_leader to sluice_app')
  }
  await untilLeads(true)
  await eventually(missingParts, (parts) => !parts.includes('gate'))
})

test('a leader that another has followed resigns, and knows as a follower that somebody leads', async () => {
  await untilLeads(true)
  const other = new pg.Client({ connectionString: database.databaseUrl })
  await other.connect()
  try {
    await other.query(`update gate_leader set holder = 'another process', term = term + 1,
      pid = pg_backend_pid(), renewed_at = clock_timestamp() + interval '1 minute'`)
    await untilLeads(false)
    expect(await isGateLed(api.context.db)).toBe(true)
  } finally {
    await other.end()
  }
  // With the session of its leader the leadership is free, whatever its lease.
  await untilLeads(true)
})

test('a leader that another follows in the middle of a pass dispatches nothing more', async () => {
  await using crowd = await startTestApi()
  for (let video = 0; video < 3; video += 1)
    expect((await crowd.call('POST', '/v1/videos', { prompt: 'x', num_frames: 5 })).status).toBe(200)
  const { config } = crowd
  await crowd.api.stop()
  const db = openDatabase({ url: config.database.url, connectionsMax: 2, onError: () => {} })
  await db.query({
    text: `
      insert into worker (
        id, key_id, boot, pool, slots, device, devices_per_slot, vram_bytes, models, frames_max, pixels_max,
        draining, modes, sequence_devices, heartbeat_at)
      select 'w', id, 'b', 'p', 3, 'cpu', 1, 0, array['animatic'], 999, 1000000, false, array['t2v'], 1, now()
      from api_key where 'worker' = any (scopes) limit 1`,
  })
  const added: AttemptJob[] = []
  const producer = {
    add: async () => {},
    addAll: async (jobs: readonly AttemptJob[]) => {
      added.push(...jobs)
      await db.query({
        text: `update gate_leader set holder = 'another process', term = term + 1, pid = pg_backend_pid(),
          renewed_at = clock_timestamp() + interval '1 minute'`,
      })
    },
    ping: async () => {},
    close: async () => {},
  }
  const errors: Error[] = []
  const { catalogue, accountSharePercent } = config
  const gate = startGate(
    db,
    producer,
    {
      catalogue,
      accountSharePercent,
      flexRunMsMin: 30_000,
      leaseMs: 600_000,
      switchMs: 0,
      switchWaitMsMax: 0,
      flexMultiplierBps: 5_000,
      renewEveryMs: 0,
      groupMax: 1,
    },
    { onError: (error) => errors.push(error), onLead: () => {} },
  )
  try {
    await eventually(
      async () => errors.map(({ message }) => message),
      (all) => all.length > 0,
    )
    expect(errors[0]?.message).toBe('another process leads the gate')
    expect(added).toHaveLength(1)
  } finally {
    await gate.stop()
    await db.end()
  }
})

test('while one leads, nobody else wins the leadership', async () => {
  await using api = await startTestApi()
  const { db } = api.context.internal
  await eventually(() => isGateLed(db), Boolean)
  expect(await winLeadership(db, 'another gate')).toBeNull()
})
