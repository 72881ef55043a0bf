import { expect, test } from 'vitest'
import { inOrderOfFilling, movable, takesNow } from './delivery.ts'
import type { InFlight, Pool } from './fleet.ts'

const SHAPE = { capability: 'animatic', width: 336, height: 192, num_frames: 5, video_tokens: 504n }

function pool(queue: string, changes: Partial<Pool> = {}): Pool {
  return {
    pool: queue,
    queue,
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
    ...changes,
  }
}

function attempt(queue: string, changes: Partial<InFlight> = {}): InFlight {
  return {
    videoId: `video_on_${queue}`,
    accountId: 'account',
    keyId: 'key',
    tier: 'standard',
    pool: queue,
    queue,
    fence: 1,
    shape: SHAPE,
    model: 'animatic',
    worker: null,
    slot: null,
    isTaken: false,
    dispatchedMs: 5_000,
    isRunning: false,
    isYielding: false,
    cameBack: false,
    ranMs: 0,
    expiresInMs: 86_400_000,
    freeInMs: null,
    leftMs: 1_000,
    uploadMs: 0,
    ...changes,
  }
}

test('a video that nobody took for five seconds goes to another pool that could start it now', () => {
  const untaken = attempt('deaf')
  expect(movable({ pools: [pool('deaf'), pool('idle')], inFlight: [untaken] })).toEqual([untaken])
  // Its workers may have gone meanwhile.
  expect(movable({ pools: [pool('idle')], inFlight: [untaken] })).toEqual([untaken])
})

test.each<[string, { pools: Pool[]; inFlight: InFlight[] }]>([
  ['there is no other pool', { pools: [pool('deaf')], inFlight: [attempt('deaf')] }],
  [
    'the other pool is full',
    { pools: [pool('deaf'), pool('full')], inFlight: [attempt('deaf'), attempt('full', { isTaken: true })] },
  ],
  [
    'the other pool cannot make it',
    { pools: [pool('deaf'), pool('other', { capabilities: ['ink'] })], inFlight: [attempt('deaf')] },
  ],
  [
    'the other pool does not take either',
    { pools: [pool('deaf'), pool('other', { untaken: 1 })], inFlight: [attempt('deaf')] },
  ],
  [
    'it was put there just now',
    { pools: [pool('deaf'), pool('idle')], inFlight: [attempt('deaf', { dispatchedMs: 4_999 })] },
  ],
  [
    'it was taken, also where another slot is free',
    { pools: [pool('deaf', { slots: 2 }), pool('idle')], inFlight: [attempt('deaf', { isTaken: true })] },
  ],
  [
    'it waits for a device that is nearly free',
    {
      pools: [pool('busy'), pool('idle')],
      inFlight: [attempt('busy', { isTaken: true, freeInMs: 100 }), attempt('busy')],
    },
  ],
])('an untaken video stays where it is when %s', (_why, fleet) => {
  expect(movable(fleet)).toEqual([])
})

test('no more videos leave a pool than the others have free slots', () => {
  const fleet = {
    pools: [pool('deaf', { slots: 3 }), pool('idle')],
    inFlight: [attempt('deaf'), attempt('deaf'), attempt('deaf')],
  }
  expect(movable(fleet)).toHaveLength(1)
})

test('a queue that leaves videos untaken gets none while it is paused, and then one at a time', () => {
  expect(takesNow({ inFlight: [] }, pool('well', { slots: 4 }))).toBe(4)
  expect(takesNow({ inFlight: [] }, pool('deaf', { slots: 4, untaken: 2, isPaused: true }))).toBe(0)
  expect(takesNow({ inFlight: [] }, pool('deaf', { slots: 4, untaken: 2 }))).toBe(1)
  expect(takesNow({ inFlight: [attempt('deaf')] }, pool('deaf', { slots: 4, untaken: 2 }))).toBe(0)
})

test('pools that take what they are given are filled first, and of those the ones that can make less', () => {
  const pools = [
    pool('deaf', { untaken: 1 }),
    pool('all', { capabilities: ['animatic', 'ink'] }),
    pool('one'),
  ]
  expect(inOrderOfFilling(pools).map(({ queue }) => queue)).toEqual(['one', 'all', 'deaf'])
})
