import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { pino } from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { LivePoolReader } from '../../apps/api/src/economics/live-pools.ts'
import { checkApi } from '../../apps/cli/src/doctor/check-services.ts'
import { eventually } from '../support/eventually.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { type Operator, operatorOf } from '../support/operator.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

const MAIN = fileURLToPath(new URL('../../apps/cli/src/main.ts', import.meta.url))
const CLIP = { prompt: 'a paper boat', num_frames: 5, num_steps: 10 }
const TIERS = ['priority', 'standard', 'flex'] as const

let api: TestApi
let operator: Operator
const workers: HandWorker[] = []

beforeAll(async () => {
  api = await startTestApi()
  operator = operatorOf(api)
  // A pool that costs more than its videos bring, and one that costs nothing to speak of.
  await work('a-dear', '4000000000', ['complete', 'cancel', 'fail'])
  await work('b-cheap', '10', ['complete', 'complete'])
}, 60_000)
afterAll(async () => {
  for (const worker of workers) await worker.close()
  await api.stop()
})

/** Has a worker make videos one after another, in two hours as far as its shift and its pace say. */
async function work(pool: string, costPerHourMicros: string, ends: ('complete' | 'cancel' | 'fail')[]) {
  const worker = new HandWorker(api, { pool })
  workers.push(worker)
  await worker.heartbeat([], { cost_per_hour_micros: costPerHourMicros, devices_per_slot: 2 })
  for (const end of ends) {
    const { id } = (await api.call('POST', '/v1/videos', CLIP)).body
    const attempt = await worker.fetch()
    expect(attempt.job.video).toBe(id)
    await attempt.report({ type: 'started' })
    await attempt.report({ type: 'progress', phase: 'denoise', step: 4, remaining_ms: null })
    if (end === 'complete') {
      const result = await attempt.upload()
      await attempt.report({ type: 'released' })
      await attempt.report({ type: 'finished', result: { ...result, timings: { denoise: 1, load: 0.01 } } })
    } else if (end === 'cancel') {
      await api.call('POST', `/v1/videos/${id}/cancel`)
      await attempt.report({ type: 'cancelled', step: 5 })
    } else
      await attempt.report({ type: 'failed', code: 'bad_input', message: 'no', retryable: false, step: 4 })
  }
  await worker.heartbeat([], { slots: 0, draining: true, cost_per_hour_micros: costPerHourMicros })
  const { query } = api.context.db
  await query.call(api.context.db, {
    text: `update worker_shift set began_at = now() - interval '2 hours' where worker_id = $1 and slots > 0`,
    values: [worker.id],
  })
  await worker.heartbeat([], { cost_per_hour_micros: costPerHourMicros, devices_per_slot: 2 })
}

const economics = () => operator.must('GET', '/v1/admin/economics?from=2026-01-01')

async function metrics(): Promise<(name: string, labels?: Record<string, string>) => number | undefined> {
  const answer = await fetch(`${api.url}/metrics`, { headers: { authorization: `Bearer ${api.adminKey}` } })
  expect(answer.status).toBe(200)
  const samples = (await answer.text())
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const [, name = '', labels = '', value = ''] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
      const pairs = [...labels.matchAll(/(\w+)="([^"]*)"/g)].map(([, label = '', text = '']) => [label, text])
      return { name, labels: Object.fromEntries(pairs), value: Number(value) }
    })
  return (name, labels = {}) =>
    samples.find(
      (sample) =>
        sample.name === name &&
        Object.entries(labels).every(([label, text]) => sample.labels[label] === text),
    )?.value
}

function sluice(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const env = { PATH: process.env.PATH, SLUICE_ADMIN_KEY: api.adminKey, SLUICE_BASE_URL: `${api.url}/v1` }
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { env }, (error, out, err) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err }),
    )
  })
}

const known = (amount: string | null) => (amount === null ? undefined : Number(amount))
const percent = (share: number | null) => (share === null ? '-' : `${(share * 100).toFixed(1)} %`)

