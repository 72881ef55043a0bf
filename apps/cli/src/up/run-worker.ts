import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { sendSignal } from '../processes/stop-process.ts'
import { WORKER_ENTRY } from './run-up.ts'

/** A single Ctrl-C arrives several times: from the terminal, from npx and from the launcher. */
const SAME_SIGNAL_MS = 1_000

/**
 * Runs a worker in the foreground with our terminal and environment, and returns its exit code. It leads a
 * process group of its own, so that a Ctrl-C reaches it once, from us; again after a second, it ends at once.
 * It has an IPC channel, by whose end it sees that we are gone.
 */
export async function runWorker(entry: string = WORKER_ENTRY): Promise<number> {
  const child = spawn(process.execPath, [entry], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    env: process.env,
    detached: true,
  })
  let passedAt = Number.NEGATIVE_INFINITY
  const pass = () => {
    if (performance.now() - passedAt < SAME_SIGNAL_MS) return
    passedAt = performance.now()
    if (child.pid !== undefined) sendSignal(child.pid, 'SIGTERM')
  }
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, pass)
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null]
  // Its runners saw their stdin end; one that ignores that must not live on without a parent.
  if (child.pid !== undefined) sendSignal(-child.pid, 'SIGKILL')
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal])
}
