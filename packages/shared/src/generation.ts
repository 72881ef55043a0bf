import { z } from 'zod'
import { MODES } from './model-catalogue.ts'

/** What is generated, frozen at submission: the same object in the job, in the runner's request and in the checkpoint's parameter hash. */
export const generationSchema = z.strictObject({
  model: z.string(),
  mode: z.enum(MODES),
  prompt: z.string(),
  negative_prompt: z.string(),
  width: z.int().positive(),
  height: z.int().positive(),
  num_frames: z.int().positive(),
  fps: z.int().positive(),
  num_steps: z.int().positive(),
  guidance: z.number(),
  guidance_img: z.number(),
  motion_score: z.int(),
  seed: z.int().nonnegative(),
})
export type Generation = z.infer<typeof generationSchema>
