import { pause } from '@sluice/shared/pause'
import { isAlive } from './process-identity.ts'

/** How often to look at a process that is not our child: only a child's end is an event. */
const LOOK_MS = 20

/** Waits until the process is gone. Returns false when it still lives after `withinMs`. */
export async function waitUntilGone(pid: number, withinMs: number): Promise<boolean> {
  const giveUpAt = performance.now() + withinMs
  while (isAlive(pid)) {
    if (performance.now() >= giveUpAt) return false
    await pause(LOOK_MS)
  }
  return true
}

/** Sends a signal to a process, or to a group as a negative id. Does nothing when it is already gone. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
