import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SnapshotCache } from './snapshot-cache.ts'

/** A cache on a clock of its own; each reading takes what the test says, and returns its number. */
function cacheOf(bounds: { keptMsMin: number; keptMsMax: number; sharedMsMax?: number }) {
  let nowMs = 0
  let readings = 0
  const cache = new SnapshotCache<number>({ ...bounds, now: () => nowMs })
  return {
    cache,
    readings: () => readings,
    now: () => nowMs,
    wait: (ms: number) => {
      nowMs += ms
    },
    reader: (tookMs: number) => async () => {
      nowMs += tookMs
      readings += 1
      return readings
    },
  }
}

test('a snapshot is kept for twenty times as long as it took to read, within its bounds', async () => {
  for (const [tookMs, keptMs] of [
    [1, 100],
    [10, 200],
    [30, 600],
    [500, 1_000],
  ] as const) {
    const { cache, wait, reader } = cacheOf({ keptMsMin: 100, keptMsMax: 1_000 })
    expect(await cache.get(reader(tookMs))).toBe(1)
    wait(keptMs - 1)
    expect(cache.isFresh()).toBe(true)
    expect(await cache.get(reader(tookMs))).toBe(1)
    wait(1)
    expect(cache.isFresh()).toBe(false)
    expect(await cache.get(reader(tookMs))).toBe(2)
  }
})

test('however often it is asked and however slow the reading, reading takes no more than 5 % of the time', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.record({ waitMs: fc.nat(50), tookMs: fc.nat(40) }), { minLength: 50, maxLength: 200 }),
      async (asks) => {
        const { cache, wait, reader, readings, now } = cacheOf({ keptMsMin: 0, keptMsMax: 800 })
        let readingMs = 0
        let lastMs = 0
        for (const { waitMs, tookMs } of asks) {
          wait(waitMs)
          const before = readings()
          await cache.get(reader(tookMs))
          if (readings() === before) continue
          readingMs += tookMs
          lastMs = tookMs
        }
        // The last reading has yet to be paid for with the time after it.
        expect((readingMs - lastMs) * 20).toBeLessThanOrEqual(now())
      },
    ),
  )
})

test('whoever misses something may have it read again sooner, but still for no more than 5 % of the time', async () => {
  const { cache, wait, reader } = cacheOf({ keptMsMin: 1_000, keptMsMax: 1_000 })
  await cache.get(reader(20))
  wait(399)
  expect(await cache.get(reader(1), 250)).toBe(1)
  wait(1)
  expect(await cache.get(reader(1))).toBe(1)
  expect(await cache.get(reader(1), 250)).toBe(2)
  wait(249)
  expect(await cache.get(reader(1), 250)).toBe(2)
  wait(1)
  expect(await cache.get(reader(1), 250)).toBe(3)
})

test('many who ask during a reading share it', async () => {
  const cache = new SnapshotCache<string>({ keptMsMin: 0, keptMsMax: 0, now: () => 0 })
  const reading = Promise.withResolvers<string>()
  const asked = Array.from({ length: 20 }, () => cache.get(() => reading.promise))
  reading.resolve('once')
  expect(new Set(asked).size).toBe(1)
  expect(await asked[0]).toBe('once')
  // Kept for no time at all: once it is there, the next call reads again.
  expect(cache.isFresh()).toBe(false)
})

test('a reading that does not end is shared for a bounded time, and then another one is started', async () => {
  const { cache, wait, reader } = cacheOf({ keptMsMin: 1_000, keptMsMax: 1_000, sharedMsMax: 5_000 })
  const stuck = Promise.withResolvers<number>()
  const first = cache.get(() => stuck.promise)
  wait(4_999)
  expect(cache.get(reader(1))).toBe(first)
  wait(1)
  expect(await cache.get(reader(1))).toBe(1)
  // It ended after all, too late: the newer snapshot stays.
  stuck.resolve(0)
  expect(await first).toBe(0)
  expect(await cache.get(reader(1))).toBe(1)
})

test('without a bound readings never overlap, however long one takes', async () => {
  const { cache, wait, reader } = cacheOf({ keptMsMin: 0, keptMsMax: 0 })
  const slow = Promise.withResolvers<number>()
  const first = cache.get(() => slow.promise)
  wait(3_600_000)
  expect(cache.get(reader(1))).toBe(first)
  slow.resolve(0)
  expect(await first).toBe(0)
})

test('a reading that fails fails for all who share it, and is not kept', async () => {
  const { cache, reader } = cacheOf({ keptMsMin: 1_000, keptMsMax: 1_000 })
  const failing = cache.get(async () => {
    throw new Error('away')
  })
  const sharing = cache.get(reader(1))
  await expect(failing).rejects.toThrow('away')
  await expect(sharing).rejects.toThrow('away')
  expect(cache.latest).toBeUndefined()
  expect(await cache.get(reader(1))).toBe(1)
})

test('readAnew reads whatever is kept, and a failure of the one before does not take it away', async () => {
  const { cache, reader } = cacheOf({ keptMsMin: 1_000, keptMsMax: 1_000 })
  const first = Promise.withResolvers<number>()
  const failing = cache.get(() => first.promise)
  expect(await cache.readAnew(reader(1))).toBe(1)
  first.reject(new Error('away'))
  await expect(failing).rejects.toThrow('away')
  expect(await cache.latest).toBe(1)
  expect(await cache.get(reader(1))).toBe(1)
})
