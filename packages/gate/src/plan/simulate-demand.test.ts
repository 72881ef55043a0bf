import { expect, test } from 'vitest'
import { type DemandedVideo, type EndedVideo, quantile, type VideoKind } from './demand.ts'
import { simulateDemand } from './simulate-demand.ts'

const CLIP: VideoKind = {
  name: 'clip',
  model: 'animatic',
  steps: 10,
  tokens: 5_040,
  paces: { a: { stepMs: 1_000, overheadMs: 0 } },
}

function clip(atMs: number, fields: Partial<DemandedVideo> = {}): DemandedVideo {
  return { atMs, accountId: 'account_1', tier: 'standard', kind: CLIP, ...fields }
}

test('videos wait for a slot in the order of the gate, and each is counted where it ran', () => {
  const ended: EndedVideo[] = []
  const outcome = simulateDemand({
    pools: [{ pool: 'a', slots: 1 }],
    kinds: [CLIP],
    videos: [clip(0), clip(0), clip(1_000, { tier: 'priority' }), clip(1_000, { accountId: 'account_2' })],
    horizonMs: Number.POSITIVE_INFINITY,
    sampleEveryMs: 15_000,
    onEnded: (video) => ended.push(video),
  })
  expect(outcome.endedAtMs).toBe(40_000)
  expect(ended.map(({ number, startedAtMs }) => [number, startedAtMs])).toEqual([
    [0, 0],
    [2, 10_000],
    [3, 20_000],
    [1, 30_000],
  ])
  expect([...outcome.tiers.standard.waitsMs]).toEqual([0, 19_000, 30_000])
  expect([...outcome.tiers.priority.turnaroundsMs]).toEqual([19_000])
  expect(quantile(outcome.tiers.standard.waitsMs, 0.5)).toBe(19_000)
  expect(outcome.pools.get('a')).toMatchObject({ busyMs: 40_000, availableMs: 40_000, tokens: 20_160 })
  expect(outcome.backlog.map(({ queued, busy }) => [queued.standard, busy.a])).toEqual([
    [0, 0],
    [2, 1],
    [0, 1],
  ])
})

test('time goes on alone: what is given a slot and is nearly over at once is not overtaken by what comes before its end', () => {
  const kind = {
    name: 'one second',
    model: 'ink',
    steps: 5,
    tokens: 1_000,
    paces: { a: { stepMs: 100, overheadMs: 500 } },
  }
  const video = { accountId: 'account', keyId: 'key', tier: 'standard', kind } as const
  const startedMs: number[] = []
  simulateDemand({
    pools: [{ pool: 'a', slots: 2 }],
    accounts: [{ id: 'account', keys: [{ id: 'key', runningMax: 1 }] }],
    kinds: [kind],
    videos: [
      { ...video, atMs: 0 },
      { ...video, atMs: 1 },
    ],
    settings: { nearlyFreeMs: 2_000 },
    horizonMs: Number.POSITIVE_INFINITY,
    onRun: ({ startedAtMs }) => startedMs.push(startedAtMs),
  })
  // One after the other: the key may run one at a time.
  expect(startedMs).toEqual([0, 1_000])
})
