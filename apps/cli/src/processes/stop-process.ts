import { pause } from '@sluice/shared/pause'
import { isAlive } from './process-identity.ts'

/** How often to look at a process that is not our child: only a child's end is an event. */
const LOOK_MS = 20
/** How long the kernel may take to end what was killed; a process that waits for a dead disk never ends. */
export const KILLED_MS_MAX = 1_000

/** Waits until the process is gone. Returns false when it still lives after `withinMs`, or at `giveUp`. */
export async function waitUntilGone(pid: number, withinMs: number, giveUp?: AbortSignal): Promise<boolean> {
  const giveUpAt = performance.now() + withinMs
  while (isAlive(pid)) {
    if (performance.now() >= giveUpAt || giveUp?.aborted === true) return false
    await pause(LOOK_MS, giveUp)
  }
  return true
}

/**
 * Sends a signal to a process, or to a group as a negative id. Does nothing when it is already gone or is not
 * ours to signal: whoever stops something looks whether it ended, and nothing else fails because of it.
 */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ESRCH' && code !== 'EPERM') throw error
  }
}

/** Asks a process to end. One that is frozen is woken, since it could not hear it. */
export function askToEnd(pid: number, signal: NodeJS.Signals): void {
  sendSignal(pid, signal)
  sendSignal(pid, 'SIGCONT')
}

/** Waits until `work` is settled, however, or `limitMs` have passed. Returns whether it was settled. */
export async function settlesWithin(limitMs: number, work: Promise<unknown>): Promise<boolean> {
  const isOver = new AbortController()
  const settled = work.then(
    () => true,
    () => true,
  )
  const late = pause(limitMs, isOver.signal).then(() => false)
  return Promise.race([settled, late]).finally(() => isOver.abort())
}
