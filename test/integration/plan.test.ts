import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { idAt, newId } from '@sluice/shared/ids'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { hoursLookedAt, sumDemandFor } from '../../apps/api/src/economics/demand-hours.ts'
import { indentedBlocks, readDoc } from '../support/doc-pages.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { type Operator, operatorOf } from '../support/operator.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const SHORT = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }

let api: TestApi
let operator: Operator
let columns: string

beforeAll(async () => {
  api = await startTestApi()
  operator = operatorOf(api)
  const { rows } = await sql(`select string_agg(column_name, ', ') as names from information_schema.columns
    where table_name = 'video' and is_generated = 'NEVER' and column_name not in ('id', 'created_at')`)
  columns = rows[0]?.names ?? ''
})
afterAll(() => api.stop())

const sql = (text: string, values: unknown[] = []) =>
  api.context.db.query<Record<string, string>>({ text, values })
const hourBefore = (hours: number) => Math.floor(Date.now() / HOUR_MS) * HOUR_MS - hours * HOUR_MS

/** Submits a video, and others like it at these times, as if they had been submitted then. */
async function submitAt(timesMs: readonly number[], more: Record<string, unknown> = {}): Promise<string> {
  const { body } = await api.call('POST', '/v1/videos', { ...SHORT, ...more })
  for (const ms of timesMs) {
    const id = `${idAt('video', ms).slice(0, 16)}${newId('video').slice(16)}`
    await sql(
      `insert into video (id, created_at, ${columns}) select $1, $2, ${columns} from video where id = $3`,
      [id, new Date(ms), body.id],
    )
  }
  await api.call('POST', `/v1/videos/${body.id}/cancel`)
  return body.id
}

/** The hours from here on are summed anew, as after a migration. */
const sumAgainFrom = async (ms: number) => {
  await sql('delete from demand_hour')
  await sql('update demand_summed set until = $1', [new Date(ms)])
}
const summed = async () =>
  (
    await sql(`select hour, service_tier as tier, num_steps as steps, sum(videos)::text as videos
      from demand_hour group by 1, 2, 3 order by 1, 2, 3`)
  ).rows.map(({ hour = '', ...row }) => ({ ...row, hour: new Date(hour).getTime() }))

test('an hour of submissions is summed once, to what its rows say, whoever sums and however often', async () => {
  const [first, second] = [hourBefore(5), hourBefore(4)]
  await submitAt([first, first + 1, second - 1, second])
  await submitAt([second, second + HOUR_MS - 1], { service_tier: 'flex', num_steps: 7 })
  await sumAgainFrom(first)
  await Promise.all(Array.from({ length: 5 }, () => sumDemandFor(api.context.db, 10_000)))
  await sumDemandFor(api.context.db, 10_000)
  expect(await summed()).toEqual([
    { hour: first, tier: 'standard', steps: 10, videos: '3' },
    { hour: second, tier: 'flex', steps: 7, videos: '2' },
    { hour: second, tier: 'standard', steps: 10, videos: '1' },
  ])
})

test('hours that are not over for a quarter of an hour are not summed yet', async () => {
  await sumAgainFrom(hourBefore(3))
  await sumDemandFor(api.context.db, 10_000)
  const { rows } = await sql(`select until + interval '1 hour' > now() - interval '15 minutes' as last,
    until <= now() - interval '15 minutes' as over from demand_summed`)
  expect(rows).toEqual([{ last: true, over: true }])
})

test('hours older than anybody asks for are removed', async () => {
  await sumAgainFrom(hourBefore(3))
  await sql(
    `insert into demand_hour values ($1, 'a', 'flex', 'm', 'c', 1, 1, 1, 1, 1, 5),
      ($2, 'a', 'flex', 'm', 'c', 1, 1, 1, 1, 1, 6)`,
    [new Date(hourBefore(28 * 24 + 9)), new Date(hourBefore(27 * 24))],
  )
  await sumDemandFor(api.context.db, 10_000)
  expect((await sql(`select videos::text from demand_hour where account_id = 'a'`)).rows).toEqual([
    { videos: '6' },
  ])
})

test('the plan of a service has each submission of its days once, by hour and by what it asks for', async () => {
  await sql('delete from demand_hour')
  const [day] = (
    await sql(`update installation set created_at = $1 returning created_at`, [new Date(hourBefore(48))])
  ).rows
  expect(day).toBeDefined()
  const before = (await sql('select count(*)::text as count from video')).rows[0]?.count
  // One hour twice a day apart, another once; and the newest hours are not summed.
  await submitAt([hourBefore(30), hourBefore(30) + 5, hourBefore(6), hourBefore(7)], { num_steps: 21 })
  await sumAgainFrom(hourBefore(40))
  const plan = await operator.must('GET', '/v1/admin/plan?days=2')
  const ofSteps = plan.mix.filter(({ steps }: { steps: number }) => steps === 21)
  expect(ofSteps).toEqual([
    expect.objectContaining({
      share: 5,
      tier: 'standard',
      model: 'animatic',
      mode: 't2v',
      class: '256px',
      size: '336x192',
      frames: 5,
      video_tokens: 504,
    }),
  ])
  const videos = plan.mix.reduce((sum: number, { share }: { share: number }) => sum + share, 0)
  expect(videos).toBe(Number(before) + 5)
  const lookedAt = hoursLookedAt(plan.from * 1_000, plan.to * 1_000)
  const expected = plan.demand.reduce(
    (sum: number, { videos: each }: { videos: number }, hour: number) => sum + each * (lookedAt[hour] ?? 0),
    0,
  )
  expect(expected).toBeCloseTo(videos, 2)
})

