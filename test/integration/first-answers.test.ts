import { expect, test } from 'vitest'
import type { Database } from '../../apps/api/src/db/database.ts'
import { Forecaster } from '../../apps/api/src/forecast/forecaster.ts'
import { readVideo } from '../../apps/api/src/videos/video-store.ts'
import { HandWorker } from '../support/hand-worker.ts'
import { startTestApi } from '../support/start-api.ts'

test('the first answers of many new videos of one queue cost the database one reading for each forecast, not one each', async () => {
  await using api = await startTestApi()
  await using worker = new HandWorker(api)
  await worker.heartbeat()
  const { config, context } = api
  const readings = new Map<string, number>()
  const query: Database['query'] = (statement) => {
    const { name = '' } = statement
    readings.set(name, (readings.get(name) ?? 0) + 1)
    return context.db.query(statement)
  }
  const forecaster = new Forecaster({
    db: { query },
    catalogue: config.catalogue,
    accountSharePercent: config.accountSharePercent,
    leaseMs: config.timings.leaseMs,
    switchMs: config.switchMs,
    switchWaitMsMax: config.switchWaitMsMax,
    flexMultiplierBps: config.tierMultiplierBps.flex,
  })
  const { account_id: accountId } = (await api.call('GET', '/v1/key')).body
  const ask = async () => {
    const { id } = (await api.call('POST', '/v1/videos', { prompt: 'a paper boat', num_frames: 5 })).body
    return forecaster.ofFirst(await readVideo(context.db, accountId, id))
  }
  // The first takes the slot.
  await ask()
  for (let index = 0; index < 30; index += 1)
    expect((await ask())?.etaSeconds).toMatchObject({ p50: expect.any(Number), p90: expect.any(Number) })
  // One of each snapshot at most.
  expect(readings.get('forecast-queued') ?? 0).toBeLessThanOrEqual(readings.get('gate-fleet') ?? 0)
})
