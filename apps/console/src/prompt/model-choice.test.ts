import { expect, test } from 'vitest'
import type { Model } from '../api/api-client.ts'
import { DEFAULT_SETTINGS, videoRequest } from './generation-settings.ts'
import { chosenModel, offeredModels, resolutionsFor, settingsFor } from './model-choice.ts'

const model = (id: string, fields: Partial<Model> = {}): Model => ({
  id,
  description: id,
  is_default: false,
  is_available: true,
  sizes: ['336x192', '1024x576'],
  ...fields,
})

test('a model that nobody serves is not offered, nor an alias; the default always; one is no choice', () => {
  const usual = model('usual', { is_default: true, is_available: false })
  const alias = model('sora-2', { alias_of: 'usual' })
  expect(offeredModels([usual, model('ink'), model('away', { is_available: false }), alias])).toEqual([
    usual,
    model('ink'),
  ])
  expect(offeredModels([usual, alias])).toEqual([])
})

test('a key that may not ask for the default asks for what it may', () => {
  const offered = offeredModels([model('ink')])
  expect(chosenModel(offered, DEFAULT_SETTINGS)).toEqual(model('ink'))
  const both = [model('usual', { is_default: true }), model('ink')]
  expect(chosenModel(both, DEFAULT_SETTINGS)?.id).toBe('usual')
  expect(chosenModel(both, { ...DEFAULT_SETTINGS, model: 'ink' })?.id).toBe('ink')
  expect(chosenModel([], DEFAULT_SETTINGS)).toBeUndefined()
})

test('a model is asked for by its name, the default by none, in a resolution that it makes', () => {
  const large = model('large', { sizes: ['1024x576'] })
  expect(resolutionsFor(large)).toEqual(['768px'])
  const chosen = settingsFor(DEFAULT_SETTINGS, large)
  expect(videoRequest('a boat', chosen)).toMatchObject({ model: 'large', size: '1024x576' })
  const back = settingsFor(chosen, model('usual', { is_default: true }))
  expect(videoRequest('a boat', back)).not.toHaveProperty('model')
})
