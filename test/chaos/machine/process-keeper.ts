import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import { pause } from '@sluice/shared/pause'

/** A host's init system starts a dead service again after so long (systemd's RestartSec has 100 ms). */
const RESTART_MS = 300
const STOP_MS_MAX = 30_000

export interface KeptProcess {
  name: string
  /** Null while it is not running. */
  pid(): number | null
  /** How often it was started. */
  starts(): number
  /** What the newest start said with its exit, if it exited by itself. */
  lastExit(): string | null
  /** SIGTERM, and SIGKILL after 30 s; it is not started again. Returns whether it ended by itself. */
  stop(): Promise<boolean>
}

export interface KeptProgram {
  name: string
  /** Program and arguments. */
  command: readonly [string, ...string[]]
  env: Record<string, string>
  /** Its output goes there. */
  logFile: string
}

/** Runs a program and starts it again whenever it ends, as an init system does. */
export function keepProcess(program: KeptProgram): KeptProcess {
  const log: WriteStream = createWriteStream(program.logFile, { flags: 'a' })
  const stopping = new AbortController()
  let child: ChildProcess | null = null
  let starts = 0
  let lastExit: string | null = null
  const run = async () => {
    while (!stopping.signal.aborted) {
      const [file, ...args] = program.command
      const started = spawn(file, args, { env: program.env, stdio: ['ignore', 'pipe', 'pipe'] })
      child = started
      starts += 1
      started.stdout.pipe(log, { end: false })
      started.stderr.pipe(log, { end: false })
      const [code, signal] = (await once(started, 'exit')) as [number | null, NodeJS.Signals | null]
      child = null
      lastExit = signal ?? `exit code ${code}`
      await pause(RESTART_MS, stopping.signal)
    }
  }
  const running = run()
  return {
    name: program.name,
    pid: () => child?.pid ?? null,
    starts: () => starts,
    lastExit: () => lastExit,
    stop: async () => {
      stopping.abort()
      const stopped = child
      let isKilled = false
      if (stopped !== null) {
        // One that a fault has frozen could not hear it.
        stopped.kill('SIGCONT')
        stopped.kill('SIGTERM')
      }
      const kill = setTimeout(() => {
        isKilled = true
        stopped?.kill('SIGKILL')
      }, STOP_MS_MAX)
      await running
      clearTimeout(kill)
      log.end()
      return !isKilled
    },
  }
}
