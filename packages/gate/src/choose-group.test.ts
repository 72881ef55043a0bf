import { SERVICE_TIERS } from '@sluice/shared/service-tier'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Choice, FairQueue, type Head } from './choose.ts'
import { chooseGroup, countDispatch, type Standing } from './choose-group.ts'
import { FreeSlots } from './loaded-slots.ts'
import { limitOn } from './preempt.ts'
import { RunningCounts } from './running-counts.ts'
import { VirtualTime } from './virtual-time.ts'

const MODELS = ['ink', 'clay', 'neon']
const RUNNING_MAX = [null, null, 0, 1, 3]

const line = fc.record({
  account: fc.integer({ min: 0, max: 4 }),
  key: fc.integer({ min: 0, max: 2 }),
  tier: fc.constantFrom(...SERVICE_TIERS),
  model: fc.constantFrom(...MODELS),
  costMs: fc.integer({ min: 1, max: 40 }),
  weight: fc.constantFrom(50, 100, 300),
  passedOverAtMs: fc.constantFrom(null, null, 0, -50, -190),
  videos: fc.integer({ min: 1, max: 6 }),
})

const scene = fc.record({
  lines: fc.array(line, { minLength: 1, maxLength: 14, size: 'max' }),
  slots: fc.array(fc.constantFrom(...MODELS, null), { minLength: 1, maxLength: 16, size: 'max' }),
  accountCap: fc.integer({ min: 1, max: 16 }),
  accountRunningMax: fc.array(fc.constantFrom(...RUNNING_MAX), { minLength: 5, maxLength: 5 }),
  keyRunningMax: fc.array(fc.constantFrom(...RUNNING_MAX), { minLength: 3, maxLength: 3 }),
  finishMs: fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 5, maxLength: 5 }),
  /** Places in the order of age of videos that are no longer queued when they are dispatched. */
  gone: fc.oneof(fc.constant<number[]>([]), fc.uniqueArray(fc.nat({ max: 60 }), { maxLength: 12 })),
  groupMax: fc.integer({ min: 2, max: 20 }),
})
type Scene = typeof scene extends fc.Arbitrary<infer Value> ? Value : never

/** The lines, oldest video first, and which of the videos are gone. */
function waitingOf({ lines, gone, accountRunningMax, keyRunningMax }: Scene): {
  lines: Map<string, Head[]>
  gone: ReadonlySet<string>
} {
  const heads: Head[] = []
  // The lines take turns, so that no line is older than another as a whole.
  for (let place = 0; place < 6; place += 1) {
    for (const [index, given] of lines.entries()) {
      if (place >= given.videos) continue
      heads.push({
        videoId: `video_${String(heads.length).padStart(4, '0')}`,
        accountId: `account_${given.account}`,
        keyId: `key_${given.account}_${given.key}`,
        model: given.model,
        queueKey: String(index),
        accountRunningMax: accountRunningMax[given.account] ?? null,
        keyRunningMax: keyRunningMax[given.key] ?? null,
        weight: given.weight,
        tier: given.tier,
        costMs: given.costMs,
        expiresInMs: 86_400_000,
        passedOverAtMs: given.passedOverAtMs,
      })
    }
  }
  return {
    lines: Map.groupBy(heads, ({ queueKey }) => queueKey),
    gone: new Set(gone.map((place) => heads[place]?.videoId ?? '')),
  }
}

function standingOf({ slots, accountCap, finishMs, gone }: Scene): Standing {
  const time = new VirtualTime()
  for (const [account, ms] of finishMs.entries()) time.raiseFinish('standard', `account_${account}`, ms)
  return {
    time,
    running: new RunningCounts([]),
    shares: { occupied: new Map(), accountCap },
    free: FreeSlots.of(slots.map((model, slot) => ({ worker: 'one', slot, model }))),
    wanted: new Set(MODELS.slice(0, 2)),
    // A group knows of all of its videos that are gone as soon as of the first one: nothing waits for them,
    // and nobody passes them over. One at a time that is known later: they are compared where nobody is.
    switchWaitMsMax: gone.length === 0 ? 200 : 0,
  }
}

