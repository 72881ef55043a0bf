import { expect, test } from 'vitest'
import { DEFAULT_SETTINGS } from './generation-settings.ts'
import { chosenModel, offeredModels, settingsFor } from './model-choice.ts'
import { someModel } from './some-model.ts'

test('a model that nobody serves is not offered, nor an alias; the default always', () => {
  const usual = someModel('usual', { is_default: true, is_available: false })
  const alias = someModel('sora-2', { alias_of: 'usual' })
  const ink = someModel('ink')
  expect(offeredModels([usual, ink, someModel('away', { is_available: false }), alias])).toEqual([usual, ink])
  expect(offeredModels([usual, alias])).toEqual([usual])
})

test('a key that may not ask for the default asks for what it may', () => {
  const ink = someModel('ink')
  expect(chosenModel(offeredModels([ink]), DEFAULT_SETTINGS)).toEqual(ink)
  const both = [someModel('usual', { is_default: true }), ink]
  expect(chosenModel(both, DEFAULT_SETTINGS)?.id).toBe('usual')
  expect(chosenModel(both, { ...DEFAULT_SETTINGS, model: 'ink' })?.id).toBe('ink')
  expect(chosenModel([], DEFAULT_SETTINGS)).toBeUndefined()
})

test('a model is asked for by its name, the default by none; a guidance stays with its model', () => {
  const usual = someModel('usual', { is_default: true })
  const wished = { ...DEFAULT_SETTINGS, steps: 30, seconds: 4, guidance: 9 }
  expect(settingsFor(wished, usual)).toEqual(wished)
  const ink = settingsFor(wished, someModel('ink'))
  expect(ink).toEqual({ ...wished, model: 'ink', guidance: null })
  expect(settingsFor(ink, usual)).toEqual({ ...wished, guidance: null })
})
