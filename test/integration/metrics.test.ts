import { afterAll, beforeAll, expect, test } from 'vitest'
import { countEnded } from '../../apps/api/src/economics/open-facts.ts'
import { EtaSample } from '../../apps/api/src/forecast/eta-sample.ts'
import { readDemand } from '../../apps/api/src/metrics/demand.ts'
import { InstallationReader } from '../../apps/api/src/metrics/read-installation.ts'
import { ALL_ROUTES } from '../../apps/api/src/routes/all-routes.ts'
import { eventually } from '../support/eventually.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { type Operator, operatorOf } from '../support/operator.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

let api: TestApi
let operator: Operator

const SMALL = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }

beforeAll(async () => {
  api = await startTestApi()
  operator = operatorOf(api)
})
afterAll(() => api.stop())

/** One line of Prometheus text. */
interface Sample {
  name: string
  labels: Record<string, string>
  value: number
}

async function scrape(url = api.url): Promise<{ text: string; samples: Sample[] }> {
  const answer = await fetch(`${url}/metrics`, { headers: { authorization: `Bearer ${api.adminKey}` } })
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8')
  const text = await answer.text()
  const samples = text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name = '', labels = '', value = ''] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
      expect(name, line).not.toBe('')
      const pairs = [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label = '', text = '']) => [label, text])
      return { name, labels: Object.fromEntries(pairs), value: Number(value) }
    })
  return { text, samples }
}
const find = (samples: readonly Sample[], name: string, labels: Record<string, string> = {}) =>
  samples.find(
    (sample) =>
      sample.name === name &&
      Object.entries(labels).every(([label, value]) => (sample.labels[label] ?? '') === value),
  )?.value
const sum = (samples: readonly Sample[], name: string) =>
  samples.filter((sample) => sample.name === name).reduce((total, { value }) => total + value, 0)
/** The figures of the installation as they are now, not as they were up to a second ago. */
const scrapeNow = (isNow: (samples: readonly Sample[]) => boolean) =>
  eventually(async () => (await scrape()).samples, isNow)
const submit = async (more: Record<string, unknown> = {}) =>
  (await api.call('POST', '/v1/videos', { ...SMALL, ...more })).body

test('only keys of the operator read the metrics: admin, and two that can change nothing', async () => {
  const status = async (key: string) =>
    (await fetch(`${api.url}/metrics`, { headers: { authorization: `Bearer ${key}` } })).status
  for (const [scope, prefix] of [
    ['metrics:read', 'sk-metrics-'],
    ['admin:read', 'sk-read-'],
  ] as const) {
    const made = await api.call('POST', '/v1/admin/keys', { scope }, { key: api.adminKey })
    expect(made.body).toMatchObject({ scopes: [scope], key: expect.stringMatching(`^${prefix}`) })
    expect(await status(made.body.key)).toBe(200)
    const refused = await api.call('POST', '/v1/admin/accounts', { name: 'a' }, { key: made.body.key })
    expect(refused).toMatchObject({ status: 403, body: { error: { code: 'insufficient_scope' } } })
  }
  expect([await status(api.key), await status(api.workerToken), await status('sk-sluice-unknown')]).toEqual([
    403, 403, 401,
  ])
  expect((await fetch(`${api.url}/metrics`)).status).toBe(401)
})

