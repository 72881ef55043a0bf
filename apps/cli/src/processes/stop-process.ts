import { setTimeout as delay } from 'node:timers/promises'
import { isAlive } from './process-identity.ts'

/** How often a process that is not our child is looked at; only children announce their end. */
const LOOK_MS = 20

/** Waits until the process is gone. Answers false when it still lives after `withinMs`. */
export async function waitUntilGone(pid: number, withinMs: number): Promise<boolean> {
  const giveUpAt = performance.now() + withinMs
  while (isAlive(pid)) {
    if (performance.now() >= giveUpAt) return false
    await delay(LOOK_MS)
  }
  return true
}

/** Sends a signal; a process (or group, given as a negative id) that is already gone is fine. */
export function sendSignal(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
