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
    frames: 9,
    steps: 3,
    seed: '7',
  } as const
  expect(settingsOf(JSON.parse(JSON.stringify(chosen)))).toEqual(chosen)
})

test('what means nothing any more is the default', () => {
  for (const kept of [
    null,
    'x',
    7,
    [],
    { shape: '5:9', frames: 10, steps: 1e9, seed: 1, model: 2, tier: '' },
  ])
    expect(settingsOf(kept)).toEqual(DEFAULT_SETTINGS)
})
