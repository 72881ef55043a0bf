import { fileURLToPath } from 'node:url'
import { up } from './up.ts'

const API_ENTRY = fileURLToPath(new URL('../../../api/src/main.ts', import.meta.url))
export const WORKER_ENTRY = fileURLToPath(new URL('../../../worker/src/main.ts', import.meta.url))

/** Runs `sluice up` in this process, and returns the exit code when everything has stopped. */
export async function runUp(
  env: NodeJS.ProcessEnv = process.env,
  entries = { apiEntry: API_ENTRY, workerEntry: WORKER_ENTRY },
): Promise<0 | 1 | 2> {
  const stop = new AbortController()
  // npm passes on a Ctrl-C that the terminal has already delivered, so further signals change nothing.
  const onSignal = () => stop.abort()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)
  // The service goes on when the reader of its lines is gone.
  process.stdout.on('error', () => {})
  return up({ env, ...entries, print: (line) => void process.stdout.write(`${line}\n`), stop: stop.signal })
}
