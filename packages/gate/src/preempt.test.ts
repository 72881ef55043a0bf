import { expect, test } from 'vitest'
import { accountCap, FairQueue, type Head } from './choose.ts'
import { activeAccounts, type Fleet, type InFlight, type Pool } from './fleet.ts'
import { preemptable, victimFor } from './preempt.ts'
import { RunningCounts } from './running-counts.ts'
import { VirtualTime } from './virtual-time.ts'

const POOL: Pool = {
  pool: 'a',
  queue: 'a',
  device: 'cpu',
  slots: 1,
  untaken: 0,
  isPaused: false,
  loaded: [],
  switchMs: 0,
  switchWaitMsMax: 0,
  costPerHourMicros: null,
  capabilities: ['animatic'],
  sequenceDevices: 1,
  framesMax: 129,
  pixelsMax: 589_824,
}

const DAY_MS = 86_400_000

function flexRun(changes: Partial<InFlight> = {}): InFlight {
  return {
    videoId: 'video_flex',
    accountId: 'account_flex',
    keyId: 'key_flex',
    tier: 'flex',
    pool: 'a',
    queue: 'a',
    fence: 1,
    shape: { capability: 'animatic', width: 336, height: 192, num_frames: 5, video_tokens: 504n },
    model: 'animatic',
    worker: null,
    slot: null,
    isTaken: true,
    dispatchedMs: 0,
    isRunning: true,
    isYielding: false,
    cameBack: false,
    ranMs: 0,
    expiresInMs: DAY_MS,
    freeInMs: null,
    leftMs: 600_000,
    uploadMs: 0,
    ...changes,
  }
}

function tinyHead(number: number, changes: Partial<Head> = {}): Head {
  return {
    videoId: `video_${String(number).padStart(4, '0')}`,
    accountId: 'account_tiny',
    keyId: 'key_tiny',
    model: 'animatic',
    queueKey: 'tiny',
    accountRunningMax: null,
    keyRunningMax: null,
    weight: 100,
    tier: 'standard',
    costMs: 100,
    expiresInMs: DAY_MS,
    passedOverAtMs: null,
    ...changes,
  }
}

/** Whom the gate would ask to make room, with these heads waiting. */
function asked(
  attempt: InFlight,
  heads: readonly Head[],
  { time = new VirtualTime(), runMsMin = 30_000 } = {},
): InFlight | null {
  const fleet = { inFlight: [attempt], running: new RunningCounts([attempt]) }
  const shares = { occupied: new Map([[attempt.accountId, 1]]), accountCap: POOL.slots }
  return victimFor(fleet, shares, new FairQueue(time, heads), preemptable(fleet, POOL, runMsMin))
}

test('a flex video makes room for a standard one, and not for another flex one', () => {
  expect(asked(flexRun(), [tinyHead(1)])?.videoId).toBe('video_flex')
  expect(asked(flexRun(), [tinyHead(1, { tier: 'flex' })])).toBeNull()
})

test('of several flex videos the one makes room whose account or key keeps the other video waiting, the first where none does', () => {
  const runs = ['a', 'b', 'c'].map((name) =>
    flexRun({ videoId: `video_${name}`, accountId: `account_${name}`, keyId: `key_${name}` }),
  )
  const fleet = { inFlight: runs, running: new RunningCounts(runs) }
  const victimOf = (head: Head) => {
    const shares = { occupied: new Map(runs.map(({ accountId }) => [accountId, 1])), accountCap: 3 }
    const queue = new FairQueue(new VirtualTime(), [head])
    const victim = victimFor(fleet, shares, queue, preemptable(fleet, POOL, 0))
    expect(shares.occupied).toEqual(new Map(runs.map(({ accountId }) => [accountId, 1])))
    return victim?.videoId ?? null
  }
  expect(victimOf(tinyHead(1))).toBe('video_a')
  expect(victimOf(tinyHead(1, { accountId: 'account_b', accountRunningMax: 1 }))).toBe('video_b')
  expect(victimOf(tinyHead(1, { keyId: 'key_c', keyRunningMax: 1 }))).toBe('video_c')
  expect(victimOf(tinyHead(1, { accountId: 'account_b', accountRunningMax: 0 }))).toBeNull()
})

