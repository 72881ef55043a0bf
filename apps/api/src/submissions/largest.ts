import { framesFrom } from '@sluice/shared/models/frame-rule'
import type { Model } from '@sluice/shared/models/model'
import { type FrameSize, nearestSize } from '@sluice/shared/models/sizes'
import type { SizedGeneration } from './generation-of.ts'

/** The settings of a video that its cost depends on. */
export interface Settings {
  size: FrameSize
  num_frames: number
  num_steps: number
}

/** What a viewer would still call a video: fewer steps leave noise, less than a second shows no motion. */
const WATCHABLE = { steps: 10, seconds: 1 }

/**
 * The largest settings up to those asked for that fit: fewer steps, then fewer frames, then the size of the
 * same shape in the next smaller class. Fewer than 10 steps or a second of frames come last, when nothing
 * else fits. Null when nothing does. `fits` must be true of whatever is smaller than something that fits.
 */
export function largestFitting(
  { model, generation, resolution }: SizedGeneration,
  fits: (settings: Settings) => boolean,
): Settings | null {
  const { frames: rule, steps } = model
  const asked = { width: generation.width, height: generation.height, resolution }
  const floors = [
    { steps: WATCHABLE.steps, frames: framesFrom(rule, WATCHABLE.seconds * model.fps) },
    { steps: steps.min, frames: rule.min },
  ]
  for (const floor of floors) {
    const stepsMin = Math.min(Math.max(floor.steps, steps.min), generation.num_steps)
    const framesMin = Math.min(floor.frames, generation.num_frames)
    for (const size of [asked, ...smallerOfShape(asked, model)]) {
      for (let frames = generation.num_frames; frames >= framesMin; frames -= rule.multiple) {
        const num_steps = mostSteps(stepsMin, generation.num_steps, (steps) =>
          fits({ size, num_frames: frames, num_steps: steps }),
        )
        if (num_steps !== null) return { size, num_frames: frames, num_steps }
      }
    }
  }
  return null
}

/** The most steps that fit, by bisection, since fewer steps than some that fit do too; null when none fit. */
function mostSteps(stepsMin: number, stepsMax: number, fits: (steps: number) => boolean): number | null {
  if (!fits(stepsMin)) return null
  let [most, tooMany] = [stepsMin, stepsMax + 1]
  while (tooMany - most > 1) {
    const middle = Math.floor((most + tooMany) / 2)
    if (fits(middle)) most = middle
    else tooMany = middle
  }
  return most
}

/** For each class below the one asked for, the dearest first: its size with the nearest aspect ratio. */
function smallerOfShape(asked: FrameSize, model: Model): FrameSize[] {
  const classes = model.resolutions.slice(0, model.resolutions.indexOf(asked.resolution))
  return classes.toReversed().map((resolution) => nearestSize(model, asked, resolution))
}
