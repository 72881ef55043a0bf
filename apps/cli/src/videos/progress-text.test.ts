import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { sizeText } from '../size-text.ts'
import { clock, progressBar, secondsText } from './progress-text.ts'
import type { Video } from './video.ts'

const running: Video = {
  id: 'video_1',
  status: 'in_progress',
  progress: 46,
  model: 'animatic',
  size: '336x192',
  seconds: '5.375',
  usage: { video_tokens: 8_316, steps: 50, generated_tokens: 415_800 },
  cost: { amount: '6.6528', currency: 'USD', state: 'held' },
  eta_seconds: { p50: 3_725, p90: 4_000 },
}

describe('the progress line', () => {
  it('fits every terminal in one line, and shows the time left in any of 16 columns and more', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), (columns) => {
        const line = progressBar(running, columns)
        expect(line.length).toBeLessThan(Math.max(columns, 2))
        if (columns >= 16) expect(line).toContain('1:02:05 left')
      }),
    )
  })

  it('gives up the bar first, then the cost, then what was done', () => {
    expect(progressBar(running, 100)).toBe(
      `  ${'█'.repeat(14)}${'░'.repeat(16)} 23/50 steps, 1:02:05 left, 6.6528 USD held`,
    )
    expect(progressBar(running, 60)).toBe(
      `  ${'█'.repeat(6)}${'░'.repeat(8)} 23/50 steps, 1:02:05 left, 6.6528 USD held`,
    )
    expect(progressBar(running, 46)).toBe('  23/50 steps, 1:02:05 left, 6.6528 USD held')
    expect(progressBar(running, 40)).toBe(`  █████${'░'.repeat(6)} 23/50 steps, 1:02:05 left`)
    expect(progressBar(running, 20)).toBe('  1:02:05 left')
  })
})

describe('numbers for people', () => {
  it('are rounded', () => {
    expect(secondsText('3.0416666666666665')).toBe('3.04 s')
    expect(secondsText('5.375')).toBe('5.38 s')
    expect(secondsText('5')).toBe('5 s')
    expect([999, 1_000, 999_949, 999_960, 1_234_567, 2_500_000_000].map(sizeText)).toEqual([
      '999 bytes',
      '1.0 kB',
      '999.9 kB',
      '1.0 MB',
      '1.2 MB',
      '2.5 GB',
    ])
    expect([0, 59.6, 61, 3_600].map(clock)).toEqual(['0:00', '1:00', '1:01', '1:00:00'])
  })
})
