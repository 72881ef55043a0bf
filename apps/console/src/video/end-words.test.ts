import { expect, test } from 'vitest'
import { endWords } from './end-words.ts'

const money = (amount: string, state: 'charged' | 'released') => ({ amount, currency: 'USD', state })
const ended = {
  status: 'failed',
  error: { code: 'cancelled', message: 'The video was cancelled.' },
  steps_done: 12,
  num_steps: 50,
  usage: { video_tokens: 100, steps: 13, generated_tokens: 1_300 },
  cost: money('0.02', 'charged'),
} as const

test('a cancelled video says how far it came and what was charged for it', () => {
  expect(endWords(ended, 'en')).toMatchObject({
    title: 'Cancelled',
    reached: 'It came to step 12 of 50.',
    charged: '$0.02 was charged for 13 steps.',
  })
  expect(endWords({ ...ended, steps_done: 15 }, 'en').charged).toBe(
    '$0.02 was charged for 13 steps; those made after the cancel are free.',
  )
  expect(endWords({ ...ended, steps_done: 0, cost: money('0', 'released') }, 'en')).toMatchObject({
    reached: 'It had not begun.',
    charged: 'Nothing was charged.',
  })
})

test('a failed video says why, and what to do next', () => {
  const failed = { ...ended, cost: money('0', 'released') }
  const words = endWords(
    { ...failed, error: { code: 'out_of_memory', message: 'The device is full.' } },
    'en',
  )
  expect(words).toMatchObject({
    title: 'Not made',
    reason: 'The device is full.',
    charged: 'Nothing was charged.',
  })
  expect(words.next).toContain('smaller')
  expect(endWords({ ...failed, error: null }, 'en').reason).toBe('No reason was given.')
})
