import { answeredJob, deleteJob, failureOf, formOf, headImage, sizeOf, stateOf } from './common.ts'
import type { Dialect } from './dialect.ts'

/**
 * vLLM-Omni 0.30.0: vllm_omni/entrypoints/openai/api_server.py, video/generation/helpers.py and
 * protocol/videos.py. POST takes a form only. A job has no progress but 0 and 100, a failed one is shown with
 * the HTTP status of its error. DELETE aborts the work in the engine. `/v1/videos/sync` is not used.
 */
export const VLLM_OMNI: Dialect = {
  name: 'vllm-omni',
  // vLLM's ModelCard.
  ownedBy: 'vllm',
  modes: ['t2v', 'i2v'],
  conditions: ['head'],
  isIdempotent: false,
  cancelFreesDevice: true,
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
        generate_sound: wanted.sound ? true : undefined,
        input_reference: headImage(wanted, 'vLLM-Omni'),
      }),
    }
  },

  jobOf(answer) {
    const job = answeredJob(answer)
    if (job === undefined) return undefined
    return {
      id: job.id,
      state: stateOf(job.status, { queued: ['queued'], completed: ['completed'], failed: ['failed'] }),
      steps: null,
      size: job.size ?? null,
      failure: job.status === 'failed' ? failureOf(job.error) : null,
    }
  },

  cancel: deleteJob,
  remove: deleteJob,
}
