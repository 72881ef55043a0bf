import { expect, test } from 'vitest'
import { VirtualTime } from './choose.ts'
import { simulate } from './forecast.ts'
import type { FleetState, HeadRow, InFlight, Pool } from './snapshot.ts'

const POOL: Pool = {
  pool: 'a',
  device: 'cpu',
  slots: 1,
  capabilities: ['animatic'],
  sequenceDevices: 1,
  framesMax: 129,
  pixelsMax: 589_824,
}

function fleetOf(pools: Pool[], inFlight: InFlight[] = [], isShared = false): FleetState {
  return { pools, inFlight, isShared, time: new VirtualTime(), paces: new Map() }
}

function queuedRow(id: number, account: number, fields: Partial<HeadRow> = {}): HeadRow {
  return {
    ...{ id: `video_${String(id).padStart(6, '0')}`, account_id: `account_${account}`, weight: 100, service_tier: 'standard' },
    ...{
      model: 'animatic',
      capability: 'animatic',
      resolution: '256px',
      width: 336,
      height: 192,
      num_frames: 5,
      num_steps: 10,
      video_tokens: 504n,
    },
    ...{ checkpoint_step: null, expires_in_ms: 86_400_000, ...fields },
  }
}

test('positions follow the gate’s order and ETAs add up slot by slot', () => {
  const queued = [queuedRow(1, 1), queuedRow(2, 1), queuedRow(3, 2)]
  const forecasts = simulate(fleetOf([POOL]), queued, 75)
  // 0.5 s and ten steps of 0.1 s each; the second account goes before the first one's second video.
  expect(queued.map((row) => forecasts.get(row.id))).toMatchObject([
    { position: 1, etaSeconds: { p50: 1.5 } },
    { position: 3, etaSeconds: { p50: 4.5 } },
    { position: 2, etaSeconds: { p50: 3 } },
  ])
})

test('an account at its cap waits for its own slot, and the forecast comes to an end', () => {
  const two = { ...POOL, slots: 2 }
  const queued = [queuedRow(1, 1), queuedRow(2, 1), queuedRow(3, 1)]
  const forecasts = simulate(fleetOf([two], [], true), queued, 75)
  expect(queued.map((row) => forecasts.get(row.id)?.etaSeconds?.p50)).toEqual([1.5, 3, 4.5])
})

test('what no pool can make has a position and no ETA', () => {
  const forecasts = simulate(fleetOf([POOL]), [queuedRow(1, 1, { capability: 'animatic/t2i2v' }), queuedRow(2, 1)], 75)
  expect(forecasts.get('video_000001')).toEqual({ position: 2, etaSeconds: null })
  expect(forecasts.get('video_000002')).toMatchObject({ position: 1 })
})

test('two pools never foresee the same video twice', () => {
  const queued = Array.from({ length: 50 }, (_, index) => queuedRow(index, index % 7))
  const forecasts = simulate(fleetOf([POOL, { ...POOL, pool: 'b', slots: 3 }]), queued, 75)
  expect(new Set([...forecasts.values()].map((forecast) => forecast.position)).size).toBe(50)
})

test('2,000 queued videos of 1,000 accounts on two pools hold the event loop for less than 50 ms', () => {
  const queued = Array.from({ length: 2_000 }, (_, index) => queuedRow(index, index % 1_000, { num_steps: 1 + (index % 90) }))
  const fleet = fleetOf(
    [
      { ...POOL, slots: 8 },
      { ...POOL, pool: 'b', slots: 32 },
    ],
    [],
    true,
  )
  const tookMs = Array.from({ length: 9 }, () => {
    const startedAtMs = performance.now()
    expect(simulate(fleet, queued, 75).size).toBe(2_000)
    return performance.now() - startedAtMs
  })
  // The median: a loaded machine stops any single one for longer.
  expect(tookMs.sort((a, b) => a - b)[4]).toBeLessThan(50)
})
