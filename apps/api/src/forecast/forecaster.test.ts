import { Catalogue } from '@sluice/shared/models/catalogue'
import { afterEach, expect, test, vi } from 'vitest'
import type { Database } from '../db/database.ts'
import { Forecaster, type NewVideo } from './forecaster.ts'

afterEach(() => {
  vi.useRealTimers()
})

const NEW_VIDEO: NewVideo = {
  account_id: 'acct_1',
  key_id: 'key_1',
  model: 'animatic',
  weight: 100,
  account_running_max: null,
  key_running_max: null,
  service_tier: 'standard',
  capability: 'animatic',
  resolution: '256px',
  width: 336,
  height: 192,
  num_frames: 5,
  num_steps: 10,
  video_tokens: 504n,
  expires_in_ms: 86_400_000,
  multiplier_bps_max: null,
  not_before_in_ms: 0,
}

/** A database without workers and videos, whose first reading never returns. */
function databaseWithDeadConnection(): Database & { readings: () => number } {
  let readings = 0
  const flex = { kind: null, steps: null, set_at_ms: null, utilisation: 0, noted_at_ms: null, at_ms: 0 }
  const fleet = { pools: [], in_flight: [], clocks: [], tags: [], paces: [], switches: [], flex }
  const query = ({ name }: { name?: string }) => {
    if (name === 'gate-fleet') return Promise.resolve({ rows: [fleet] })
    if (name === 'forecast-heads') readings += 1
    return readings === 1 ? new Promise(() => {}) : Promise.resolve({ rows: [] })
  }
  return { query: query as Database['query'], readings: () => readings }
}

test('a reading on a dead connection does not keep those waiting who ask ten seconds later', async () => {
  vi.useFakeTimers({ toFake: ['performance'] })
  const db = databaseWithDeadConnection()
  const parts = {
    db,
    catalogue: new Catalogue(),
    rules: { accountSharePercent: 75, flexRunMsMin: 30_000 },
    leaseMs: 20_000,
    switchMs: 0,
    switchWaitMsMax: 0,
    flexMultiplierBps: 5_000,
  }
  const forecaster = new Forecaster(parts)
  const dead = forecaster.ofNew(NEW_VIDEO)
  vi.advanceTimersByTime(9_999)
  const shared = forecaster.ofNew(NEW_VIDEO)
  expect(db.readings()).toBe(1)
  vi.advanceTimersByTime(1)
  expect(await forecaster.ofNew(NEW_VIDEO)).toEqual({ position: 1, etaSeconds: null })
  expect(db.readings()).toBe(2)
  const state = await Promise.race([dead, shared, Promise.resolve('waiting')])
  expect(state).toBe('waiting')
})
