import { expect, test } from 'vitest'
import { checkedExamples, examplesText } from './examples.ts'

test('each example comes out as it was worked out by hand, to the last digit', () => {
  expect(checkedExamples().map(({ result }) => result)).toEqual([
    '1,600,000',
    '-700 %',
    '2,920,000,000',
    '87131.782946, or 87.1 thousand',
    '25,920,000',
    '5 or 3.333333 times as high',
  ])
  for (const { result, expected } of checkedExamples()) expect(result).toBe(expected)
})

test('an example that comes out differently is said to', () => {
  const text = examplesText([{ question: 'sum', inputs: { a: '1', b: '2' }, result: '3', expected: '4' }])
  expect(text).toBe('sum: 3, and not 4 as by hand\n  from a 1, b 2\n')
})
