import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FairQueue, type Head, type Switching, tierOf } from './choose.ts'
import { VirtualTime } from './virtual-time.ts'

/*
 * Slots that take videos of several models for a while: the gate's choice with the preference for what is
 * loaded, and without it.
 */

const MODELS = ['ink', 'clay', 'neon']
const ACCOUNTS = 4
const SWITCH_MS = 20
const WAIT_MS_MAX = 200

interface Asked {
  atMs: number
  account: number
  model: string
  tier: ServiceTier
  costMs: number
  weight: number
}

interface Slot {
  freeAtMs: number
  model: string
}

/** What was taken, and who was waiting and fairer at that moment. */
interface Taken {
  atMs: number
  head: Head
  isSwitch: boolean
  fairer: readonly Head[]
  /** Slots that were free, the one that it took included. */
  free: number
}

function headOf(asked: Asked, number: number): Head {
  return {
    videoId: `video_${String(number).padStart(5, '0')}`,
    accountId: `account_${asked.account}`,
    keyId: `key_${asked.account}`,
    model: asked.model,
    queueKey: String(number),
    accountRunningMax: null,
    keyRunningMax: null,
    weight: asked.weight,
    tier: asked.tier,
    costMs: asked.costMs,
    expiresInMs: 86_400_000,
    passedOverAtMs: null,
  }
}

/** Serves all that is asked for, in the order the gate chooses. */
function serve(asked: readonly Asked[], slotCount: number, waitMsMax: number): Taken[] {
  const time = new VirtualTime()
  const queue = new FairQueue(time)
  const waiting = new Set<Head>()
  const slots: Slot[] = Array.from({ length: slotCount }, (_, index) => ({
    freeAtMs: 0,
    model: MODELS[index % MODELS.length] ?? '',
  }))
  const arrivals = asked
    .map((each, number) => ({ atMs: each.atMs, head: headOf(each, number) }))
    .sort((a, b) => a.atMs - b.atMs)
  const taken: Taken[] = []
  let nowMs = 0
  while (arrivals.length > 0 || waiting.size > 0) {
    const nextFreeMs = Math.min(...slots.map(({ freeAtMs }) => freeAtMs))
    nowMs = Math.max(nowMs, nextFreeMs, waiting.size === 0 ? (arrivals[0]?.atMs ?? 0) : 0)
    for (let next = arrivals[0]; next !== undefined && next.atMs <= nowMs; next = arrivals[0]) {
      arrivals.shift()
      waiting.add(next.head)
      queue.push(next.head)
    }
    const free = slots.filter(({ freeAtMs }) => freeAtMs <= nowMs)
    const switching: Switching = { loaded: new Set(free.map(({ model }) => model)), nowMs, waitMsMax }
    const startMs = ({ accountId }: Head, tier: ServiceTier) =>
      Math.max(time.clockMs(tier), time.finishMs(tier, accountId))
    const keyOf = (head: Head, tier: ServiceTier) => ({ startMs: startMs(head, tier), id: head.videoId })
    const keys = new Map([...waiting].map((head) => [head, keyOf(head, tierOf(head))]))
    const choice = queue.next(() => null, switching)
    if (choice === null) continue
    const { head } = choice
    const own = keys.get(head) ?? { startMs: 0, id: '' }
    const fairer = [...waiting].filter((other) => {
      const key = keys.get(other) ?? own
      if (tierOf(other) !== choice.tier)
        return SERVICE_TIERS.indexOf(tierOf(other)) < SERVICE_TIERS.indexOf(choice.tier)
      return key.startMs < own.startMs || (key.startMs === own.startMs && key.id < own.id)
    })
    const slot = free.find(({ model }) => model === head.model) ?? free[0]
    if (slot === undefined) throw new Error('a slot is free')
    const isSwitch = slot.model !== head.model
    taken.push({ atMs: nowMs, head, isSwitch, fairer, free: free.length })
    slot.freeAtMs = nowMs + head.costMs + (isSwitch ? SWITCH_MS : 0)
    slot.model = head.model
    waiting.delete(head)
    time.advance(choice)
  }
  return taken
}

const switchesOf = (taken: readonly Taken[]) => taken.filter(({ isSwitch }) => isSwitch).length

const anything = fc.record({
  atMs: fc.integer({ min: 0, max: 1_500 }),
  account: fc.integer({ min: 0, max: ACCOUNTS - 1 }),
  model: fc.constantFrom(...MODELS),
  tier: fc.constantFrom(...SERVICE_TIERS),
  costMs: fc.integer({ min: 1, max: 60 }),
  weight: fc.constantFrom(50, 100, 300),
})
const crowd = fc.array(anything, { minLength: 1, maxLength: 80, size: 'max' })
const slotCounts = fc.integer({ min: 1, max: 4 })

