import { closeSync, openSync, writeSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { isRunning, type ProcessIdentity, processSchema, startOf } from '../processes/process-identity.ts'
import { askToEnd, sendSignal, waitUntilGone } from '../processes/stop-process.ts'

/** A whole list, with room: written in one piece, in place, it needs no new block of a full disk. */
const LIST_BYTES = 1_024
/** How long a child whose supervisor is gone may take to end by itself, and then by force. */
const LEFT_MS = { asked: 10_000, killed: 2_000 } as const

/**
 * The children that a supervisor runs now, in a file, so that the next supervisor can end them if this one is
 * killed.
 */
export class ChildrenList {
  readonly #path: string
  readonly #onProblem: (error: Error) => void
  #file: number | null = null
  #isTrouble = false

  /** `onProblem` is called once for every outage of the file. */
  constructor(path: string, onProblem: (error: Error) => void) {
    this.#path = path
    this.#onProblem = onProblem
  }

  /**
   * Replaces the list, in the order of stopping. Synchronous, so that the last caller's list is what stands
   * there. Never throws: a list that cannot be written ends no child and starts none.
   */
  write(pids: readonly number[]): void {
    const children = pids.map((pid) => ({ pid, start: startOf(pid) ?? '' }))
    try {
      this.#file ??= openSync(this.#path, 'w', 0o600)
      writeSync(this.#file, JSON.stringify(children).padEnd(LIST_BYTES), 0)
      this.#isTrouble = false
    } catch (error) {
      this.close()
      if (!this.#isTrouble) this.#onProblem(error as Error)
      this.#isTrouble = true
    }
  }

  close(): void {
    try {
      if (this.#file !== null) closeSync(this.#file)
    } catch {
      // What a disk says when a file is closed comes too late to matter.
    }
    this.#file = null
  }
}

/** Ends the children on a list that a killed supervisor left, one after the other. */
export async function endLeftChildren(path: string): Promise<void> {
  for (const child of (await readChildren(path)).filter(isRunning)) {
    // Children stop when their parent's channel closes; this is for one that does not, or is frozen.
    askToEnd(child.pid, 'SIGTERM')
    if (await waitUntilGone(child.pid, LEFT_MS.asked)) continue
    sendSignal(-child.pid, 'SIGKILL')
    await waitUntilGone(child.pid, LEFT_MS.killed)
  }
}

async function readChildren(path: string): Promise<ProcessIdentity[]> {
  const text = await readFile(path, 'utf8').catch(() => '[]')
  try {
    return z.array(processSchema).parse(JSON.parse(text))
  } catch {
    return []
  }
}
