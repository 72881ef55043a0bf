import { randomBytes } from 'node:crypto'
import { readFileSync, readlinkSync, utimesSync } from 'node:fs'
import { hostname } from 'node:os'
import {
  leaveNumberedLock,
  type NewestLock,
  readNewestLock,
  type TakenLock,
  takeNumberedLock,
} from '@sluice/shared/numbered-lock'
import { pause } from '@sluice/shared/pause'
import { z } from 'zod'
import { parseJson } from './parse-json.ts'

/**
 * The lock of a worker's folder. It holds across containers and hosts that share the folder: a process that
 * cannot be seen from here is alive while it renews its lock.
 */

const LOCK_NAME = 'worker'
/** Boots of earlier processes that are remembered: more than start and die between two beats. */
const PREDECESSORS_MAX = 8

const holderSchema = z.object({
  boot: z.string(),
  predecessors: z.array(z.string()),
  /** Undefined once the process has left the lock. */
  process: z.object({ pid: z.int().positive(), start: z.string(), space: z.string() }).optional(),
})
type Holder = z.infer<typeof holderSchema>

export interface LockTimes {
  renewEveryMs: number
  /** A lock that was not renewed for so long, while one looked, is nobody's. */
  staleMs: number
  /** A lock that is older than this is nobody's, without waiting: hosts that share a folder agree so far. */
  oldMs: number
}

/** Four renewals may be late before a lock counts as left; a start after a crash waits no longer. */
export const LOCK_TIMES: LockTimes = { renewEveryMs: 1_500, staleMs: 6_000, oldMs: 60_000 }

export interface WorkerLock {
  /** Random, of this start of the worker. */
  readonly boot: string
  /** Boots of earlier processes that had this lock; all of them are gone. */
  readonly predecessors: readonly string[]
  /** `onLost` is called once, when another process has taken the lock from this one, which was frozen. */
  keep(onLost: () => void): void
  leave(): Promise<void>
}

/** Locks that this very process has or takes, by boot. */
const heldHere = new Set<string>()

/** Takes the lock of this folder; null when a live worker has it. Throws what the file system throws. */
export async function takeWorkerLock(dir: string, times: LockTimes = LOCK_TIMES): Promise<WorkerLock | null> {
  const boot = randomBytes(16).toString('hex')
  const place = { dir, name: LOCK_NAME }
  const holder = { boot, process: ownProcess() }
  const before = holderOf((await readNewestLock(place)).text)
  const predecessors = predecessorsOf(before)
  heldHere.add(boot)
  try {
    const taken = await takeNumberedLock({
      ...place,
      text: JSON.stringify({ ...holder, predecessors } satisfies Holder),
      draft: boot,
      isHeld: (newest) => isHeld(place, newest, times),
    })
    if (!('heldBy' in taken)) return new HeldLock(place, taken, { boot, predecessors, times })
  } catch (error) {
    heldHere.delete(boot)
    throw error
  }
  heldHere.delete(boot)
  return null
}

class HeldLock implements WorkerLock {
  readonly boot: string
  readonly predecessors: readonly string[]
  readonly #place: { dir: string; name: string }
  readonly #taken: TakenLock
  readonly #timer: NodeJS.Timeout
  #isLost = false
  #onLost: () => void = () => {}

  constructor(
    place: { dir: string; name: string },
    taken: TakenLock,
    held: { boot: string; predecessors: readonly string[]; times: LockTimes },
  ) {
    this.#place = place
    this.#taken = taken
    this.boot = held.boot
    // Another process may have had it and gone while this one looked.
    this.predecessors = [...new Set([...predecessorsOf(holderOf(taken.before)), ...held.predecessors])]
    const watch = (): void => {
      this.#renew()
      // A folder that cannot be read now says nothing.
      this.#look().catch(() => {})
    }
    this.#timer = setInterval(watch, held.times.renewEveryMs).unref()
  }

  keep(onLost: () => void): void {
    this.#onLost = onLost
    if (this.#isLost) onLost()
  }

  async leave(): Promise<void> {
    clearInterval(this.#timer)
    heldHere.delete(this.boot)
    if (this.#isLost) return
    const left: Holder = { boot: this.boot, predecessors: [...this.predecessors] }
    // A lock that stays is taken over at the next start, since its process is gone.
    await leaveNumberedLock(this.#taken.path, JSON.stringify(left)).catch(() => {})
  }

  async #look(): Promise<void> {
    const { number } = await readNewestLock(this.#place)
    if (number <= this.#taken.number || this.#isLost) return
    this.#isLost = true
    clearInterval(this.#timer)
    this.#onLost()
  }

  /** Takes no room, so that it works on a full disk. */
  #renew(): void {
    try {
      const now = new Date()
      utimesSync(this.#taken.path, now, now)
    } catch {
      // The file is there again when the folder is; until then nobody else can take it either.
    }
  }
}

async function isHeld(
  place: { dir: string; name: string },
  newest: NewestLock,
  times: LockTimes,
): Promise<boolean> {
  const holder = holderOf(newest.text)
  if (holder?.process === undefined) return false
  const { pid, start, space } = holder.process
  const own = ownProcess()
  if (space === own.space) {
    return pid === own.pid ? heldHere.has(holder.boot) : startOf(pid) === start
  }
  if (Date.now() - newest.changedAtMs > times.oldMs) return false
  // It runs where it cannot be seen, or ran there.
  const deadlineMs = performance.now() + times.staleMs
  while (performance.now() < deadlineMs) {
    await pause(times.renewEveryMs / 2)
    const now = await readNewestLock(place)
    if (now.number !== newest.number || now.text !== newest.text) return isHeld(place, now, times)
    if (now.changedAtMs !== newest.changedAtMs) return true
  }
  return false
}

function holderOf(text: string): Holder | null {
  const parsed = holderSchema.safeParse(parseJson(text))
  return parsed.success ? parsed.data : null
}

function predecessorsOf(holder: Holder | null): string[] {
  return holder === null ? [] : [holder.boot, ...holder.predecessors].slice(0, PREDECESSORS_MAX)
}

function ownProcess(): NonNullable<Holder['process']> {
  return { pid: process.pid, start: startOf(process.pid) ?? '', space: pidSpace() }
}

/** Within which one pid is one process: a start of the kernel and, on Linux, a namespace of its pids. */
function pidSpace(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return `${boot} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return hostname()
  }
}

/** When a process began, so that a reused pid is not mistaken for it; '' = not known here, null = gone. */
function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? null : (fields[19] ?? '')
  } catch {
    if (process.platform === 'linux') return null
  }
  try {
    process.kill(pid, 0)
    return ''
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM' ? '' : null
  }
}
