import { expect, test } from 'vitest'
import type { Database } from '../../apps/api/src/db/database.ts'
import { Forecaster } from '../../apps/api/src/forecast/forecaster.ts'
import { Arrivals } from '../../apps/api/src/forecast/recent-arrivals.ts'
import type { Video } from '../../apps/api/src/videos/video.ts'
import { readVideo } from '../../apps/api/src/videos/video-store.ts'
import { runSql } from '../../bench/rig/accounts.ts'
import { startHandDrivenService } from '../support/hand-driven-service.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { startTestApi, type TestApi } from '../support/start-api.ts'

function forecasterOf(
  { config, context }: Pick<TestApi, 'config' | 'context'>,
  query: Database['query'] = (statement) => context.db.query(statement),
) {
  return new Forecaster({
    db: { query },
    catalogue: config.catalogue,
    rules: config,
    leaseMs: config.timings.leaseMs,
    switchMs: config.switchMs,
    switchWaitMsMax: config.switchWaitMsMax,
    flexMultiplierBps: config.tierMultiplierBps.flex,
  })
}
const submit = async (api: TestApi, fields: object = {}) => {
  const request = { prompt: 'a paper boat', num_frames: 5, num_steps: 10, ...fields }
  const { id } = (await api.call('POST', '/v1/videos', request)).body
  const { account_id: accountId } = (await api.call('GET', '/v1/key')).body
  return readVideo(api.context.db, accountId, id)
}

test('what was cancelled before it was made, or waits for its time, is not taken to come again', async () => {
  await using api = await startTestApi()
  const { db } = api.context
  const recent = async () => (await new Arrivals(db).recent()).rows.map(({ id }) => id)
  const kept = await submit(api)
  const cancelled = await submit(api)
  const notBefore = Math.floor(Date.now() / 1_000) + 3_600
  await submit(api, { service_tier: 'flex', not_before: notBefore })
  expect(await recent()).toEqual([cancelled.id, kept.id])
  await api.call('POST', `/v1/videos/${cancelled.id}/cancel`)
  const [again, ...others] = (await new Arrivals(db).recent()).rows
  expect(others).toEqual([])
  // As it was submitted, however long ago that was.
  await runSql(api.database.adminUrl, [
    `update video set created_at = created_at - interval '1 minute',
      execution_expires_at = execution_expires_at - interval '1 minute' where id = '${kept.id}'`,
  ])
  const later = await new Arrivals(db).recent()
  expect(Math.abs((later.rows[0]?.expires_in_ms ?? 0) - (again?.expires_in_ms ?? 0))).toBeLessThan(10)
  expect(later.spanMs).toBeGreaterThanOrEqual(60_000)
})

test('a flood of first answers does not cost the database a reading each, and each has an ETA', async () => {
  await using api = await startTestApi()
  await using worker = new HandWorker(api)
  await worker.heartbeat()
  const readings = new Map<string, number>()
  const forecaster = forecasterOf(api, (statement) => {
    const { name = '' } = statement
    readings.set(name, (readings.get(name) ?? 0) + 1)
    return api.context.db.query(statement)
  })
  const videos = []
  while (videos.length < 200) videos.push(await submit(api))
  const before = new Map(readings)
  // All of them are newer than the last forecasts: those are made before they come.
  const seen = await forecaster.ofFirst(videos[0] as Video)
  expect(seen?.etaSeconds).not.toBeNull()
  const more = []
  while (more.length < 100) more.push(await submit(api, { num_steps: 11 }))
  const answers = await Promise.all(more.map((video) => forecaster.ofFirst(video)))
  for (const answer of answers)
    expect(answer?.etaSeconds).toMatchObject({ p50: expect.any(Number), p90: expect.any(Number) })
  const since = (name: string) => (readings.get(name) ?? 0) - (before.get(name) ?? 0)
  // What a simulation takes is counted before it is made: twenty times a millisecond of each forecast.
  expect(since('forecast-queued')).toBeLessThanOrEqual(50 + since('gate-fleet'))
})

test('a video is foretold behind those that came after the last forecast was made, and one that has its slot already as well', async () => {
  await using api = await startTestApi()
  await using worker = new HandWorker(api)
  await runSql(api.database.adminUrl, [
    `insert into pace (pool, capability, width, height, num_frames, step_ms, overhead_ms, samples, upload_ms)
      values ('hand', 'animatic', 336, 192, 5, 1000, 0, 50, 0)`,
  ])
  await worker.heartbeat()
  const forecaster = forecasterOf(api)
  const etas = []
  for (let video = 0; video < 5; video += 1)
    etas.push((await forecaster.ofFirst(await submit(api)))?.etaSeconds?.p50 ?? Number.NaN)
  // Ten seconds each, one after the other.
  for (const [index, eta] of etas.entries()) expect(Math.abs(eta - 10 * (index + 1))).toBeLessThan(2)
})

test('a video that is dispatched while forecasts are made counts in them', async () => {
  await using service = await startHandDrivenService()
  const { context } = service
  await service.owner.query({
    text: `
      insert into pace (pool, capability, width, height, num_frames, step_ms, overhead_ms, samples, upload_ms)
      values ('by-hand', 'animatic', 336, 192, 5, 1000, 0, 50, 0)`,
  })
  const key = await service.account(1_000_000n)
  const videos = []
  while (videos.length < 4) videos.push(await service.submit(key, 10))
  const read: string[] = []
  const forecaster = forecasterOf({ config: context.config, context }, async (statement) => {
    const { name = '' } = statement
    if (name === 'gate-fleet' || name === 'forecast-heads') read.push(name)
    // It has three slots, so that the fourth video stays.
    if (read.length === 2 && read[1] === name) expect(await service.gatePass()).toBe(3)
    return context.db.query(statement)
  })
  const eta = (await forecaster.ofFirst(videos[3] as Video))?.etaSeconds
  expect(read.length).toBeGreaterThanOrEqual(2)
  expect(Math.abs((eta?.p50 ?? 0) - 20)).toBeLessThan(2)
})
