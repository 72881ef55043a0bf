import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { eventually } from '../../../test/support/eventually.ts'

const START_MS_MAX = 60_000

/** Waits until a child answers at `url`; returns what ends it. */
export async function untilHealthy(child: ChildProcess, url: string): Promise<() => Promise<void>> {
  process.once('exit', () => child.kill('SIGKILL'))
  const answers = async () => {
    if (child.exitCode !== null) throw new Error(`${url}: the process exited with ${child.exitCode}`)
    return fetch(`${url}/health`).then(
      (response) => response.ok,
      () => false,
    )
  }
  await eventually(answers, Boolean, START_MS_MAX)
  return () => endChild(child)
}

export async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}
