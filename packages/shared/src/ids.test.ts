import { typeid } from 'typeid-js'
import { expect, test } from 'vitest'
import { idAt, isId, msOfId, newId } from './ids.ts'

test('an id is what the library for such ids reads, made just now, and a UUIDv7 inside', () => {
  const before = Date.now()
  const id = newId('video')
  expect(isId('video', id)).toBe(true)
  expect(isId('acct', id)).toBe(false)
  const uuid = typeid('video', id.slice('video_'.length)).toUUID()
  expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  const madeMs = Number.parseInt(uuid.replaceAll('-', '').slice(0, 12), 16)
  expect(madeMs).toBeGreaterThanOrEqual(before)
  expect(madeMs).toBeLessThanOrEqual(Date.now() + 1)
})

test('ids sort in the order in which they were made, however many in one millisecond, and none comes twice', () => {
  const ids = Array.from({ length: 20_000 }, () => newId('video'))
  expect(new Set(ids).size).toBe(ids.length)
  expect([...ids].sort()).toEqual(ids)
  // Nobody can count them up: each ends in random bits.
  expect(new Set(ids.map((id) => id.slice(-8))).size).toBeGreaterThan(ids.length * 0.99)
})

test('a bound at a time stands between the ids that were made before it and those made from then on', () => {
  const before = newId('video')
  const next = Date.now() + 2
  while (Date.now() < next);
  const after = newId('video')
  expect([after, idAt('video', next), before].sort()).toEqual([before, idAt('video', next), after])
  expect(idAt('video', Date.parse('2026-01-01T00:00:00Z'))).toBe('video_01kdvdna000000000000000000')
})

test('an id tells the millisecond in which it was made', () => {
  const before = Date.now()
  const ms = msOfId(newId('video'))
  expect(ms).toBeGreaterThanOrEqual(before)
  expect(ms).toBeLessThanOrEqual(Date.now() + 1)
  expect(msOfId('video_01h455vb4pex5vsknk084sn02q')).toBe(0x01890a5d_ac96)
})
