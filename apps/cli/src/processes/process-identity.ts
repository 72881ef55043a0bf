import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/**
 * True while a process of that id exists. On Linux one that has ended but was not reaped yet counts as gone.
 */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
  return readStat(pid)?.state !== 'Z'
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