test('what is queued, dispatched and running, what ended, what it made and brought: as the economics have it, from any replica', async () => {
  await using worker = new HandWorker(api, { pool: 'metered' })
  await worker.heartbeat([], { devices_per_slot: 4, cost_per_hour_micros: '2000000' })
  const first = await submit()
  await submit({ service_tier: 'flex' })
  await submit({ service_tier: 'priority' })
  const attempt = await worker.fetch()
  expect(attempt.job.video).toBe(first.id)
  await attempt.report({ type: 'started' })
  const before = await scrapeNow((samples) => find(samples, 'sluice_videos', { status: 'running' }) === 1)
  expect(find(before, 'sluice_videos', { status: 'running', pool: 'metered', tier: 'standard' })).toBe(1)
  expect(find(before, 'sluice_videos', { status: 'queued', tier: 'flex' })).toBe(1)
  expect(find(before, 'sluice_videos', { status: 'queued', tier: 'priority' })).toBe(1)
  expect(find(before, 'sluice_workers', { pool: 'metered' })).toBe(1)
  expect(find(before, 'sluice_slots', { pool: 'metered', state: 'busy' })).toBe(1)
  expect(find(before, 'sluice_gpus', { pool: 'metered', state: 'ready' })).toBe(4)

  await attempt.report({ type: 'released' })
  await attempt.report({ type: 'finished', result: await attempt.upload() })
  const after = await scrapeNow(
    (samples) => find(samples, 'sluice_videos_ended_total', { outcome: 'completed' }) === 1,
  )
  expect(find(after, 'sluice_generated_tokens_total', { pool: 'metered' })).toBe(5_040)
  expect(find(after, 'sluice_charged_tokens_total', { pool: 'metered' })).toBe(5_040)
  expect(find(after, 'sluice_revenue_total', { pool: 'metered', currency: 'USD' })).toBeCloseTo(0.001008, 9)
  expect(find(after, 'sluice_deliveries_total', { pool: 'metered' })).toBe(1)
  const { total } = await operator.must('GET', '/v1/admin/economics?group_by=total')
  expect(sum(after, 'sluice_revenue_total')).toBeCloseTo(Number(total.revenue), 9)
  expect(sum(after, 'sluice_generated_tokens_total')).toBe(total.generated_tokens)

  const replica = await api.replica()
  const elsewhere = (await scrape(replica.url)).samples
  for (const name of [
    'sluice_videos_ended_total',
    'sluice_generated_tokens_total',
    'sluice_revenue_total',
    'sluice_wasted_tokens_total',
  ]) {
    expect(elsewhere.filter((sample) => sample.name === name)).toEqual(
      after.filter((sample) => sample.name === name),
    )
  }
  // One process leads, the other does not.
  expect(find(elsewhere, 'sluice_gate_leader')).toBe(0)
  expect(find(after, 'sluice_gate_leader')).toBe(1)
  expect(find(after, 'sluice_gate_dispatches_total')).toBeGreaterThan(0)
  await worker.heartbeat([], { draining: true })
})

test('totals go on over hours that were closed, and over a restart', async () => {
  await api.context.db.query({
    text: `update video set ended_at = ended_at - interval '3 hours' where ended_at is not null`,
  })
  // As if nobody had read any figures in those hours: processes that have not yet, one that closes them and
  // one that finds them closed.
  await api.context.db.query({ text: `update facts_closed set until = '-infinity'` })
  for (const process of [await api.replica(), await api.replica()]) {
    const { samples } = await scrape(process.url)
    expect(sum(samples, 'sluice_generated_tokens_total')).toBe(5_040)
  }
  const closed = await api.context.db.query({ text: `select from fact_hour where fact = 'charged_tokens'` })
  expect(closed.rowCount).toBe(1)
})

