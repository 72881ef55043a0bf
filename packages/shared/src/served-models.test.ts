import { expect, test } from 'vitest'
import { parseCatalogue } from './catalogue-file.ts'
import { defaultModelOf } from './default-model.ts'
import { WAN_2_2_5B } from './models/built-in/wan.ts'
import { Catalogue } from './models/catalogue.ts'
import { makesOf } from './models/makes.ts'
import { readServedModels } from './served-models.ts'

const catalogue = parseCatalogue(
  'models.json',
  JSON.stringify({
    models: [
      { id: 'studio', base: 'open-sora-2', accounts: [] },
      { id: 'by-engine', base: 'open-sora-2', engine_model: 'hub/open-sora' },
      { id: 'open-sora-2-fast' },
      { id: 'wan-2.2-5b', weights: { folder: '/models/wan', lora: { path: '/models/ink', strength: 0.5 } } },
    ],
  }),
)

test('a runner is told of each model its weights, pipelines, the engine’s name of it, and what it makes', () => {
  expect(readServedModels({ SLUICE_MODEL: 'wan-2.2-5b,by-engine' }, catalogue)).toEqual([
    {
      id: 'wan-2.2-5b',
      folder: '/models/wan',
      lora: { path: '/models/ink', strength: 0.5 },
      pipelines: { t2v: 'WanPipeline', i2v: 'WanImageToVideoPipeline' },
      makes: {
        modes: ['t2v', 'i2v'],
        i2v_conditions: ['head'],
        frames: { multiple: 4, remainder: 1, min: 5, max: 121 },
        sides: { multiple: 32, pixels_max: 921_600 },
        steps: { min: 1, max: 100 },
        tokens: { temporal: 4, spatial: 16, patch: [1, 2, 2] },
        fps: 24,
        sound: false,
      },
    },
    expect.objectContaining({ id: 'by-engine', engine_model: 'hub/open-sora' }),
  ])
  expect(readServedModels({ SLUICE_MODEL: 'open-sora-2,open-sora-2-fast' }, catalogue)).toEqual([
    expect.not.objectContaining({ step_cache: expect.anything() }),
    expect.objectContaining({ id: 'open-sora-2-fast', step_cache: { threshold: 0.05 } }),
  ])
  // A single model may be one that only the runner knows.
  expect(readServedModels({ SLUICE_MODEL: 'unheard-of' }, catalogue)).toEqual([{ id: 'unheard-of' }])
  expect(makesOf(WAN_2_2_5B)).not.toHaveProperty('frames.default')
})

test.each([
  [undefined, 'animatic', 'animatic'],
  ['open-sora', 'open-sora-2', 'open-sora-2'],
  // The first of the file that is open to all, and that the runner can make.
  ['engine', 'by-engine', 'open-sora-2'],
  ['diffusers', 'wan-2.2-5b', 'open-sora-2'],
])('without SLUICE_MODEL the runner %s makes %s, or without a file %s', (runner, named, first) => {
  const env = { SLUICE_RUNNER: runner }
  expect(defaultModelOf(env, catalogue)).toBe(named)
  expect(defaultModelOf(env, new Catalogue())).toBe(first)
  expect(readServedModels(env, catalogue)[0].id).toBe(named)
})
