import { clipFields, deleteJob, formOf, headImage, jobIn } from './common.ts'
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
    return {
      method: 'POST',
      path: '/v1/videos',
      body: formOf({
        ...clipFields(wanted),
        generate_sound: wanted.sound ? true : undefined,
        input_reference: headImage(wanted, 'vLLM-Omni'),
      }),
    }
  },

  jobOf: (answer) => jobIn(answer, () => null),

  cancel: deleteJob,
  remove: deleteJob,
}
