import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { WORKER_ENTRY } from './run-up.ts'

/**
 * Runs a worker in the foreground with our terminal and environment, passes signals on, and returns its exit
 * code.
 */
export async function runWorker(): Promise<number> {
  const child = spawn(process.execPath, [WORKER_ENTRY], { stdio: 'inherit', env: process.env })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
  const [code, signal]: [number | null, NodeJS.Signals | null] = (await once(child, 'exit')) as [
    number | null,
    NodeJS.Signals | null,
  ]
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal])
}
