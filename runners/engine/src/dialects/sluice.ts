import { z } from 'zod'
import { failureOf, formOf, jobIn, jobPath, sizeOf, stepsOfPercent, withoutNothing } from './common.ts'
import type { Dialect, JobFailure } from './dialect.ts'

/**
 * Another Sluice: apps/api/src/routes/videos of this repository. It keeps its jobs in its database and has a
 * gate of its own, charges each once for its idempotency key, counts steps exactly, and stops at a step.
 */
export const SLUICE: Dialect = {
  name: 'sluice',
  ownedBy: null,
  modes: ['t2v', 't2i2v', 'i2v'],
  conditions: ['head', 'tail', 'loop'],
  isIdempotent: true,
  cancelFreesDevice: true,
  keepsJobs: true,

  create(wanted) {
    const { generation, image } = wanted
    const fields = {
      model: wanted.engineModel,
      prompt: generation.prompt,
      negative_prompt: generation.negative_prompt,
      size: sizeOf(wanted),
      num_frames: generation.num_frames,
      num_steps: generation.num_steps,
      guidance: generation.guidance,
      guidance_img: generation.guidance_img,
      motion_score: generation.motion_score,
      seed: generation.seed,
      mode: generation.mode,
    }
    const body =
      image === null
        ? withoutNothing(fields)
        : formOf({ ...fields, input_reference: image.file, i2v_condition: image.condition })
    return { method: 'POST', path: '/v1/videos', headers: { 'idempotency-key': wanted.idempotencyKey }, body }
  },

  jobOf: (answer, steps) =>
    jobIn(
      answer,
      (job) => {
        const done = z.int().nonnegative().safeParse(job.steps_done).data
        return done === undefined ? stepsOfPercent(job.progress, steps) : Math.min(done, steps)
      },
      { failureOf: sluiceFailure },
    ),

  cancel: (id) => ({ method: 'POST', path: `${jobPath(id)}/cancel` }),
  // It keeps its videos as long as its operator says.
  remove: () => null,
}

function sluiceFailure(error: unknown): JobFailure {
  const failure = failureOf(error)
  const code = z.looseObject({ code: z.string() }).safeParse(error).data?.code
  // Its own attempts at the video found out how much memory there is: it is not this device that is short.
  return failure.code === 'out_of_memory' || code === undefined
    ? { ...failure, code: 'internal' }
    : { ...failure, message: `${failure.message} (${code})` }
}