test('the plan of a service has its pools, paces, prices and accounts', async () => {
  await using worker = new HandWorker(api, { pool: 'studio', slots: 3 })
  await worker.heartbeat()
  await submitAt([hourBefore(2)])
  const plan = await operator.must('GET', '/v1/admin/plan')
  const pool = plan.pools.find(({ pool: name }: { pool: string }) => name === 'studio')
  expect(pool).toMatchObject({ gpus: 3, gpus_per_slot: 1, models: expect.arrayContaining(['animatic']) })
  expect(plan.paces).toContainEqual({
    pool: 'studio',
    model: 'animatic',
    mode: 't2v',
    size: '336x192',
    frames: 5,
    step_ms: 100,
    overhead_ms: 500,
    measured: false,
  })
  expect(plan.prices).toEqual([{ model: 'animatic', class: '256px', per_million: '0.2' }])
  expect(plan).toMatchObject({
    currency: 'USD',
    multipliers: { priority: 1.5, standard: 1, flex: 0.5 },
    account_share_percent: 75,
    accounts: [{ weight: 100, running_max: null }],
  })
})

test('flex costs in the plan of a service the mean of its schedule by hour, weighted by what is asked for', async () => {
  const at = hourBefore(3)
  await sumAgainFrom(hourBefore(40))
  await submitAt([at])
  const hour = new Date(at).getUTCHours()
  const steps = [{ from: 0, multiplier: '0.2' }, ...(hour === 0 ? [] : [{ from: hour, multiplier: '0.8' }])]
  expect((await operator.call('POST', '/v1/admin/flex-prices', { by: 'hour', steps })).status).toBe(200)
  const plan = await operator.must('GET', '/v1/admin/plan?days=2')
  const sum = (from: number, to: number) =>
    plan.demand.slice(from, to).reduce((total: number, { videos }: { videos: number }) => total + videos, 0)
  const expected = (0.2 * sum(0, hour) + 0.8 * sum(hour, 24)) / sum(0, 24)
  expect(plan.multipliers.flex).toBeCloseTo(hour === 0 ? 0.2 : expected, 3)
})

test('the plan of a service is read by whoever may read what is the operator’s, and by no customer', async () => {
  expect((await api.call('GET', '/v1/admin/plan')).status).toBe(403)
  const { key } = await operator.must('POST', '/v1/admin/keys', { name: 'reads', scope: 'admin:read' })
  expect((await api.call('GET', '/v1/admin/plan', undefined, { key })).status).toBe(200)
  for (const days of ['0', '29', 'x'])
    expect(await operator.call('GET', `/v1/admin/plan?days=${days}`)).toMatchObject({
      status: 400,
      body: { error: { param: 'days' } },
    })
})

test('each hour of the day is looked at for as long as it lay in the time asked about', () => {
  const day = Date.UTC(2026, 0, 1)
  expect(hoursLookedAt(day, day + 2 * DAY_MS)).toEqual(Array.from({ length: 24 }, () => 2))
  const cut = hoursLookedAt(day + 1.5 * HOUR_MS, day + 3.25 * HOUR_MS)
  expect(cut.slice(0, 5)).toEqual([0, 0.5, 1, 0.25, 0])
})

const MAIN = fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url))

/** Pastes lines into a shell in that folder, with the data dir of a service. */
function paste(
  lines: string,
  { cwd, dataDir }: { cwd: string; dataDir: string },
): Promise<{ code: number; out: string; err: string }> {
  const script = `npx() { shift; "${process.execPath}" "${MAIN}" "$@"; }\n${lines}`
  const env = { PATH: process.env.PATH ?? '', SLUICE_DATA_DIR: dataDir }
  return new Promise((resolve) => {
    execFile('bash', ['-e', '-c', script], { cwd, env }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err }),
    )
  })
}

test('sluice plan --from-service plans for what a service was asked for; docs/plan.md says how', async () => {
  const cwd = mkdtempSync(join(tmpdir(), 'sluice-test-plan-'))
  try {
    await using service = await startTestApi()
    const run = (lines: string) => paste(lines, { cwd, dataDir: service.dataDir })
    const refused = async (fault: string) =>
      expect(await run('npx sluice plan --from-service')).toMatchObject({
        code: 2,
        err: expect.stringContaining(fault),
      })
    await refused('nobody has submitted a video in the last 7 days')
    expect((await service.call('POST', '/v1/videos', SHORT)).status).toBe(200)
    await refused('no worker is connected')
    await using worker = new HandWorker(service, { pool: 'studio', slots: 3 })
    await worker.heartbeat([], { cost_per_hour_micros: '2000000' })
    const lines = indentedBlocks(readDoc('plan.md')).filter((block) => block.includes('--from-service'))
    expect(lines).toHaveLength(1)
    const said = await run(lines[0] ?? '')
    expect(said).toMatchObject({ code: 0 })
    expect(said.out).toContain('the pace of animatic on studio is what the model says, nobody measured it')
    expect(said.out).toMatch(/^cost a day, USD +144\.00 /m)
    // The plan that it wrote down is read again, to the same end.
    const written = JSON.parse(readFileSync(join(cwd, 'now.json'), 'utf8'))
    expect(written.pools).toMatchObject([{ pool: 'studio', slot_price_per_hour: '2' }])
    const again = JSON.parse((await run('npx sluice plan now.json --json')).out)
    expect(again).toMatchObject({ as_planned: { gpus: 3, cost_a_day: '144' } })
  } finally {
    rmSync(cwd, { recursive: true, force: true })
  }
})
