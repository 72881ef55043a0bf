import { answeredJob, deleteJob, failureOf, headImage, sizeOf, stateOf, withoutNothing } from './common.ts'
import type { Dialect } from './dialect.ts'

/**
 * TensorRT-LLM's visual generation: tensorrt_llm/serve/visual_gen_utils.py at commit 06d4e712, and
 * openai_video_routes.py and openai_protocol.py beside it. JSON, of which an unknown field is refused with
 * 422; the answer to POST is 202. A job has no progress, its error is a text, and `generating` becomes
 * `postprocessing`. DELETE forgets the job and lets the device finish it. `/v1/videos/generations` waits for
 * the video and is not used.
 */
export const TENSORRT_LLM: Dialect = {
  name: 'tensorrt-llm',
  ownedBy: 'tensorrt_llm',
  modes: ['t2v', 'i2v'],
  conditions: ['head'],
  isIdempotent: false,
  cancelFreesDevice: false,
  keepsJobs: false,

  async create(wanted) {
    const { generation } = wanted
    const image = headImage(wanted, 'TensorRT-LLM')
    return {
      method: 'POST',
      path: '/v1/videos',
      body: withoutNothing({
        model: wanted.engineModel,
        prompt: generation.prompt,
        negative_prompt: generation.negative_prompt,
        size: sizeOf(wanted),
        num_frames: generation.num_frames,
        fps: generation.fps,
        num_inference_steps: generation.num_steps,
        // 0, which turns guidance off, is refused; left out, the model's own holds.
        guidance_scale: (generation.guidance ?? 0) > 0 ? generation.guidance : undefined,
        seed: generation.seed,
        format: 'mp4',
        input_reference: image === null ? undefined : Buffer.from(await image.bytes()).toString('base64'),
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
