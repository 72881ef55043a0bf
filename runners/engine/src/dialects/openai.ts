import { RunnerFailure } from '@sluice/runner/runner-failure'
import { formOf, headImage, jobIn, sizeOf, stepsOfPercent } from './common.ts'
import type { Dialect } from './dialect.ts'

/**
 * The OpenAI Videos API as its SDK openai 7.57.0 has it (resources/videos.ts): a prompt, a size and a whole
 * number of seconds. It knows neither frames, steps, seed nor a negative prompt, and stops no job.
 */
export const OPENAI: Dialect = {
  name: 'openai',
  ownedBy: null,
  modes: ['t2v', 'i2v'],
  conditions: ['head'],
  isIdempotent: false,
  cancelFreesDevice: false,
  keepsJobs: false,

  create(wanted) {
    const { generation } = wanted
    const { num_frames, fps, negative_prompt } = generation
    if (num_frames % fps !== 0) {
      throw new RunnerFailure(
        'bad_input',
        `num_frames is ${num_frames}; allowed is a multiple of ${fps}: this engine makes whole seconds`,
      )
    }
    if (negative_prompt !== '')
      throw new RunnerFailure('bad_input', 'negative_prompt is given; this engine takes none')
    return {
      method: 'POST',
      path: '/v1/videos',
      body: formOf({
        model: wanted.engineModel,
        prompt: generation.prompt,
        size: sizeOf(wanted),
        seconds: num_frames / fps,
        input_reference: headImage(wanted, 'this engine'),
      }),
    }
  },

  jobOf: (answer, steps) => jobIn(answer, ({ progress }) => stepsOfPercent(progress, steps)),

  cancel: () => null,
  remove: () => null,
}
