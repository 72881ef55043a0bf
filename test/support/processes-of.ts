import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'

interface RunningProcess {
  pid: number
  command: string
  environment: string
}

/**
 * Ids of the live processes whose command line contains `commandPart` and whose command line or environment
 * contains `mark`, which all processes of one service share.
 */
export function processesOf(mark: string, commandPart: string): number[] {
  const running = process.platform === 'linux' ? processesInProc() : processesOfPs()
  return running
    .filter(({ command, environment }) => `${command} ${environment}`.includes(mark))
    .filter(({ command }) => command.includes(commandPart))
    .map(({ pid }) => pid)
}

/** Linux shows the command line and the environment of each process in /proc. */
function processesInProc(): RunningProcess[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8')
        const environment = readFileSync(`/proc/${name}/environ`, 'utf8')
        return existsSync(`/proc/${name}/exe`) ? [{ pid: Number(name), command, environment }] : []
      } catch {
        // It has ended in the meantime, or belongs to another user.
        return []
      }
    })
}

/** On macOS `ps` shows the environment behind the command. */
function processesOfPs(): RunningProcess[] {
  const listed = execFileSync('ps', ['-axEww', '-o', 'pid=,command='], {
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  })
  return [...listed.matchAll(/^ *(\d+) (.*)$/gm)].map(([, pid, command = '']) => ({
    pid: Number(pid),
    command,
    environment: '',
  }))
}