test('GET /v1/admin/economics, /metrics and the command line show the same figures of every pool', async () => {
  const json = await economics()
  const of = await metrics()
  expect(json.data.map(({ pool }: { pool: string }) => pool)).toEqual(['a-dear', 'b-cheap'])
  for (const row of json.data) {
    const { pool } = row
    const shown = {
      completed: of('sluice_videos_ended_total', { pool, outcome: 'completed' }),
      failed: of('sluice_videos_ended_total', { pool, outcome: 'failed' }),
      cancelled: of('sluice_videos_ended_total', { pool, outcome: 'cancelled' }),
      generated_tokens: of('sluice_generated_tokens_total', { pool }),
      charged_tokens: of('sluice_charged_tokens_total', { pool }),
      revenue: of('sluice_revenue_total', { pool, currency: 'USD' }),
      available_gpu_seconds: of('sluice_gpu_available_seconds_total', { pool }),
      busy_gpu_seconds: of('sluice_gpu_busy_seconds_total', { pool }),
      switching_seconds: of('sluice_gpu_switching_seconds_total', { pool }),
      switches: of('sluice_model_switches_total', { pool }),
      unpriced_gpu_seconds: of('sluice_gpu_unpriced_seconds_total', { pool }),
    }
    for (const [field, value] of Object.entries(shown))
      expect([pool, field, value]).toEqual([pool, field, Number(row[field])])
    for (const [cause, tokens] of Object.entries(row.wasted))
      expect([cause, of('sluice_wasted_tokens_total', { pool, cause })]).toEqual([cause, tokens])
    // The counter is not rounded to micro-units.
    expect(of('sluice_gpu_cost_total', { pool, currency: 'USD' })).toBeCloseTo(Number(row.gpu_cost), 5)
  }

  expect(json.live).toHaveLength(2)
  for (const { pool, last_day: day, classes } of json.live) {
    const currency = 'USD'
    expect([pool, day.charged_tokens > 0, day.margin === null]).toEqual([pool, true, false])
    expect({
      utilisation: of('sluice_pool_utilisation_ratio', { pool }),
      margin: of('sluice_pool_margin_ratio', { pool }),
      cost: of('sluice_pool_cost_per_million', { pool, currency }),
      revenue: of('sluice_pool_revenue_per_million', { pool, currency }),
    }).toEqual({
      utilisation: day.utilisation,
      margin: day.margin,
      cost: known(day.cost_per_million),
      revenue: known(day.revenue_per_million),
    })
    expect(classes).toHaveLength(1)
    const [{ model, resolution, tokens_per_second, cost_per_million, price_per_million }] = classes
    expect([model, resolution]).toEqual(['animatic', '256px'])
    expect(of('sluice_slot_tokens_per_second', { pool, model, resolution })).toBe(tokens_per_second)
    expect(of('sluice_cost_per_million', { pool, model, resolution, currency })).toBe(known(cost_per_million))
    for (const tier of TIERS)
      expect(of('sluice_price_per_million', { model, resolution, tier, currency })).toBe(
        known(price_per_million[tier]),
      )
  }

  const asJson = await sluice('economics', '--json', '--from', '2026-01-01')
  expect(asJson).toMatchObject({ code: 0, err: '' })
  const { to: _to, ...told } = JSON.parse(asJson.out)
  const { to: _, ...asked } = json
  expect(told).toEqual(asked)

  const { out } = await sluice('economics', '--from', '2026-01-01')
  const rows = out.split('\n').map((line) => line.split(/ {2,}/).filter((cell) => cell !== ''))
  const cellsOf = (figures: typeof json.total) => [
    String(figures.charged_tokens),
    String(figures.wasted_tokens),
    percent(figures.utilisation),
    figures.gpu_cost,
    figures.revenue,
    figures.cost_per_million,
    figures.revenue_per_million,
    percent(figures.margin),
    percent(figures.break_even_utilisation),
  ]
  for (const { pool, last_day, cost_per_hour, classes } of json.live) {
    expect(rows).toContainEqual([pool, '1', '0/1', cost_per_hour, ...cellsOf(last_day)])
    const { model, resolution, tokens_per_second, cost_per_million, price_per_million } = classes[0]
    expect(rows).toContainEqual([
      pool,
      `${model} ${resolution}`,
      tokens_per_second.toFixed(1),
      cost_per_million,
      ...TIERS.map((tier) => price_per_million[tier]),
    ])
  }
  for (const row of json.data) expect(rows).toContainEqual([row.pool, ...cellsOf(row)])
  expect(rows).toContainEqual(['all', ...cellsOf(json.total)])
})

