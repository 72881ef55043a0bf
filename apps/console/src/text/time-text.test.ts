import { expect, test } from 'vitest'
import { agoText, waitRangeText, waitText } from './time-text.ts'

test('a wait is rounded to what an estimate can claim', () => {
  expect([0, 4.4, 12, 41, 58, 130, 3_590, 3_600, 4_800, 7_100].map(waitText)).toEqual([
    '1 s',
    '4 s',
    '10 s',
    '40 s',
    '1 min',
    '2 min',
    '1 h',
    '1 h',
    '1 h 20 min',
    '2 h',
  ])
})

test('likely and late wait are shown as one range', () => {
  expect(waitRangeText(31, 44)).toBe('30–45 s')
  expect(waitRangeText(50, 130)).toBe('50 s to 2 min')
  expect(waitRangeText(120, 125)).toBe('about 2 min')
})

test('a clock that runs behind never shows the future', () => {
  expect(agoText(100, 90)).toBe('just now')
  expect(agoText(0, 7_200)).toBe('2 hours ago')
})
