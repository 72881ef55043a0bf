import { fileURLToPath } from 'node:url'
import { up } from './up.ts'

/** The programs, as paths from this file. */
export const API_ENTRY = fileURLToPath(new URL('../../../api/src/main.ts', import.meta.url))
export const WORKER_ENTRY = fileURLToPath(new URL('../../../worker/src/main.ts', import.meta.url))

/** `sluice up` in this process: answers the exit code when everything has stopped. */
export async function runUp(
  env: NodeJS.ProcessEnv = process.env,
  entries = { apiEntry: API_ENTRY, workerEntry: WORKER_ENTRY },
): Promise<0 | 1 | 2> {
  const stop = new AbortController()
  // npm passes on a Ctrl-C that the terminal has delivered already: further signals change nothing.
  const onSignal = () => stop.abort()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal)
  // Whoever read our lines is gone; the service goes on.
  process.stdout.on('error', () => {})
  return up({ env, ...entries, say: (line) => void process.stdout.write(`${line}\n`), stop: stop.signal })
}