/** What a choice is known by. */
const asText = ({ head, tier, clockMs, finishTagMs, passedOver }: Choice, slot: string | null | undefined) =>
  `${head.videoId} ${tier} ${clockMs} ${finishTagMs} ${slot} before ${passedOver.map(({ videoId }) => videoId)}`

/** One at a time, from one fair queue: each is dispatched before the next is chosen. */
function oneAtATime(of: Scene): string[] {
  const { lines, gone } = waitingOf(of)
  const standing = standingOf(of)
  const { time, running, shares, free, switchWaitMsMax } = standing
  const queue = new FairQueue(
    time,
    [...lines.values()].flatMap(([head]) => head ?? []),
  )
  const taken: string[] = []
  while (taken.length < of.slots.length) {
    const switching = { loaded: free.models(), nowMs: 0, waitMsMax: switchWaitMsMax }
    const choice = queue.next((head) => limitOn(head, shares, running), switching)
    if (choice === null) return taken
    if (!gone.has(choice.head.videoId)) taken.push(asText(choice, countDispatch(standing, choice)?.model))
    const ofLine = lines.get(choice.head.queueKey) ?? []
    ofLine.shift()
    if (ofLine[0] !== undefined) queue.push(ofLine[0])
  }
  return taken
}

/** In groups: of each the videos before the first that is gone go, and all that are gone leave. */
function inGroups(of: Scene): string[] {
  const { lines, gone } = waitingOf(of)
  const standing = standingOf(of)
  const taken: string[] = []
  while (taken.length < of.slots.length) {
    const heads = [...lines.values()].flatMap(([head]) => (head === undefined ? [] : { ...head }))
    const at = (queueKey: string, place: number) => {
      const head = lines.get(queueKey)?.[place]
      return head === undefined ? null : { ...head }
    }
    const videosMax = Math.min(of.groupMax, of.slots.length - taken.length)
    const { choices: group } = chooseGroup({ heads, at }, standing, videosMax)
    if (group.length === 0) return taken
    const firstGone = group.findIndex(({ head }) => gone.has(head.videoId))
    const dispatched = firstGone < 0 ? group : group.slice(0, firstGone)
    for (const choice of dispatched) taken.push(asText(choice, countDispatch(standing, choice)?.model))
    const left = new Set(dispatched.map(({ head }) => head.videoId))
    for (const { head } of group) if (gone.has(head.videoId)) left.add(head.videoId)
    for (const [queueKey, ofLine] of lines)
      lines.set(
        queueKey,
        ofLine.filter(({ videoId }) => !left.has(videoId)),
      )
  }
  return taken
}

test('a group is who would be chosen one at a time: through caps, limits, tiers, switches of models and videos that are gone', () => {
  fc.assert(
    fc.property(scene, (of) => {
      expect(inGroups(of)).toEqual(oneAtATime(of))
    }),
    { numRuns: 3_000 },
  )
})

test('a group ends where nobody knows who stands behind the last one, and changes nothing that it is given', () => {
  const of: Scene = {
    lines: [0, 1].map((account) => ({
      account,
      key: 0,
      tier: 'standard',
      model: 'ink',
      costMs: 10,
      weight: 100,
      passedOverAtMs: null,
      videos: 3,
    })),
    accountRunningMax: [],
    keyRunningMax: [],
    slots: ['ink', 'ink', 'ink', 'ink'],
    accountCap: 4,
    finishMs: [0, 0, 0, 0, 0],
    gone: [],
    groupMax: 4,
  }
  const { lines } = waitingOf(of)
  const standing = standingOf(of)
  const heads = [...lines.values()].flatMap(([head]) => head ?? [])
  const at = (queueKey: string, place: number) => (place === 1 ? lines.get(queueKey)?.[1] : undefined)
  for (let times = 0; times < 2; times += 1) {
    const { choices, unknown } = chooseGroup({ heads, at }, standing, 4)
    expect(choices.map(({ head }) => head.videoId)).toEqual(['video_0000', 'video_0001', 'video_0002'])
    // The second line's comes next, as far as is known, and then more of it is to be known too.
    expect(unknown).toEqual(new Set(['0', '1']))
  }
})
