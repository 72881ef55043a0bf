import { ANIMATIC } from './models/built-in/animatic.ts'
import { OPEN_SORA_2 } from './models/built-in/open-sora.ts'
import { FIRST_MODELS } from './models/built-in-models.ts'
import type { Catalogue } from './models/catalogue.ts'
import { type Environment, optionalSetting } from './settings.ts'

/**
 * The model that the runner named by SLUICE_RUNNER makes when no setting names a model. Of a runner that
 * makes whatever the catalogue file describes, the first model there that is open to all.
 */
export function defaultModelOf(env: Environment, catalogue: Catalogue): string {
  const runner = optionalSetting(env, 'SLUICE_RUNNER')
  if (runner === 'open-sora') return OPEN_SORA_2.id
  if (runner !== 'diffusers' && runner !== 'engine') return ANIMATIC.id
  const named = catalogue.models.find(
    (model) =>
      model.accounts === null &&
      !FIRST_MODELS.some(({ id }) => id === model.id) &&
      (runner === 'engine' || model.pipelines !== null),
  )
  return named?.id ?? OPEN_SORA_2.id
}
