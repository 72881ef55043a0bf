import type { Model } from '../api/api-client.ts'
import {
  chosenSize,
  type GenerationSettings,
  RESOLUTION_CLASSES,
  type ResolutionClass,
  SHAPES,
} from './generation-settings.ts'

/**
 * The models to choose from: those that a worker serves now, and the default in any case. Empty when the
 * default is the only one, since that is no choice.
 */
export function offeredModels(models: readonly Model[]): Model[] {
  const offered = models.filter(
    (model) => model.alias_of === undefined && (model.is_available || model.is_default),
  )
  return offered.every((model) => model.is_default) ? [] : offered
}

/**
 * The model that the settings name (null = the default); the first one, when that is not among `offered` any
 * more. Undefined when `offered` is empty.
 */
export function chosenModel(offered: readonly Model[], settings: GenerationSettings): Model | undefined {
  return (
    offered.find((model) => (settings.model === null ? model.is_default : model.id === settings.model)) ??
    offered[0]
  )
}

/** The resolution classes in which a model makes at least one of the page's shapes; without a model all. */
export function resolutionsFor(model: Model | undefined): ResolutionClass[] {
  return RESOLUTION_CLASSES.filter(
    (resolution) =>
      model === undefined ||
      SHAPES.some(({ name }) => {
        const { width, height } = chosenSize({ shape: name, orientation: 'landscape', resolution })
        return model.sizes.includes(`${width}x${height}`)
      }),
  )
}

/**
 * The settings with this model, in a resolution class that it makes. The default is requested without a name,
 * so that the operator may change it.
 */
export function settingsFor(settings: GenerationSettings, model: Model): GenerationSettings {
  const resolutions = resolutionsFor(model)
  const resolution = resolutions.includes(settings.resolution)
    ? settings.resolution
    : (resolutions[0] ?? settings.resolution)
  return { ...settings, model: model.is_default ? null : model.id, resolution }
}
