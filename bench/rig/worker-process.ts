import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { eventually } from '../../test/support/eventually.ts'
import type { ApiProcess } from './api-process.ts'

const WORKER_MAIN = fileURLToPath(new URL('../../apps/worker/src/main.ts', import.meta.url))
const START_MS_MAX = 60_000

export interface WorkerProcess {
  stop(): Promise<void>
}

/**
 * Starts a worker process whose animatic runner makes a step in a millisecond; returns once the API is ready
 * for it.
 */
export async function startWorkerProcess(
  api: ApiProcess,
  settings: { queueUrl: string; dataDir: string; env?: Record<string, string> },
): Promise<WorkerProcess> {
  const child = spawn(process.execPath, [WORKER_MAIN], {
    env: {
      PATH: process.env.PATH ?? '',
      SLUICE_API_URL: api.url,
      SLUICE_WORKER_TOKEN: api.workerToken,
      SLUICE_QUEUE_URL: settings.queueUrl,
      SLUICE_DATA_DIR: settings.dataDir,
      SLUICE_LOG: 'warn',
      SLUICE_ANIMATIC_STEP_MS: '1',
      SLUICE_GRACE_MS: '100',
      ...settings.env,
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  process.once('exit', () => child.kill('SIGKILL'))
  const isReady = async () => {
    if (child.exitCode !== null) throw new Error(`the worker exited with ${child.exitCode}`)
    return (await fetch(`${api.url}/ready`)).ok
  }
  await eventually(isReady, Boolean, START_MS_MAX)
  return {
    stop: async () => {
      if (child.exitCode !== null) return
      const exited = once(child, 'exit')
      child.kill('SIGTERM')
      await exited
    },
  }
}
