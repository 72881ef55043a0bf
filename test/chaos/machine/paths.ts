import { fileURLToPath } from 'node:url'

const fromRoot = (path: string) => fileURLToPath(new URL(`../../../${path}`, import.meta.url))

/** The programs, as they run in production. */
export const API_MAIN = fromRoot('apps/api/src/main.ts')
export const WORKER_MAIN = fromRoot('apps/worker/src/main.ts')
export const CLI_MAIN = fromRoot('apps/cli/src/main.ts')
export const S3_MAIN = fileURLToPath(new URL('./s3-process.ts', import.meta.url))
/** In a runner's command line. */
export const RUNNER_PART = 'runners/animatic/src/main.ts'
