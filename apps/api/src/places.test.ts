import { pause } from '@sluice/shared/pause'
import { describe, expect, test } from 'vitest'
import { DEFAULT_BOUNDS } from './config/bounds.ts'
import { openPlaces } from './places.ts'

const CONNECTIONS = 12
/** What one account may have of each at a time: written from what is promised, not from places.ts. */
const OF_ACCOUNT = { calls: 3, longCalls: 6, decodings: 1, fetches: 4 } as const
type Line = keyof typeof OF_ACCOUNT
const MIB = 1024 * 1024

const hasEntered = (entering: Promise<unknown>): Promise<boolean> =>
  Promise.race([entering.then(() => true), pause(0).then(() => false)])

describe.each(Object.entries(OF_ACCOUNT) as [Line, number][])('of %s one account', (name, bound) => {
  test(`has ${bound} at a time: one more waits for one of its own, and another account's does not wait`, async () => {
    const line = openPlaces(DEFAULT_BOUNDS, CONNECTIONS)[name]
    const own = await Promise.all(Array.from({ length: bound }, () => line.enter('crowd', 1)))
    const more = line.enter('crowd', 1)
    expect(await hasEntered(more)).toBe(false)
    expect(await hasEntered(line.enter('other', 1))).toBe(true)
    for (const leave of own) leave()
    await more
  })
})

test('of the memory for bodies one account has 64 MiB: more waits, and another account has as much beside it', async () => {
  const line = openPlaces(DEFAULT_BOUNDS, CONNECTIONS).bodyBytes
  const leave = await line.enter('crowd', 64 * MIB)
  const more = line.enter('crowd', 1)
  expect(await hasEntered(more)).toBe(false)
  expect(await hasEntered(line.enter('other', 64 * MIB))).toBe(true)
  leave()
  await more
})

test('an account that keeps its own long calls waiting rests beside one that comes in another line, while the event loop is busy', async () => {
  const { longCalls, calls } = openPlaces(DEFAULT_BOUNDS, CONNECTIONS)
  const keepBusyMs = 60
  const leaveWhileOneWaits = async () => {
    const own = await Promise.all(Array.from({ length: 6 }, () => longCalls.enter('crowd', 1)))
    const more = longCalls.enter('crowd', 1)
    for (const untilMs = performance.now() + keepBusyMs; performance.now() < untilMs; );
    const [first, ...others] = own
    first?.()
    const isNext = await hasEntered(more)
    for (const leave of [...others, await more]) leave()
    return isNext
  }
  expect(await leaveWhileOneWaits()).toBe(true)
  ;(await calls.enter('other', 1))()
  expect(await leaveWhileOneWaits()).toBe(false)
})