test('what is queued is GPU time and workers wanted of the pool that could make it, also when its last worker has gone', async () => {
  await using own = await startTestApi()
  const demand = async () => {
    const answer = await fetch(`${own.url}/metrics`, { headers: { authorization: `Bearer ${own.adminKey}` } })
    return [...(await answer.text()).matchAll(/^sluice_(queued_gpu_seconds|workers_wanted)({.*) (.*)$/gm)]
      .map(([, name, labels, value]) => `${name}${labels} ${value}`)
      .sort()
  }
  // Ten steps and an overhead, at a CPU's pace.
  const oneVideo = (seconds: number, wanted: number, pool = 'hand') => [
    `queued_gpu_seconds{pool="${pool}"} ${seconds}`,
    `workers_wanted{pool="${pool}"} ${wanted}`,
  ]
  await own.call('POST', '/v1/videos', SMALL)
  const [unknown] = await eventually(demand, (lines) => lines.length === 2)
  expect(unknown).toMatch(/^queued_gpu_seconds{pool=""} \d/)
  await using worker = new HandWorker(own)
  await worker.heartbeat()
  await worker.fetch()
  await own.call('POST', '/v1/videos', SMALL)
  await eventually(demand, (lines) => lines.join() === oneVideo(1.5, 1).join())
  await worker.heartbeat([], { draining: true, slots: 0 })
  await own.api.context.db.query({ text: `update worker set heartbeat_at = now() - interval '1 hour'` })
  await eventually(demand, (lines) => lines.join() === oneVideo(3, 1).join())
})

test('what is queued is not counted: some videos of each key stand for the others', async () => {
  await using own = await startTestApi()
  for (let count = 0; count < 6; count += 1) await own.call('POST', '/v1/videos', SMALL)
  const { db } = own.api.context
  const settings = { catalogue: own.config.catalogue, leaseMs: 20_000, wantedMs: 60_000 }
  const [all] = await readDemand(db, settings)
  const [some] = await readDemand(db, { ...settings, sampledMax: 2 })
  expect(all?.queuedGpuSeconds).toBeGreaterThan(0)
  expect(some).toEqual(all)
})

test('labels are of a known set: templates of paths, no ids, prompts, keys or accounts', async () => {
  const video = await submit({ prompt: 'a secret garden' })
  await api.call('GET', `/v1/videos/${video.id}`)
  await api.call('GET', `/v1/videos/${video.id}/nowhere`)
  await fetch(`${api.url}/v1/${'x'.repeat(40)}`)
  await fetch(`${api.url}/v1/models`, { method: 'PROPFIND' })
  const { text, samples } = await scrape()
  const known = new Set([...ALL_ROUTES.map((route) => route.path), 'other'])
  const requests = samples.filter(({ name }) => name === 'sluice_http_request_duration_seconds_count')
  for (const { labels } of requests) expect(known).toContain(labels.path)
  expect(
    find(requests, requests[0]?.name ?? '', { method: 'GET', path: '/v1/videos/{id}', status: '200' }),
  ).toBeGreaterThan(0)
  expect(
    find(requests, requests[0]?.name ?? '', { method: 'GET', path: 'other', status: '404' }),
  ).toBeGreaterThan(0)
  for (const secret of [
    video.id,
    'secret garden',
    api.key,
    api.adminKey,
    'video_',
    'acct_',
    'key_',
    'worker_',
    'PROPFIND',
  ]) {
    expect(text).not.toContain(secret)
  }
})

test('submissions are counted by what became of them', async () => {
  const count = async (result: string) =>
    find((await scrape()).samples, 'sluice_submissions_total', { result }) ?? 0
  const [accepted, refused] = [await count('accepted'), await count('max_tokens_too_small')]
  await submit()
  await submit({ max_tokens: 1 })
  await submit({ max_tokens: 1 })
  const counts = async () => [await count('accepted'), await count('max_tokens_too_small')]
  await eventually(counts, ([now, refusedNow]) => now === accepted + 1 && refusedNow === refused + 2)
})

test('what the first answer forecasts of a video is compared with when it came', async () => {
  await using own = await startTestApi()
  await using worker = new HandWorker(own)
  await worker.heartbeat()
  const queue = async () => (await own.call('POST', '/v1/videos', SMALL)).body
  await queue()
  const running = await worker.fetch()
  await running.report({ type: 'taken', slot: 0 })
  await running.report({ type: 'started' })
  const waiting = await queue()
  const { db } = own.api.context
  const given = async () =>
    (await db.query<{ video_id: string; p50_ms: number }>({ text: 'select * from eta_given' })).rows
  const rows = await eventually(given, (all) => all.some(({ video_id }) => video_id === waiting.id))
  expect(rows.find(({ video_id }) => video_id === waiting.id)?.p50_ms).toBe(waiting.eta_seconds.p50 * 1_000)
  await db.query({ text: 'delete from eta_given where video_id <> $1', values: [waiting.id] })
  // The forecast was 10 s, or 20 s at most; it took 15 s.
  await db.query({
    text: `update eta_given set p50_ms = 10000, p90_ms = 20000, given_at = now() - interval '1 hour'
      where video_id = $1`,
    values: [waiting.id],
  })
  await running.report({ type: 'finished', result: await running.upload() })
  const heir = await worker.fetch()
  expect(heir.job.video).toBe(waiting.id)
  await heir.report({ type: 'taken', slot: 0 })
  await heir.report({ type: 'started' })
  await heir.report({ type: 'released' })
  await db.query({
    text: `update eta_given set given_at = now() - interval '15 seconds' where video_id = $1`,
    values: [waiting.id],
  })
  await heir.report({ type: 'finished', result: await heir.upload() })
  while (await countEnded(own.api.context.db));
  const answer = await fetch(`${own.url}/metrics`, { headers: { authorization: `Bearer ${own.adminKey}` } })
  const counted = await answer.text()
  expect(counted).toMatch(/^sluice_eta_within_p90_ratio\{pool="hand"\} 1$/m)
  expect(counted).toMatch(/^sluice_eta_compared_total\{pool="hand"\} 1$/m)
  expect(counted).toMatch(/^sluice_eta_error_seconds_total\{pool="hand",direction="late"\} 5\.\d+$/m)
  expect(counted).toMatch(/^sluice_eta_error_seconds_total\{pool="hand",direction="early"\} 0$/m)
  expect(counted).toMatch(/^sluice_eta_within_p90_total\{pool="hand"\} 1$/m)
  // A third of 15 s.
  expect(counted).toMatch(/^sluice_eta_error_ratio\{pool="hand"\} 0\.33\d*$/m)
})

test('of many first answers at one time twenty are kept, and of none another answer later', async () => {
  // Without a worker it forecasts nothing itself.
  await using own = await startTestApi()
  const { db } = own.api.context
  const ids: string[] = []
  while (ids.length < 30) ids.push((await own.call('POST', '/v1/videos', SMALL)).body.id)
  const end = { pool: 'hand', startMs: 0, freeMs: 900, storedMs: 1_000, lateMs: 1_500 }
  const sample = new EtaSample(db, (error) => expect.fail(error.message))
  const give = async (p50Ms: number) => {
    for (const videoId of ids) sample.note({ videoId, end, isMeasured: true, p50Ms, p90Ms: 2_000 })
    await sample.kept()
  }
  const kept = async () => {
    const { rows } = await db.query<{ p50_ms: number }>({
      text: 'select p50_ms from eta_given where video_id = any ($1)',
      values: [ids],
    })
    return rows.map((row) => row.p50_ms)
  }
  await give(1_000)
  expect(await kept()).toEqual(Array.from({ length: 20 }, () => 1_000))
  const first = await kept()
  for (let round = 0; round < 8; round += 1) await give(1_500)
  expect((await kept()).filter((ms) => ms === 1_000)).toEqual(first)
  expect((await kept()).length).toBeGreaterThan(20)
})

test('the installation is read once for many who ask within a second', async () => {
  const reader = new InstallationReader(api.context.db, api.context.livePools, {
    catalogue: api.config.catalogue,
    leaseMs: api.config.timings.leaseMs,
    wantedMs: api.config.queueMsWanted,
  })
  const [first, ...others] = await Promise.all(Array.from({ length: 20 }, () => reader.read()))
  for (const other of others) expect(other).toBe(first)
  expect(await reader.read()).toBe(first)
})
