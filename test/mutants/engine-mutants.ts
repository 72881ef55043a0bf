import type { Mutant } from './mutant.ts'

const JOBS: Mutant['tests'] = ['unit', 'runners/engine/test/jobs-are-found-again.test.ts']
const DIALECTS = (title: string): Mutant['tests'] => [
  'unit',
  'runners/engine/test/dialects.test.ts',
  '-t',
  title,
]

/** What keeps a video from being made twice in an engine, and from being paid for by a guess. */
export const ENGINE_MUTANTS: readonly Mutant[] = [
  {
    rule: 'engine: an attempt asks for the job of the one before',
    file: 'runners/engine/src/engine-video.ts',
    find: 'if (resume === undefined) return { job: null, number: 1 }',
    replace: 'if (resume !== null) return { job: null, number: 1 }',
    tests: [...JOBS, '-t', 'finds it there'],
  },
  {
    rule: 'engine: a submission of unknown fate has the key of the first',
    file: 'runners/engine/src/dialects/sluice.ts',
    find: "'idempotency-key': wanted.idempotencyKey",
    replace: "'x-idempotency-key': wanted.idempotencyKey",
    tests: ['end-to-end', 'test/end-to-end/sluice-behind-sluice.test.ts', '-t', 'answer is lost'],
  },
  {
    rule: 'engine: an estimate is no step',
    file: 'runners/engine/src/engine-video.ts',
    find: 'Math.max(job.steps ?? 1, this.#step, 1)',
    replace: 'Math.max(job.steps ?? Math.ceil(elapsedMs / 100), this.#step, 1)',
    tests: DIALECTS('no step is made up'),
  },
  {
    rule: 'engine: a yielded job makes room for the next',
    file: 'runners/engine/src/left-jobs.ts',
    find: 'if (!this.#engine.dialect.keepsJobs) this.#ids.add(id)',
    replace: '',
    tests: [...JOBS, '-t', 'a yielded video'],
  },
  {
    rule: 'engine: a job of another size is not made',
    file: 'runners/engine/src/engine-video.ts',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a part of the code
    find: 'if (job.size === null || job.size === `${width}x${height}`) return job',
    replace: 'if (width > 0 && height > 0) return job',
    tests: DIALECTS('makes another size'),
  },
  {
    rule: 'engine: the wait for a job that its video left has a bound',
    file: 'runners/engine/src/left-jobs.ts',
    find: 'if (performance.now() >= untilMs) return false',
    replace: '',
    tests: [...JOBS, '-t', 'no longer than the bound'],
  },
  {
    rule: 'engine: its key is hidden before words are cut',
    file: 'runners/engine/src/engine-http.ts',
    find: 'words: this.#hide(wordsOf(json, text)).slice(0, WORDS_CHARS_MAX)',
    replace: 'words: this.#hide(wordsOf(json, text).slice(0, WORDS_CHARS_MAX))',
    tests: ['unit', 'runners/engine/test/an-engine-that-is-away.test.ts', '-t', 'the key is in no word'],
  },
]