test('a flex video that came back runs for as long as is set before it makes room again, and one that did not makes room at once', () => {
  for (const runMsMin of [0, 1_000, 30_000]) {
    const asksAt = (ranMs: number, cameBack = true) =>
      asked(flexRun({ cameBack, ranMs }), [tinyHead(1)], { runMsMin })?.videoId ?? null
    expect(asksAt(runMsMin - 1)).toBeNull()
    expect(asksAt(runMsMin)).toBe('video_flex')
    expect(asksAt(0, false)).toBe('video_flex')
  }
})

test('a flex video that is over in a few seconds is left alone, by its worker’s estimate before the prediction', () => {
  expect(asked(flexRun({ leftMs: 4_999 }), [tinyHead(1)])).toBeNull()
  expect(asked(flexRun({ freeInMs: 4_999 }), [tinyHead(1)])).toBeNull()
  expect(asked(flexRun({ leftMs: 0, freeInMs: 60_000 }), [tinyHead(1)])?.videoId).toBe('video_flex')
})

test('49 tiny standard videos in 40 s make another account’s flex video yield three times, not at each of them, and none of them waits longer than half a minute', () => {
  const everyMs = 40_000 / 49
  const time = new VirtualTime()
  const waiting: { head: Head; sinceMs: number }[] = []
  let flex: { startedAtMs: number; cameBack: boolean } | null = { startedAtMs: -60_000, cameBack: false }
  let freeAtMs = 0
  let yields = 0
  let longestWaitMs = 0
  let submitted = 0
  for (let nowMs = 0; nowMs < 120_000; nowMs += 50) {
    if (submitted < 49 && nowMs >= submitted * everyMs)
      waiting.push({ head: tinyHead(submitted++), sinceMs: nowMs })
    if (flex !== null) {
      const run = flexRun({ cameBack: flex.cameBack, ranMs: nowMs - flex.startedAtMs })
      const heads = waiting.slice(0, 1).map(({ head }) => head)
      if (asked(run, heads, { time }) === null) continue
      yields += 1
      flex = null
      freeAtMs = nowMs + 500
    }
    if (nowMs < freeAtMs) continue
    const heads = waiting.slice(0, 1).map(({ head }) => head)
    const flexHead = tinyHead(0, { videoId: 'video_flex', accountId: 'account_flex', tier: 'flex' })
    const choice = new FairQueue(time, [...heads, flexHead]).next(() => null)
    if (choice === null) throw new Error('the flex video always waits')
    time.advance(choice)
    if (choice.head === flexHead) {
      flex = { startedAtMs: nowMs, cameBack: true }
      continue
    }
    freeAtMs = nowMs + choice.head.costMs
    longestWaitMs = Math.max(longestWaitMs, nowMs - (waiting.shift()?.sinceMs ?? 0))
  }
  expect(submitted).toBe(49)
  expect(waiting).toEqual([])
  expect(yields).toBe(3)
  expect(longestWaitMs).toBeLessThan(35_000)
})

test('an account counts as long as something of it may wait for the pool or runs on it, however old, and not for what it submitted before', () => {
  const fleet = (changes: Partial<Fleet> = {}) => ({ inFlight: [], ...changes })
  const bulk = tinyHead(1, { accountId: 'account_bulk' })
  const other = tinyHead(2, { accountId: 'account_other' })
  const cap = (active: ReadonlySet<string>) => accountCap({ slots: 4 }, active, 75)
  expect(cap(activeAccounts(fleet(), POOL, [bulk, bulk]))).toBe(4)
  expect(cap(activeAccounts(fleet(), POOL, [bulk, other]))).toBe(3)
  expect(cap(activeAccounts(fleet({ inFlight: [flexRun()] }), POOL, [bulk]))).toBe(3)
  // Nothing of it can take a slot that is kept.
  for (const limit of [{ accountRunningMax: 0 }, { keyRunningMax: 0 }])
    expect(cap(activeAccounts(fleet(), POOL, [bulk, { ...other, ...limit }]))).toBe(4)
  // What runs elsewhere takes nothing from this pool.
  expect(cap(activeAccounts(fleet({ inFlight: [flexRun({ queue: 'b' })] }), POOL, [bulk]))).toBe(4)
})
