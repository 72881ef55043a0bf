import type { HeadRow } from '@sluice/gate/head-row'
import { expect, test } from 'vitest'
import { PromisedVideos } from './promised-videos.ts'

const rowOf = (id: string): HeadRow => ({
  id,
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
  checkpoint_step: null,
  passed_over_ms: null,
})

function promisedAt(nowMs: number, videosMax = 10) {
  const videos = new PromisedVideos({ videosMax })
  expect(videos.add(rowOf('a'), nowMs)).toBe(true)
  return { videos, unseen: (readAtMs: number) => videos.unseenSince(readAtMs).map(({ id }) => id) }
}

test('a promise counts until its video is queued, however late, and until a snapshot was begun after that', () => {
  const { videos, unseen } = promisedAt(1_000)
  expect(unseen(0)).toEqual(['a'])
  // A slow store, a line, an account that somebody has locked.
  expect(unseen(60_000)).toEqual(['a'])
  videos.end('a', 'queued', 61_000)
  expect(unseen(60_999)).toEqual(['a'])
  expect(unseen(61_000)).toEqual([])
})

test('a promise whose submission is refused counts no more, and one of whom nobody knows as long as it may come', () => {
  const { videos, unseen } = promisedAt(1_000)
  videos.end('a', 'refused', 2_000)
  expect(unseen(0)).toEqual([])
  videos.add(rowOf('b'), 2_000)
  videos.end('b', 'unknown', 3_000)
  expect(unseen(9_999)).toEqual(['b'])
  expect(unseen(10_000)).toEqual([])
  videos.end('never promised', 'queued', 3_000)
})

test('no more are counted than there is room for, and one that nobody ends is forgotten in two minutes', () => {
  const { videos, unseen } = promisedAt(1_000, 2)
  expect(videos.add(rowOf('b'), 1_001)).toBe(true)
  expect(videos.add(rowOf('c'), 1_002)).toBe(false)
  expect(videos.add(rowOf('c'), 120_999)).toBe(false)
  expect(videos.add(rowOf('c'), 121_000)).toBe(true)
  expect(unseen(121_000)).toEqual(['b', 'c'])
})
