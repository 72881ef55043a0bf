import type { ServiceTier } from '@sluice/shared/service-tier'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FairQueue, type Head } from './choose.ts'
import { Elsewhere, type OtherPool, type Surroundings } from './route.ts'
import { VirtualTime } from './virtual-time.ts'

const DAY_MS = 86_400_000

const head = (id: number, fields: Partial<Head> = {}): Head => ({
  videoId: `video_${String(id).padStart(4, '0')}`,
  accountId: 'account',
  keyId: 'key',
  model: 'ink',
  queueKey: 'line',
  accountRunningMax: null,
  keyRunningMax: null,
  weight: 100,
  tier: 'standard',
  costMs: 30_000,
  expiresInMs: DAY_MS,
  passedOverAtMs: null,
  ...fields,
})

interface Other {
  costMs: number | null
  freeInMs: number[]
  price?: bigint | null
  slots?: number
  own?: Partial<Record<ServiceTier, number[] | null>>
  loaded?: string
}

const other = ({ freeInMs, price = null, slots, own = {}, loaded }: Other, number: number): OtherPool => ({
  number,
  pool: {
    slots: slots ?? Math.max(1, freeInMs.length),
    loaded: loaded === undefined ? [] : [{ worker: 'w', slot: 0, model: loaded }],
    switchMs: 20_000,
    costPerHourMicros: price,
  },
  readSlots: (free) => free.set(freeInMs),
  firstFreeInMs: Math.min(...freeInMs),
  ownOf: (tier) => (tier in own ? (own[tier] ?? null) : []),
})

const elsewhere = (others: Other[], fields: Partial<Surroundings> & { price?: bigint | null } = {}) => {
  const { price = null, ...more } = fields
  return new Elsewhere({
    pool: { switchMs: 20_000, costPerHourMicros: price },
    freeInMs: 0,
    loaded: new Set(),
    flexQueued: 1,
    others: others.map(other),
    costsOf: () => others.map(({ costMs }) => costMs ?? Number.POSITIVE_INFINITY),
    ...more,
  })
}
const waits = (at: Elsewhere, video = head(0), tier: ServiceTier = 'standard') => at.waits(video, tier)

describe('a standard or priority video', () => {
  test('goes where it is finished first of all pools, each after those before it: as planned by trying every pool', () => {
    const pools = fc.array(
      fc.record({
        costMs: fc.integer({ min: 1_000, max: 90_000 }),
        freeInMs: fc.array(fc.nat(60_000), { minLength: 1, maxLength: 3 }),
      }),
      { maxLength: 3 },
    )
    fc.assert(
      fc.property(pools, fc.integer({ min: 1, max: 12 }), fc.nat(2_000), (others, videos, freeInMs) => {
        const at = elsewhere(others, { freeInMs })
        const slots = others.map(({ freeInMs }) => [...freeInMs])
        for (let id = 0; id < videos; id += 1) {
          const video = head(id)
          const ends = others.map(({ costMs }, index) => Math.min(...(slots[index] ?? [])) + (costMs ?? 0))
          const best = ends.indexOf(Math.min(...ends))
          // Within a twentieth it is the same.
          const isSooner = (ends[best] ?? Number.POSITIVE_INFINITY) < (freeInMs + video.costMs) * 0.95
          expect(waits(at, video)).toBe(isSooner)
          if (!isSooner) return
          const ofBest = slots[best] ?? []
          ofBest[ofBest.indexOf(Math.min(...ofBest))] = ends[best] ?? 0
        }
      }),
    )
  })

  test('does not wait for a pool that is as fast, nor for one that cannot make it or has no slot', () => {
    expect(waits(elsewhere([{ costMs: 30_000, freeInMs: [0] }]))).toBe(false)
    expect(waits(elsewhere([{ costMs: null, freeInMs: [0] }]))).toBe(false)
    expect(waits(elsewhere([{ costMs: 1_000, freeInMs: [] }]))).toBe(false)
    expect(waits(elsewhere([{ costMs: 1_000, freeInMs: [1_000] }]))).toBe(true)
  })

  test('takes the cheaper of two pools where it is finished at the same time, as far as both say what they cost', () => {
    const cheaper = { costMs: 30_000, freeInMs: [500], price: 1_990_000n }
    expect(waits(elsewhere([cheaper], { price: 2_990_000n }))).toBe(true)
    expect(waits(elsewhere([cheaper], { price: 1_990_000n }))).toBe(false)
    expect(waits(elsewhere([cheaper]))).toBe(false)
    expect(waits(elsewhere([{ ...cheaper, freeInMs: [9_000] }], { price: 2_990_000n }))).toBe(false)
  })

  test('waits behind what only the other pool can make, in its tier and above, and not at all while that may be any number', () => {
    const fast = (own: Other['own']) => elsewhere([{ costMs: 10_000, freeInMs: [0], ...(own && { own }) }])
    expect(waits(fast({ standard: [10_000] }))).toBe(true)
    expect(waits(fast({ standard: [20_000] }))).toBe(false)
    expect(waits(fast({ priority: [20_000] }))).toBe(false)
    expect(waits(fast({ flex: [20_000] }))).toBe(true)
    expect(waits(fast({ standard: [20_000] }), head(0, { tier: 'priority' }), 'priority')).toBe(true)
    expect(waits(fast({ standard: null }))).toBe(false)
  })

  test('counts the switch of models that it would take, here and there', () => {
    const there = { costMs: 20_000, freeInMs: [0] }
    expect(waits(elsewhere([{ ...there, loaded: 'clay' }]))).toBe(false)
    expect(waits(elsewhere([{ ...there, loaded: 'ink' }]))).toBe(true)
    expect(waits(elsewhere([{ ...there, loaded: 'clay' }], { loaded: new Set(['clay']) }))).toBe(true)
  })

  test('waits for another pool no longer than it would have taken where there is room', () => {
    const others = { waits: () => true, behind: () => null }
    const next = (nowMs: number, video: Head) => {
      const queue = new FairQueue(new VirtualTime(), [video])
      const switching = { loaded: new Set<string>(), nowMs, waitMsMax: 0 }
      return queue.next(() => null, switching, others)?.head.videoId
    }
    const video = head(7)
    expect(next(1_000, video)).toBeUndefined()
    expect(video.putOffAtMs).toBe(1_000)
    expect(next(30_999, video)).toBeUndefined()
    expect(next(31_000, video)).toBe('video_0007')
    // A flex video only has its deadline.
    const flex = head(8, { tier: 'flex', putOffAtMs: 0 })
    expect(next(1_000_000, flex)).toBeUndefined()
  })
})

