import { expect, test } from 'vitest'
import { DEFAULT_SETTINGS } from './generation-settings.ts'
import { settingsOf } from './kept-settings.ts'

test('settings that were kept come back as they were', () => {
  const chosen = {
    model: 'ink',
    shape: '4:3',
    orientation: 'portrait',
    resolution: '768px',
    tier: 'flex',
    seconds: 0.375,
    steps: 3,
    guidance: 2.5,
    seed: '7',
  } as const
  expect(settingsOf(JSON.parse(JSON.stringify(chosen)))).toEqual(chosen)
})

test('what means nothing any more is the default', () => {
  const strange = {
    shape: 5,
    frames: 10,
    seconds: '4',
    steps: -1,
    guidance: null,
    seed: 1,
    model: 2,
    tier: '',
  }
  for (const kept of [null, 'x', 7, [], strange]) expect(settingsOf(kept)).toEqual(DEFAULT_SETTINGS)
})
