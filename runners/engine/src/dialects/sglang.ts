import {
  answeredJob,
  deleteJob,
  failureOf,
  formOf,
  headImage,
  sizeOf,
  stateOf,
  stepsOfPercent,
} from './common.ts'
import type { Dialect } from './dialect.ts'

/**
 * SGLang 0.5.23: sglang/multimodal_gen/runtime/entrypoints/openai/video_api.py, protocol.py and
 * video_progress.py. POST takes a form or JSON. A job's progress follows its steps and is capped at 99.
 * DELETE forgets a job and does not stop it ("TODO: support aborting a job"), nor does it remove its file.
 */
export const SGLANG: Dialect = {
  name: 'sglang',
  ownedBy: 'sglang',
  modes: ['t2v', 'i2v'],
  conditions: ['head'],
  isIdempotent: false,
  cancelFreesDevice: false,
  keepsJobs: false,

  create(wanted) {
    const { generation } = wanted
    return {
      method: 'POST',
      path: '/v1/videos',
      body: formOf({
        model: wanted.engineModel,
        prompt: generation.prompt,
        negative_prompt: generation.negative_prompt,
        size: sizeOf(wanted),
        num_frames: generation.num_frames,
        fps: generation.fps,
        num_inference_steps: generation.num_steps,
        guidance_scale: generation.guidance,
        seed: generation.seed,
        input_reference: headImage(wanted, 'SGLang'),
      }),
    }
  },

  jobOf(answer, steps) {
    const job = answeredJob(answer)
    if (job === undefined) return undefined
    return {
      id: job.id,
      state: stateOf(job.status, {
        queued: ['queued'],
        completed: ['completed'],
        failed: ['failed', 'deleted'],
      }),
      steps: stepsOfPercent(job.progress, steps),
      size: job.size ?? null,
      failure: job.status === 'failed' ? failureOf(job.error) : null,
    }
  },

  cancel: deleteJob,
  remove: deleteJob,
}
