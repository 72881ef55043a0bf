import { clipFields, deleteJob, headImage, jobIn, withoutNothing } from './common.ts'
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
        ...clipFields(wanted),
        // 0, which turns guidance off, is refused; left out, the model's own holds.
        guidance_scale: (generation.guidance ?? 0) > 0 ? generation.guidance : undefined,
        format: 'mp4',
        input_reference: image === null ? undefined : Buffer.from(await image.bytes()).toString('base64'),
      }),
    }
  },

  jobOf: (answer) => jobIn(answer, () => null),

  cancel: deleteJob,
  remove: deleteJob,
}
