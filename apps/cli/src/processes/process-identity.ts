import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { basename } from 'node:path'
import { z } from 'zod'

export const processSchema = z.object({ pid: z.int().positive(), start: z.string() })
/** A process and its start, so that a later process with the same pid is not taken for it. */
export type ProcessIdentity = z.infer<typeof processSchema>

/** True while that very process lives. */
export function isRunning({ pid, start }: ProcessIdentity): boolean {
  return isAlive(pid) && startOf(pid) === start
}

/**
 * True while a process of that id exists. On Linux one that has ended but was not reaped yet counts as gone.
 */
export function isAlive(pid: number): boolean {
  return isInProcessTable(pid) && readStat(pid)?.state !== 'Z'
}

/**
 * True while the kernel knows that id, be it of a process that has ended and was never reaped: PostgreSQL
 * looks no further before it calls a pid file's process alive.
 */
export function isInProcessTable(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

/** True when that process was stopped, by Ctrl-Z or SIGSTOP, and not resumed. Known on Linux only. */
export function isFrozen(pid: number): boolean {
  return readStat(pid)?.state === 'T'
}

/**
 * When that process started, as a text that no later process of the same pid shares: boot id and clock ticks
 * since the boot on Linux (proc(5), field 22), elsewhere the start time that `ps` prints. Null when there is
 * no such process.
 */
export function startOf(pid: number): string | null {
  const stat = readStat(pid)
  if (stat !== null) return stat.state === 'Z' ? null : `${readBootId()}/${stat.startTicks}`
  if (process.platform === 'linux') return null
  const started = ps(pid, 'lstart')
  return started === '' ? null : started
}

/** The command line of a process, one argument each, or null when it cannot be read. */
export function argumentsOf(pid: number): readonly string[] | null {
  if (process.platform !== 'linux') {
    const command = ps(pid, 'command')
    return command === '' ? null : command.split(' ')
  }
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
  } catch {
    return null
  }
}

/**
 * Live processes of one of the `programs`, file names, that work in `folder`, an absolute path without links.
 * Known on Linux only.
 */
export function processesIn(folder: string, programs: readonly string[]): number[] {
  if (process.platform !== 'linux') return []
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => linkOf(pid, 'cwd') === folder && programs.includes(programOf(pid)) && isAlive(pid))
}

function programOf(pid: number): string {
  // Linux marks a program whose file was replaced since its start.
  return basename(linkOf(pid, 'exe').replace(/ \(deleted\)$/, ''))
}

function linkOf(pid: number, name: 'cwd' | 'exe'): string {
  try {
    return readlinkSync(`/proc/${pid}/${name}`)
  } catch {
    // It has ended meanwhile, or belongs to somebody else.
    return ''
  }
}

interface Stat {
  state: string
  startTicks: string
}

function readStat(pid: number): Stat | null {
  if (process.platform !== 'linux') return null
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the name in parentheses, which may itself contain spaces and parentheses.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] ?? '', startTicks: fields[19] ?? '' }
  } catch {
    return null
  }
}

function readBootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
  } catch {
    return 'boot'
  }
}

function ps(pid: number, column: string): string {
  try {
    return execFileSync('ps', ['-o', `${column}=`, '-p', String(pid)], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim()
  } catch {
    return ''
  }
}
