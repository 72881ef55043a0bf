import { defaultModelOf } from './default-model.ts'
import type { Catalogue } from './models/catalogue.ts'
import { makesOf } from './models/makes.ts'
import type { Model } from './models/model.ts'
import type { ServedModel } from './runner-protocol.ts'
import { type Environment, optionalSetting, SettingError } from './settings.ts'

/**
 * The models that a worker's runners serve, as the catalogue describes them. SLUICE_MODEL names them,
 * separated by commas, the one to load at the start first; unset = the runner's default model. A single model
 * may be missing in the catalogue, since a runner of the operator's own may know it. Throws SettingError.
 */
export function readServedModels(
  env: Environment,
  catalogue: Catalogue,
): readonly [ServedModel, ...ServedModel[]] {
  const text = optionalSetting(env, 'SLUICE_MODEL') ?? defaultModelOf(env, catalogue)
  const [first = '', ...others] = text.split(',').map((id) => id.trim())
  const ids = [first, ...others]
  const known = catalogue.models.map((model) => model.id)
  const isRepeated = new Set(ids).size < ids.length
  const isUnknown = ids.length > 1 && ids.some((id) => !known.includes(id))
  if (first === '' || isRepeated || isUnknown) {
    throw new SettingError(
      'SLUICE_MODEL',
      text,
      `allowed are models separated by commas, each once: ${known.join(', ')}`,
    )
  }
  const servedModel = (id: string): ServedModel => describe(id, catalogue.find(id))
  return [servedModel(first), ...others.map(servedModel)]
}

/** The models that the animatic runner makes: by its setting, or those made from `animatic`. */
export function animaticModels(env: Environment, catalogue: Catalogue): string[] {
  const named = optionalSetting(env, 'SLUICE_ANIMATIC_MODELS')
  if (named !== undefined) return named.split(',').map((id) => id.trim())
  return catalogue.models.filter(({ id, base }) => (base ?? id) === 'animatic').map(({ id }) => id)
}

function describe(id: string, model: Model | undefined): ServedModel {
  if (model === undefined) return { id }
  return {
    id,
    ...model.weights,
    ...(model.pipelines === null ? {} : { pipelines: model.pipelines }),
    ...(model.stepCache === null ? {} : { step_cache: model.stepCache }),
    ...(model.precision === null ? {} : { precision: model.precision }),
    ...(model.engineModel === null ? {} : { engine_model: model.engineModel }),
    makes: makesOf(model),
  }
}
