import type { PublicModel } from '@sluice/shared/public-model'
import type { GenerationSettings } from './generation-settings.ts'

/** The models that can be asked for: those that a worker serves now, and the default in any case. */
export function offeredModels(models: readonly PublicModel[]): PublicModel[] {
  return models.filter((model) => model.alias_of === undefined && (model.is_available || model.is_default))
}

/**
 * The model that the settings name (null = the default); the first one, when that is not among `offered` any
 * more. Undefined when `offered` is empty.
 */
export function chosenModel(
  offered: readonly PublicModel[],
  settings: Pick<GenerationSettings, 'model'>,
): PublicModel | undefined {
  return (
    offered.find((model) => (settings.model === null ? model.is_default : model.id === settings.model)) ??
    offered[0]
  )
}

/**
 * The settings with this model. The default is requested without a name, so that the operator may change it.
 * All wishes stay, but for what means something else with another model.
 */
export function settingsFor(settings: GenerationSettings, model: PublicModel): GenerationSettings {
  const name = model.is_default ? null : model.id
  if (name === settings.model) return settings
  return { ...settings, model: name, guidance: null }
}
