import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FairQueue, type Head, tierOf, VirtualTime } from './choose.ts'

interface Simple {
  head: Head
  tier: ServiceTier
  start: number
}

/**
 * The rule as it is written down: first tier with anyone to serve, earliest start, among
 * equals the older video.
 */
function byTheBook(heads: readonly Head[], time: VirtualTime, mayGo: (head: Head) => boolean): Simple | null {
  for (const tier of SERVICE_TIERS) {
    const standing = heads
      .filter((head) => tierOf(head) === tier && mayGo(head))
      .map((head) => ({
        head,
        tier,
        start: Math.max(time.clockMs(tier), time.finishMs(tier, head.accountId)),
      }))
      .sort((a, b) => a.start - b.start || (a.head.videoId < b.head.videoId ? -1 : 1))
    if (standing[0] !== undefined) return standing[0]
  }
  return null
}

const ACCOUNTS = 6
const KEYS_EACH = 3
function idsOf(kind: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${kind}_${index}`)
}

const arrival = fc.record({
  account: fc.integer({ min: 0, max: ACCOUNTS - 1 }),
  key: fc.integer({ min: 0, max: KEYS_EACH - 1 }),
  tier: fc.constantFrom(...SERVICE_TIERS),
  costMs: fc.integer({ min: 0, max: 50 }),
  weight: fc.constantFrom(50, 100, 300),
  isUrgent: fc.boolean(),
})

const OWNERS = idsOf('key', ACCOUNTS * KEYS_EACH).map((keyId, index) => ({
  accountId: `account_${Math.floor(index / KEYS_EACH)}`,
  keyId,
}))
/** The accounts and keys that are at a limit when somebody is chosen. */
const turn = fc.record({
  accounts: fc.subarray(idsOf('account', ACCOUNTS)),
  keys: fc.subarray(idsOf('key', ACCOUNTS * KEYS_EACH)),
})

test('the fair queue chooses as the rule says, through any run of arrivals, dispatches and accounts and keys at their limits', () => {
  fc.assert(
    fc.property(
      fc.array(arrival, { maxLength: 60 }),
      fc.array(turn, { maxLength: 60 }),
      (arrivals, turns) => {
        const time = new VirtualTime()
        const queue = new FairQueue(time)
        let standing: Head[] = []
        let number = 0
        for (const [index, given] of arrivals.entries()) {
          const head: Head = {
            videoId: `video_${String(number++).padStart(4, '0')}`,
            accountId: `account_${given.account}`,
            model: 'animatic',
            keyId: `key_${given.account * KEYS_EACH + given.key}`,
            queueKey: `${given.account} ${index}`,
            accountRunningMax: null,
            keyRunningMax: null,
            weight: given.weight,
            tier: given.tier,
            costMs: given.costMs,
            expiresInMs: given.isUrgent ? 1_000 : 86_400_000,
          }
          queue.push(head)
          standing.push(head)
          const limited = turns[index]
          if (limited === undefined) continue
          const atLimit = new Set([...limited.accounts, ...limited.keys])
          const limitOf = (head: Head) => [head.accountId, head.keyId].find((id) => atLimit.has(id)) ?? null
          for (const owner of OWNERS) queue.resume(owner)
          const expected = byTheBook(standing, time, (head) => limitOf(head) === null)
          const choice = queue.next(limitOf)
          expect(choice?.head.videoId).toBe(expected?.head.videoId)
          if (choice === null) continue
          expect(choice).toMatchObject({ tier: expected?.tier, startTagMs: expected?.start })
          standing = standing.filter((other) => other !== choice.head)
          time.advance(choice)
        }
        expect(queue.size).toBe(standing.length)
      },
    ),
    { numRuns: 300 },
  )
})
