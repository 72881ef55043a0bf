import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SERVICE_TIERS, type ServiceTier } from '../videos/video.ts'
import { FairQueue, type Head, laneOf, VirtualTime } from './choose.ts'

interface Simple {
  head: Head
  lane: ServiceTier
  start: number
}

/** The rule as it is written down: first lane with anyone to serve, earliest start, older video among equals. */
function byTheBook(heads: readonly Head[], time: VirtualTime, mayGo: (accountId: string) => boolean): Simple | null {
  for (const lane of SERVICE_TIERS) {
    const standing = heads
      .filter((head) => laneOf(head) === lane && mayGo(head.accountId))
      .map((head) => ({ head, lane, start: Math.max(time.clockMs(lane), time.finishMs(lane, head.accountId)) }))
      .sort((a, b) => a.start - b.start || (a.head.videoId < b.head.videoId ? -1 : 1))
    if (standing[0] !== undefined) return standing[0]
  }
  return null
}

const arrival = fc.record({
  account: fc.integer({ min: 0, max: 5 }),
  tier: fc.constantFrom(...SERVICE_TIERS),
  costMs: fc.integer({ min: 0, max: 50 }),
  weight: fc.constantFrom(50, 100, 300),
  isUrgent: fc.boolean(),
})

test('the fair queue chooses as the rule says, through any run of arrivals, dispatches and capped accounts', () => {
  fc.assert(
    fc.property(fc.array(arrival, { maxLength: 60 }), fc.array(fc.integer({ min: 0, max: 63 }), { maxLength: 60 }), (arrivals, turns) => {
      const time = new VirtualTime()
      const queue = new FairQueue(time)
      let standing: Head[] = []
      let number = 0
      for (const [index, given] of arrivals.entries()) {
        const head: Head = {
          videoId: `video_${String(number++).padStart(4, '0')}`,
          accountId: `account_${given.account}`,
          model: 'animatic',
          line: `${given.account} ${index}`,
          weight: given.weight,
          tier: given.tier,
          costMs: given.costMs,
          expiresInMs: given.isUrgent ? 1_000 : 86_400_000,
        }
        queue.push(head)
        standing.push(head)
        const capped = turns[index]
        if (capped === undefined) continue
        const mayGo = (accountId: string) => (capped & (1 << Number(accountId.slice(-1)))) === 0
        const expected = byTheBook(standing, time, mayGo)
        const choice = queue.next(mayGo)
        expect(choice?.head.videoId).toBe(expected?.head.videoId)
        if (choice === null) continue
        expect(choice).toMatchObject({ lane: expected?.lane, startTagMs: expected?.start })
        standing = standing.filter((other) => other !== choice.head)
        time.advance(choice)
      }
      expect(queue.size).toBe(standing.length)
    }),
    { numRuns: 300 },
  )
})
