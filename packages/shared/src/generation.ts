import { z } from 'zod'
import { I2V_CONDITIONS, MODES } from './models/model.ts'

/**
 * What a runner is asked to make, fixed at submission: the same object in the video's row, in the runner's
 * request and in the hash of parameters that a checkpoint carries.
 */
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
  /** These three are present exactly when the model has them. */
  guidance: z.number().optional(),
  guidance_img: z.number().optional(),
  motion_score: z.int().optional(),
  seed: z.int().nonnegative(),
  /** Mode i2v only: where the image stands in the clip. Absent = its start. */
  i2v_condition: z.enum(I2V_CONDITIONS).optional(),
  /**
   * Mode i2v only: SHA-256 of the image file as the runner gets it, in hex. A checkpoint of another image is
   * refused by it.
   */
  reference_sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
})
export type Generation = z.infer<typeof generationSchema>