test('nobody is passed over for what is loaded once the bound has gone by, nor for a video that outlasts it, and never for a lower tier', () => {
  fc.assert(
    fc.property(crowd, slotCounts, (asked, slotCount) => {
      const passedOverAtMs = new Map<Head, number>()
      for (const { atMs, head, isSwitch, fairer } of serve(asked, slotCount, WAIT_MS_MAX)) {
        if (fairer.length > 0) expect(isSwitch).toBe(false)
        for (const other of fairer) {
          expect(tierOf(other)).toBe(tierOf(head))
          const sinceMs = passedOverAtMs.get(other) ?? atMs
          passedOverAtMs.set(other, sinceMs)
          expect(atMs - sinceMs + head.costMs).toBeLessThanOrEqual(WAIT_MS_MAX)
          expect(other.passedOverAtMs).toBe(sinceMs)
        }
      }
    }),
    { numRuns: 500 },
  )
})

test('what others get on a slot before a fairer video, all together, lasts no longer than the bound', () => {
  fc.assert(
    fc.property(crowd, slotCounts, (asked, slotCount) => {
      const beforeMs = new Map<Head, number>()
      for (const { head, fairer } of serve(asked, slotCount, WAIT_MS_MAX)) {
        for (const other of fairer) beforeMs.set(other, (beforeMs.get(other) ?? 0) + head.costMs)
      }
      for (const ms of beforeMs.values()) expect(ms).toBeLessThanOrEqual(WAIT_MS_MAX * slotCount)
    }),
    { numRuns: 500 },
  )
})

test('with a bound of 0 nobody is passed over', () => {
  fc.assert(
    fc.property(crowd, slotCounts, (asked, slotCount) => {
      for (const { fairer } of serve(asked, slotCount, 0)) expect(fairer).toEqual([])
    }),
    { numRuns: 200 },
  )
})

test('two models on one slot never switch more often than in the plain order, when all is there to choose from', () => {
  const backlog = fc.array(
    fc.record({
      atMs: fc.constant(0),
      account: fc.integer({ min: 0, max: ACCOUNTS - 1 }),
      model: fc.constantFrom('ink', 'clay'),
      tier: fc.constant('standard' as const),
      costMs: fc.integer({ min: 1, max: 60 }),
      weight: fc.constantFrom(50, 100, 300),
    }),
    { minLength: 1, maxLength: 80, size: 'max' },
  )
  fc.assert(
    fc.property(backlog, (asked) => {
      const preferred = switchesOf(serve(asked, 1, WAIT_MS_MAX))
      expect(preferred).toBeLessThanOrEqual(switchesOf(serve(asked, 1, 0)))
    }),
    { numRuns: 300 },
  )
})

test('any crowd switches less often in the long run, on any number of slots', () => {
  // Nobody knows what comes next, so a single crowd may switch once more: seeded, and all together.
  const crowds = fc.sample(crowd, { numRuns: 200, seed: 27 })
  for (const slotCount of [1, 2, 4]) {
    const sum = (waitMsMax: number) =>
      crowds.reduce((all, asked) => all + switchesOf(serve(asked, slotCount, waitMsMax)), 0)
    expect(sum(WAIT_MS_MAX)).toBeLessThan(sum(0))
  }
})

test('accounts that always wait, each for a model of its own, never get further apart than by the bound and two videos', () => {
  const account = fc.record({
    weight: fc.constantFrom(50, 100, 300),
    costMs: fc.integer({ min: 1, max: 60 }),
  })
  fc.assert(
    fc.property(fc.array(account, { minLength: 2, maxLength: MODELS.length }), (accounts) => {
      const time = new VirtualTime()
      const queue = new FairQueue(time)
      let number = 0
      const push = (index: number) => {
        const { weight, costMs } = accounts[index] ?? { weight: 100, costMs: 1 }
        const model = MODELS[index] ?? ''
        queue.push(headOf({ atMs: 0, account: index, model, tier: 'standard', costMs, weight }, number++))
      }
      for (const index of accounts.keys()) push(index)
      const got = accounts.map(() => 0)
      const weightMin = Math.min(...accounts.map(({ weight }) => weight))
      let model = ''
      let nowMs = 0
      for (let turn = 0; turn < 300; turn += 1) {
        const choice = queue.next(() => null, { loaded: new Set([model]), nowMs, waitMsMax: WAIT_MS_MAX })
        if (choice === null) throw new Error('somebody always waits')
        const { head } = choice
        nowMs += head.costMs + (head.model === model ? 0 : SWITCH_MS)
        model = head.model
        time.advance(choice)
        const index = MODELS.indexOf(model)
        got[index] = (got[index] ?? 0) + (head.costMs * 100) / head.weight
        expect(Math.max(...got) - Math.min(...got)).toBeLessThanOrEqual(
          ((WAIT_MS_MAX + 2 * 60) * 100) / weightMin,
        )
        push(index)
      }
    }),
    { numRuns: 100 },
  )
})
