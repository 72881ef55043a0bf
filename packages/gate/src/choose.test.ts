import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FairQueue, type Head, tierOf } from './choose.ts'
import { VirtualTime } from './virtual-time.ts'

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
            passedOverAtMs: null,
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

/** Serves `turns` videos of accounts that always have more of them. Returns the milliseconds each got. */
function serve(accounts: readonly Pick<Head, 'accountId' | 'weight' | 'costMs'>[], turns: number) {
  const time = new VirtualTime()
  const queue = new FairQueue(time)
  const servedMs = new Map<string, number>()
  let number = 0
  const push = (account: Pick<Head, 'accountId' | 'weight' | 'costMs'>) =>
    queue.push({
      ...account,
      videoId: `video_${String(number++).padStart(6, '0')}`,
      keyId: account.accountId,
      model: 'animatic',
      queueKey: account.accountId,
      accountRunningMax: null,
      keyRunningMax: null,
      tier: 'standard',
      expiresInMs: 86_400_000,
      passedOverAtMs: null,
    })
  for (const account of accounts) push(account)
  for (let turn = 0; turn < turns; turn += 1) {
    const choice = queue.next(() => null)
    if (choice === null) throw new Error('somebody always waits')
    const { head } = choice
    servedMs.set(head.accountId, (servedMs.get(head.accountId) ?? 0) + head.costMs)
    time.advance(choice)
    push(head)
  }
  return servedMs
}

test('accounts that always wait get GPU time by their weights, whatever their videos cost', () => {
  const servedMs = serve(
    [
      { accountId: 'small', weight: 100, costMs: 70 },
      { accountId: 'large', weight: 300, costMs: 20 },
      { accountId: 'usual', weight: 100, costMs: 5 },
    ],
    20_000,
  )
  const of = (account: string) => servedMs.get(account) ?? 0
  expect(of('large') / of('usual')).toBeCloseTo(3, 1)
  expect(of('small') / of('usual')).toBeCloseTo(1, 1)
})

test('a flex video is served as standard when its deadline is near: within an hour, or ten times its cost', () => {
  const hourMs = 3_600_000
  const tierOfFlex = (costMs: number, expiresInMs: number) => tierOf({ tier: 'flex', costMs, expiresInMs })
  expect(tierOfFlex(1_000, hourMs)).toBe('standard')
  expect(tierOfFlex(1_000, hourMs + 1)).toBe('flex')
  expect(tierOfFlex(hourMs, 10 * hourMs)).toBe('standard')
  expect(tierOfFlex(hourMs, 10 * hourMs + 1)).toBe('flex')
  expect(tierOf({ tier: 'priority', costMs: 1, expiresInMs: 0 })).toBe('priority')
})

test('a choice looks at a few heads, however many queues one account has', () => {
  let looks = 0
  const time = new VirtualTime()
  const head = (number: number): Head => ({
    videoId: `video_${String(number).padStart(6, '0')}`,
    get accountId() {
      looks += 1
      return 'account'
    },
    model: 'animatic',
    keyId: `key_${number % 1_000}`,
    queueKey: `key_${number % 1_000}`,
    accountRunningMax: null,
    keyRunningMax: null,
    weight: 100,
    tier: 'standard',
    costMs: 10,
    expiresInMs: 86_400_000,
    passedOverAtMs: null,
  })
  const queue = new FairQueue(
    time,
    Array.from({ length: 1_000 }, (_, index) => head(index)),
  )
  looks = 0
  for (let turn = 0; turn < 1_000; turn += 1) {
    const choice = queue.next(() => null)
    expect(choice?.head.videoId).toBe(head(turn).videoId)
    if (choice === null) break
    time.advance(choice)
    queue.push(head(1_000 + turn))
  }
  expect(looks / 1_000).toBeLessThan(10)
})

test('one whose deadline is near goes, though before it in its queue stands one that waits for another pool', () => {
  const flex = (number: number, expiresInMs: number): Head => ({
    videoId: `video_${number}`,
    accountId: 'account',
    model: 'animatic',
    keyId: 'key',
    queueKey: 'line',
    accountRunningMax: null,
    keyRunningMax: null,
    weight: 100,
    tier: 'flex',
    costMs: 10,
    expiresInMs,
    passedOverAtMs: null,
  })
  const [patient, urgent] = [flex(1, 86_400_000), flex(2, 1_000)]
  // It need not wait, and comes after both.
  const other = { ...flex(3, 86_400_000), accountId: 'other', queueKey: 'other line' }
  const others = {
    waits: (head: Head) => head === patient,
    behind: (head: Head) => (head === patient ? urgent : null),
  }
  for (const beside of [[], [other]]) {
    const queue = new FairQueue(new VirtualTime(), [patient, ...beside])
    expect(queue.next(() => null, undefined, others)).toMatchObject({ head: urgent, tier: 'standard' })
    expect(queue.next(() => null, undefined, others)?.head).toBe(beside[0])
  }
})
