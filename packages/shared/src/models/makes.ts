import { z } from 'zod'
import { I2V_CONDITIONS, MODES, type Model } from './model.ts'
import { pixelsMax, sideMultiple } from './sizes.ts'

const count = z.int().positive()

/** What a runner judges requests by, and counts tokens by: its part of a model. */
export const makesSchema = z.object({
  modes: z.array(z.enum(MODES)).min(1),
  /** Where the image of mode i2v may stand. Absent = wherever the runner can put it. */
  i2v_conditions: z.array(z.enum(I2V_CONDITIONS)).optional(),
  /** `multiple` * k + `remainder`. */
  frames: z.object({ multiple: count, remainder: z.int().nonnegative(), min: count, max: count }),
  /** Both sides are multiples of `multiple`; a frame has at most `pixels_max` pixels. */
  sides: z.object({ multiple: count, pixels_max: count }),
  steps: z.object({ min: count, max: count }),
  tokens: z.object({ temporal: count, spatial: count, patch: z.tuple([count, count, count]) }),
  fps: count,
  /** Whether its clips have an audio track. */
  sound: z.boolean(),
})
export type Makes = z.infer<typeof makesSchema>

/** What the model makes, as a runner is told it. */
export function makesOf(model: Model): Makes {
  const { frames, steps, tokens, i2vConditions } = model
  return {
    modes: [...model.modes],
    ...(i2vConditions.length === 0 ? {} : { i2v_conditions: [...i2vConditions] }),
    frames: { multiple: frames.multiple, remainder: frames.remainder, min: frames.min, max: frames.max },
    sides: { multiple: sideMultiple(model), pixels_max: pixelsMax(model) },
    steps: { min: steps.min, max: steps.max },
    tokens: { temporal: tokens.temporal, spatial: tokens.spatial, patch: [...tokens.patch] },
    fps: model.fps,
    sound: model.sound,
  }
}
