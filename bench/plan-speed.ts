/**
 * How long a simulated day of videos takes, with four kinds, three tiers and 100 accounts: from a thousand to
 * a million of them on one pool, on three of one pace, and on three of unequal pace, where each video is
 * compared with what it could wait for; and, beside it, what a forecast of 2,000 queued videos takes. Starts
 * nothing.
 */
import type { Fleet, Pool } from '@sluice/gate/fleet'
import { NO_ARRIVALS } from '@sluice/gate/forecast/arrivals'
import { simulate } from '@sluice/gate/forecast/simulate'
import type { HeadRow } from '@sluice/gate/head-row'
import { type PaceRow, pacesOf } from '@sluice/gate/pace'
import { type DemandedVideo, quantile, type VideoKind } from '@sluice/gate/plan/demand'
import { simulateDemand } from '@sluice/gate/plan/simulate-demand'
import { RunningCounts } from '@sluice/gate/running-counts'
import { VirtualTime } from '@sluice/gate/virtual-time'
import { Catalogue } from '@sluice/shared/models/catalogue'
import { seededRandom } from '@sluice/shared/seeded-random'
import { printTable } from './rig/statistics.ts'

const DAY_MS = 86_400_000
const SLOTS = 100
const ACCOUNTS = 100
const LOAD = 0.9
const TIERS = ['priority', 'standard', 'standard', 'flex'] as const

/** A day on pools of these paces, 1 = the first, whose slots are busy for nine tenths of it. */
function dayOf(videos: number, paces: readonly number[]) {
  const pools = paces.map((_, number) => ({ pool: `pool ${number}`, slots: SLOTS }))
  const speed = paces.reduce((sum, pace) => sum + 1 / pace, 0)
  const meanMs = (DAY_MS * SLOTS * speed * LOAD) / videos
  const kinds = [0.4, 0.8, 1.2, 1.6].map(
    (size, index): VideoKind => ({
      name: `kind ${index}`,
      model: 'one',
      steps: 30,
      tokens: 100_000,
      paces: Object.fromEntries(
        paces.map((pace, number) => [
          `pool ${number}`,
          { stepMs: (meanMs * size * pace) / 30, overheadMs: 0 },
        ]),
      ),
    }),
  )
  const random = seededRandom(1)
  const pick = <Item>(items: readonly Item[]) => items[Math.floor(random() * items.length)] as Item
  function* arrivals(): Generator<DemandedVideo> {
    let atMs = 0
    for (let number = 0; number < videos; number += 1) {
      atMs += (-Math.log(1 - random()) * DAY_MS) / videos
      const accountId = `account ${Math.floor(random() * ACCOUNTS)}`
      yield { atMs, accountId, tier: pick(TIERS), kind: pick(kinds), expiresAfterMs: DAY_MS }
    }
  }
  return { pools, kinds, videos: arrivals(), horizonMs: DAY_MS }
}

/** Idle pools of these paces. */
function fleetOf(paces: readonly number[]): Fleet {
  const pools = paces.map(
    (_, number): Pool => ({
      pool: `pool ${number}`,
      queue: `pool ${number}`,
      device: 'cpu',
      slots: SLOTS,
      untaken: 0,
      isPaused: false,
      loaded: [],
      switchMs: 0,
      switchWaitMsMax: 0,
      costPerHourMicros: BigInt(1_000_000 - 100_000 * number),
      capabilities: ['animatic'],
      sequenceDevices: 1,
      framesMax: 129,
      pixelsMax: 589_824,
    }),
  )
  const measured = pools.map(
    ({ pool }, number): PaceRow => ({
      pool,
      capability: 'animatic',
      width: 336,
      height: 192,
      num_frames: 5,
      step_ms: 100 * (paces[number] ?? 1),
      overhead_ms: 500,
      upload_ms: null,
    }),
  )
  return {
    pools,
    inFlight: [],
    flexQueued: 0,
    time: new VirtualTime(),
    running: new RunningCounts([]),
    paces: pacesOf(measured, new Catalogue()),
  }
}

/** What a forecast of as many queued videos takes, on pools of these paces. */
function forecastMs(videos: number, paces: readonly number[]): number {
  const rows = Array.from(
    { length: videos },
    (_, number): HeadRow => ({
      id: `video_${String(number).padStart(6, '0')}`,
      account_id: `account ${number % ACCOUNTS}`,
      key_id: `key ${number % ACCOUNTS}`,
      weight: 100,
      service_tier: TIERS[number % TIERS.length] ?? 'standard',
      model: 'animatic',
      capability: 'animatic',
      resolution: '256px',
      width: 336,
      height: 192,
      num_frames: 5,
      num_steps: 1 + (number % 90),
      video_tokens: 504n,
      account_running_max: null,
      key_running_max: null,
      checkpoint_step: null,
      passed_over_ms: null,
      multiplier_bps_max: null,
      not_before_in_ms: 0,
      expires_in_ms: DAY_MS,
    }),
  )
  const fleet = fleetOf(paces)
  const startedMs = performance.now()
  const work = simulate({
    fleet,
    queued: rows,
    running: new Map(),
    rules: { accountSharePercent: 75, flexRunMsMin: 30_000 },
    recent: NO_ARRIVALS,
    seed: 1,
    isTimeLeft: () => true,
  })
  while (work.next().done !== true) {}
  return performance.now() - startedMs
}

const rows: string[][] = []
for (const [name, paces, sizes] of [
  ['1 pool', [1], [1_000, 100_000, 1_000_000]],
  ['3 pools of one pace', [1, 1, 1], [1_000, 100_000, 1_000_000]],
  ['3 pools of unequal pace', [1, 1.3, 2], [1_000, 100_000, 1_000_000]],
] as const) {
  for (const videos of sizes) {
    const startedMs = performance.now()
    const { tiers, pools } = simulateDemand(dayOf(videos, paces))
    const ms = performance.now() - startedMs
    const busy = [...pools.values()].map(({ busyMs, availableMs }) => (100 * busyMs) / availableMs)
    rows.push([
      `${videos} videos, ${name}`,
      `${(ms / 1_000).toFixed(2)} s`,
      `${((ms * 1_000) / videos).toFixed(1)} µs`,
      busy.map((percent) => `${percent.toFixed(0)} %`).join(', '),
      `${(quantile(tiers.standard.waitsMs, 0.9) / 1_000).toFixed(1)} s`,
      String(tiers.flex.yields),
    ])
  }
}
// The first compiles.
for (const paces of [[1], [1], [1, 1.3, 2]]) {
  const ms = forecastMs(2_000, paces)
  rows.push([`forecast of 2000 queued, ${paces.length} pools`, `${(ms / 1_000).toFixed(3)} s`])
}
printTable('a simulated day', [['', 'takes', 'a video', 'busy', 'standard p90', 'yields'], ...rows])
