import { RESOLUTION_CLASSES, type ResolutionClass } from '@sluice/shared/model-catalogue'
import { chosenSize, type GenerationSettings, SHAPES } from './generation-settings.ts'

/** A model as `GET /v1/models` answers it. */
export interface Model {
  id: string
  description: string
  is_default: boolean
  is_available: boolean
  alias_of?: string
  sizes: string[]
}

/** What the page offers: models somebody is there to make, and the default whoever is there. Empty when there is nothing but the default. */
export function offeredModels(models: readonly Model[]): Model[] {
  const offered = models.filter(
    (model) => model.alias_of === undefined && (model.is_available || model.is_default),
  )
  return offered.every((model) => model.is_default) ? [] : offered
}

/** The model the settings mean; the first, when they mean one that is not offered (any more). Undefined when nothing is offered. */
export function chosenModel(offered: readonly Model[], settings: GenerationSettings): Model | undefined {
  return (
    offered.find((model) => (settings.model === null ? model.is_default : model.id === settings.model)) ??
    offered[0]
  )
}

/** The classes in which a model makes the shapes of the page; all of them while the model is not known. */
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

/** The settings for a model, in a class that it makes. The default is asked for by no name, so that it may change. */
export function settingsFor(settings: GenerationSettings, model: Model): GenerationSettings {
  const resolutions = resolutionsFor(model)
  const resolution = resolutions.includes(settings.resolution)
    ? settings.resolution
    : (resolutions[0] ?? settings.resolution)
  return { ...settings, model: model.is_default ? null : model.id, resolution }
}
