import { clipFields, deleteJob, formOf, headImage, jobIn, stepsOfPercent } from './common.ts'
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
    return {
      method: 'POST',
      path: '/v1/videos',
      body: formOf({ ...clipFields(wanted), input_reference: headImage(wanted, 'SGLang') }),
    }
  },

  jobOf: (answer, steps) =>
    jobIn(answer, ({ progress }) => stepsOfPercent(progress, steps), { words: ['failed', 'deleted'] }),

  cancel: deleteJob,
  remove: deleteJob,
}
