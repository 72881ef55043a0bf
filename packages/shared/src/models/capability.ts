import type { Mode } from './model.ts'

/**
 * What a worker must serve to make a video: its model and, for mode t2i2v, the image model as well, which not
 * every worker of the model has. The database computes the same for each video (column video.capability).
 */
export function capabilityOf(video: { model: string; mode: Mode }): string {
  return video.mode === 't2i2v' ? `${video.model}/t2i2v` : video.model
}

/** The id of the model that a capability is of. */
export function modelOfCapability(capability: string): string {
  return capability.split('/')[0] ?? ''
}

/** Every capability of these models in these modes. */
export function capabilitiesOf(models: readonly string[], modes: readonly Mode[]): string[] {
  return [...new Set(models.flatMap((model) => modes.map((mode) => capabilityOf({ model, mode }))))]
}
