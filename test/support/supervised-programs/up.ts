// `sluice up` with stand-ins for API and worker.
import { fileURLToPath } from 'node:url'
import { runUp } from '../../../apps/cli/src/up/run-up.ts'

const program = (name: string) => fileURLToPath(new URL(name, import.meta.url))
process.exit(await runUp(process.env, { apiEntry: program('api.mjs'), workerEntry: program('worker.mjs') }))
