import type { FrameSize, Model } from '@sluice/shared/model-catalogue'
import type { SizedGeneration } from './generation-of.ts'

/** The settings of a video that its cost depends on. */
export interface Settings {
  size: FrameSize
  num_frames: number
  num_steps: number
}

/** What a viewer would still call a video: fewer steps leave noise, less than a second shows no motion. */
const WATCHABLE = { steps: 10, frames: 25 }

/**
 * The largest settings up to those asked for that fit: fewer steps, then fewer frames, then the smaller size
 * of the same shape. Fewer than 10 steps or a second of frames come last, when nothing else fits. Null when
 * nothing does. `fits` must be true of whatever is smaller than something that fits.
 */
export function largestFitting(
  { generation }: SizedGeneration,
  model: Model,
  fits: (settings: Settings) => boolean,
): Settings | null {
  const asked = model.sizes.find(
    (size) => size.width === generation.width && size.height === generation.height,
  )
  if (asked === undefined) return null
  const smaller = smallerOfShape(asked, model.sizes)
  const sizes = smaller === null ? [asked] : [asked, smaller]
  for (const floor of [WATCHABLE, { steps: model.stepsMin, frames: model.framesMin }]) {
    const stepsMin = Math.min(floor.steps, generation.num_steps)
    const framesMin = Math.min(floor.frames, generation.num_frames)
    for (const size of sizes) {
      for (let frames = generation.num_frames; frames >= framesMin; frames -= 4) {
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

/** The size of the smaller class with the nearest aspect ratio; null when there is no smaller class. */
function smallerOfShape(asked: FrameSize, sizes: readonly FrameSize[]): FrameSize | null {
  const shape = (size: FrameSize) => Math.log(size.width / size.height)
  const distance = (size: FrameSize) => Math.abs(shape(size) - shape(asked))
  const smaller = sizes.filter((size) => asked.resolution === '768px' && size.resolution === '256px')
  return smaller.toSorted((a, b) => distance(a) - distance(b))[0] ?? null
}