describe('a flex video', () => {
  const flex = (expiresInMs = DAY_MS) => head(0, { tier: 'flex', expiresInMs })
  /** Half the price an hour, and half as fast again: three quarters of the cost. */
  const cheap = { costMs: 45_000, freeInMs: [600_000], price: 1_000_000n }

  test('waits for the pool where it costs least, however soon another could begin', () => {
    expect(waits(elsewhere([cheap], { price: 2_000_000n }), flex(), 'flex')).toBe(true)
    expect(waits(elsewhere([cheap], { price: 1_500_000n }), flex(), 'flex')).toBe(false)
    expect(waits(elsewhere([cheap], { price: 1_400_000n }), flex(), 'flex')).toBe(false)
    expect(waits(elsewhere([{ ...cheap, costMs: null }], { price: 2_000_000n }), flex(), 'flex')).toBe(false)
  })

  test('waits for none where none is cheaper, also when it never expires', () => {
    const never = flex(Number.POSITIVE_INFINITY)
    expect(waits(elsewhere([{ costMs: 30_000, freeInMs: [0] }]), never, 'flex')).toBe(false)
    expect(waits(elsewhere([cheap], { price: 1_400_000n }), never, 'flex')).toBe(false)
  })

  test('compares only pools that say what they cost', () => {
    expect(waits(elsewhere([cheap]), flex(), 'flex')).toBe(false)
    expect(waits(elsewhere([{ ...cheap, price: null }], { price: 2_000_000n }), flex(), 'flex')).toBe(false)
  })

  test('goes where there is room once the cheaper pools could not make all that waits well before its deadline', () => {
    const at = (flexQueued: number, others = [cheap]) => elsewhere(others, { price: 2_000_000n, flexQueued })
    const hour = 3_600_000
    // 39 videos of 45 s, and its own: just half an hour.
    expect(waits(at(39), flex(hour), 'flex')).toBe(true)
    expect(waits(at(40), flex(hour), 'flex')).toBe(false)
    expect(waits(at(40), flex(2 * hour), 'flex')).toBe(true)
    // Two cheaper pools make them together.
    expect(waits(at(78, [cheap, cheap]), flex(hour), 'flex')).toBe(true)
    expect(waits(at(80, [cheap, cheap]), flex(hour), 'flex')).toBe(false)
  })

  test('whose deadline is near goes where it is finished first', () => {
    const near = head(0, { tier: 'flex', expiresInMs: 60_000 })
    const others = elsewhere([cheap], { price: 2_000_000n })
    const queue = new FairQueue(new VirtualTime(), [near])
    const choice = queue.next(() => null, undefined, {
      waits: (one, tier) => others.waits(one, tier),
      behind: () => null,
    })
    expect(choice).toMatchObject({ tier: 'standard', head: { videoId: near.videoId } })
  })
})
