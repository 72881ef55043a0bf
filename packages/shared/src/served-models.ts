import type { Catalogue } from './model-catalogue.ts'
import type { ModelWeights } from './runner-protocol.ts'
import { type Environment, optionalSetting, SettingError } from './settings.ts'

/**
 * What a worker's runners serve, by SLUICE_MODEL (ids between commas; the first is loaded at their start), or the runner's own
 * model. The catalogue says where the weights are; one model alone need not stand in it, since a runner of somebody's own may
 * know it. Throws SettingError.
 */
export function readServedModels(
  env: Environment,
  catalogue: Catalogue,
): readonly [ModelWeights, ...ModelWeights[]] {
  const text =
    optionalSetting(env, 'SLUICE_MODEL') ??
    (optionalSetting(env, 'SLUICE_RUNNER') === 'open-sora' ? 'open-sora-2' : 'animatic')
  const [first = '', ...others] = text.split(',').map((id) => id.trim())
  const ids = [first, ...others]
  const known = catalogue.models.map((model) => model.id)
  if (
    new Set(ids).size < ids.length ||
    (ids.length > 1 && ids.some((id) => !known.includes(id))) ||
    first === ''
  ) {
    throw new SettingError(
      'SLUICE_MODEL',
      text,
      `allowed are models between commas, each once: ${known.join(', ')}`,
    )
  }
  const weightsOf = (id: string): ModelWeights => ({ id, ...catalogue.find(id)?.weights })
  return [weightsOf(first), ...others.map(weightsOf)]
}
