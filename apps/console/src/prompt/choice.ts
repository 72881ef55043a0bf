import { nearestFrames } from '@sluice/shared/models/frame-rule'
import type { PublicModel } from '@sluice/shared/public-model'
import type { GenerationSettings, Orientation } from './generation-settings.ts'
import { canTurn, type Shape, shapeLike, shapeNamed, shapesOf } from './shapes.ts'

/** What a model makes of the viewer's wishes: exactly what a request will say. */
export interface Choice {
  /** The name of the resolution class. */
  resolution: string
  /** Those of the class, in its orientation. */
  shapes: readonly Shape[]
  shape: string
  orientation: Orientation
  /** Whether the class has the other orientation too. */
  canTurn: boolean
  /** `WIDTHxHEIGHT` */
  size: string
  frames: number
  seconds: number
  steps: number
  /** Null when the model takes none. */
  guidance: number | null
  takesImage: boolean
}

/** Each wish as the model can fulfil it: the class by its name or the cheapest, the nearest of all else. */
export function choiceOf(settings: GenerationSettings, model: PublicModel): Choice | null {
  const resolution =
    model.resolutions.find(({ name }) => name === settings.resolution) ?? model.resolutions[0]
  if (resolution === undefined) return null
  const shapes = shapesOf(resolution, settings.orientation)
  const shape = shapeNamed(shapes, settings.shape)
  if (shape === undefined) return null
  const { frames: rule, steps, guidance } = model
  const frames = settings.seconds === null ? rule.default : nearestFrames(rule, settings.seconds * rule.fps)
  return {
    resolution: resolution.name,
    shapes,
    shape: shape.name,
    orientation: shape.height > shape.width ? 'portrait' : 'landscape',
    canTurn: canTurn(resolution),
    size: shape.size,
    frames,
    seconds: frames / rule.fps,
    steps: within(steps, settings.steps),
    guidance: guidance === null ? null : within(guidance, settings.guidance),
    takesImage: model.modes.includes('i2v'),
  }
}

/** The settings with the shape and orientation nearest to an image's. */
export function shapedLike(
  settings: GenerationSettings,
  model: PublicModel,
  image: { width: number; height: number },
): GenerationSettings {
  const chosen = choiceOf(settings, model)
  const resolution = model.resolutions.find(({ name }) => name === chosen?.resolution)
  const like = resolution === undefined ? null : shapeLike(resolution, image)
  return like === null ? settings : { ...settings, shape: like.name, orientation: like.orientation }
}

function within(range: { min: number; max: number; default: number }, wish: number | null): number {
  return Math.min(Math.max(wish ?? range.default, range.min), range.max)
}
