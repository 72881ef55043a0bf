import { expect, test } from 'vitest'
import { countText, withNew, withNewest, withOlder, without } from './video-ids.ts'

const known = { ids: ['6', '5', '4', '3', '2'], hasMore: true }

test('the newest page, read again, keeps the older ones that were scrolled to', () => {
  expect(withNewest(known, { ids: ['7', '6', '5'], hasMore: true })).toEqual({
    ids: ['7', '6', '5', '4', '3', '2'],
    hasMore: true,
  })
  // 5 was deleted elsewhere.
  expect(withNewest(known, { ids: ['6', '4'], hasMore: true }).ids).toEqual(['6', '4', '3', '2'])
  expect(withNewest({ ...known, hasMore: false }, { ids: ['6', '5'], hasMore: true }).hasMore).toBe(false)
})

test('when nothing is known of what lies between, the older ones are read again', () => {
  const page = { ids: ['99', '98'], hasMore: true }
  expect(withNewest(known, page)).toEqual(page)
  expect(withNewest(undefined, page)).toEqual(page)
  expect(withNewest(known, { ids: ['6'], hasMore: false })).toEqual({ ids: ['6'], hasMore: false })
})

test('no video is listed twice', () => {
  expect(withOlder(known, { ids: ['2', '1'], hasMore: false })).toEqual({
    ids: ['6', '5', '4', '3', '2', '1'],
    hasMore: false,
  })
  expect(withNew(known, '6').ids).toEqual(known.ids)
  expect(without(known, '4').ids).toEqual(['6', '5', '3', '2'])
})

test('the count says whether more follow', () => {
  expect(countText(known)).toBe('5 videos so far')
  expect(countText({ ...known, hasMore: false })).toBe('All 5 videos')
  expect(countText({ ids: ['1'], hasMore: false })).toBe('1 video')
})