describe('a pool that is sold below its own cost', () => {
  test('is named with price and cost: by the economics, the metrics, the command line, and by /ready and doctor to the operator alone', async () => {
    const json = await economics()
    const [dear] = json.live
    const [made] = dear.classes
    expect(Number(made.cost_per_million)).toBeGreaterThan(Number(made.price_per_million.priority))
    // Flex goes to the cheaper pool, so its price is not judged by the dear one.
    const below = (tier: string | null) =>
      json.warnings.find((one: { tier: string | null }) => one.tier === tier)
    expect(json.warnings.map(({ pool, tier }: { pool: string; tier: string }) => [pool, tier])).toEqual([
      ['a-dear', 'priority'],
      ['a-dear', 'standard'],
      ['a-dear', null],
    ])
    expect(below('standard')).toEqual({
      pool: 'a-dear',
      model: 'animatic',
      resolution: '256px',
      tier: 'standard',
      price_per_million: made.price_per_million.standard,
      cost_per_million: made.cost_per_million,
      problem:
        `pool a-dear: animatic 256px is sold at ${made.price_per_million.standard} USD per million tokens ` +
        `with standard and costs ${made.cost_per_million} there, however busy it is`,
    })
    expect(below(null)).toMatchObject({
      price_per_million: dear.last_day.revenue_per_million,
      cost_per_million: dear.last_day.cost_per_million,
      problem: expect.stringMatching(
        /^pool a-dear: it earned .* USD per million tokens in the last 24 hours/,
      ),
    })
    const of = await metrics()
    expect(of('sluice_price_below_cost', { pool: 'a-dear', model: 'animatic', tier: 'standard' })).toBe(1)
    expect(of('sluice_price_below_cost', { pool: 'a-dear', model: '', tier: '' })).toBe(1)
    expect(of('sluice_price_below_cost', { pool: 'b-cheap' })).toBeUndefined()
    const { out } = await sluice('economics')
    for (const { problem } of json.warnings) expect(out).toContain(`below cost: ${problem}\n`)

    const ready = async (key?: string) =>
      (
        await fetch(`${api.url}/ready`, {
          headers: key === undefined ? {} : { authorization: `Bearer ${key}` },
        })
      ).json() as Promise<{ doubtful: { part: string; problem: string }[] }>
    const told = json.warnings.map(({ problem }: { problem: string }) => ({ part: 'price', problem }))
    expect((await ready(api.adminKey)).doubtful).toEqual(told)
    const doctor = await checkApi(api.url, { isExpected: true, adminKey: api.adminKey })
    for (const { problem: text } of told)
      expect(doctor).toContainEqual(expect.objectContaining({ part: 'price', state: 'note', text }))
    for (const key of [undefined, api.key, api.workerToken]) expect((await ready(key)).doubtful).toEqual([])
  })

  test('is logged once, though nobody asks, and again after it was right in between', async () => {
    const lines: { msg: string; pool: string; tier?: string; price: string; cost: string }[] = []
    const log = pino({ base: null }, { write: (line) => void lines.push(JSON.parse(line)) })
    const reader = new LivePoolReader(api.context.internal.db, api.config, { log, clock: api.context.clock })
    const end = reader.watch(20, (error) => log.error(error))
    await eventually(
      async () => lines,
      (found) => found.length === 3,
    )
    end()
    await reader.readAnew()
    expect(lines.map(({ pool, tier }) => [pool, tier])).toEqual([
      ['a-dear', 'priority'],
      ['a-dear', 'standard'],
      ['a-dear', undefined],
    ])
    expect(lines[1]?.msg).toMatch(/^price below cost: pool a-dear: animatic 256px is sold at /)
    const price = async (per_million: string) =>
      operator.must('POST', '/v1/admin/prices', { model: 'animatic', resolution: '256px', per_million })
    await price('100000')
    await reader.readAnew()
    await price('0.01')
    await reader.readAnew()
    expect(lines.slice(3).map(({ pool, tier }) => [pool, tier])).toContainEqual(['a-dear', 'standard'])
  })
})

describe('sluice price-list', () => {
  test('says what to ask for each class of the pools now', async () => {
    const json = await economics()
    const { out, code } = await sluice('price-list', '--utilisation', '60', '--margin', '40')
    expect(code).toBe(0)
    for (const { pool, classes } of json.live) {
      const line = out.split('\n').find((one) => one.startsWith(`${pool} animatic 256px`)) ?? ''
      expect(line).toContain(`  ${classes[0].cost_per_million}  `)
    }
  })
})
