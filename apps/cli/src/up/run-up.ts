import { isatty } from 'node:tty'
import { fileURLToPath } from 'node:url'
import { up } from './up.ts'

const API_ENTRY = fileURLToPath(new URL('../../../api/src/main.ts', import.meta.url))
export const WORKER_ENTRY = fileURLToPath(new URL('../../../worker/src/main.ts', import.meta.url))

/** A terminal that takes nothing (Ctrl-S) costs the lines beyond these. */
const UNSHOWN_BYTES_MAX = 1_000_000

/** Runs `sluice up` in this process, and returns the exit code when everything has stopped. */
export async function runUp(
  env: NodeJS.ProcessEnv = process.env,
  entries = { apiEntry: API_ENTRY, workerEntry: WORKER_ENTRY },
): Promise<0 | 1 | 2> {
  const stop = new AbortController()
  // npm passes on a Ctrl-C that the terminal has already delivered, so further signals change nothing.
  const onSignal = () => stop.abort()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal)
  // Of a terminal that was closed; what was started without one (nohup) is to outlive it.
  process.on('SIGHUP', [0, 1, 2].some((file) => isatty(file)) ? onSignal : () => undefined)
  return up({ env, ...entries, print: createPrint(process.stdout), stop: stop.signal })
}

/** Prints lines for people, and never waits for them: the service goes on when they stop or end reading. */
function createPrint(stream: NodeJS.WriteStream): (line: string) => void {
  stream.on('error', () => {})
  // Node lets a write to a terminal block the whole program until it is taken.
  const { _handle: handle } = stream as { _handle?: { setBlocking?(isBlocking: boolean): void } }
  if (stream.isTTY) handle?.setBlocking?.(false)
  return (line) => {
    if (stream.writableLength < UNSHOWN_BYTES_MAX) stream.write(`${line}\n`)
  }
}
