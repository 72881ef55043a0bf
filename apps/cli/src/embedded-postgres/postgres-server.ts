import { type ChildProcess, spawn } from 'node:child_process'
import { readTextLines } from '@sluice/shared/lines'
import { askToEnd, KILLED_MS_MAX, sendSignal, settlesWithin } from '../processes/stop-process.ts'
import { type Launch, SERVER_ENVIRONMENT } from './server-account.ts'
import { endBackends } from './take-over.ts'

/** A postmaster that was started, whether or not it got ready. */
export interface PostgresServer {
  pid: number
  /** Null once it accepts connections, else the last lines it logged before it gave up. */
  ready: Promise<string | null>
  exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  /**
   * Fast shutdown, forced after `withinMs` (default 4,000). Nothing of it is left then, but what the kernel
   * cannot end. Safe to repeat.
   */
  stop(withinMs?: number): Promise<void>
}

export interface ServerLaunch {
  /** The program and the cluster's folder, absolute. */
  postgres: string
  cluster: string
  settings: Readonly<Record<string, string>>
  launch: Launch
  onLog: (line: string) => void
}

/**
 * While it recovers, the server logs every 10 s (log_startup_progress_interval); silent for this long, it
 * hangs.
 */
const SILENCE_MS_MAX = 60_000
const LINES_KEPT = 8

export function launchServer({ postgres, cluster, settings, launch, onLog }: ServerLaunch): PostgresServer {
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const [file = '', ...rest] = [...launch.prefix, postgres, '-D', cluster, ...args]
  const child: ChildProcess = spawn(file, rest, {
    ...launch.spawnAs,
    cwd: cluster,
    env: { ...SERVER_ENVIRONMENT },
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const exited: PostgresServer['exited'] = new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }))
    child.on('error', () => child.pid === undefined && resolve({ code: null, signal: null }))
  })
  const pid = child.pid ?? 0
  const stop = async (withinMs = 4_000): Promise<void> => {
    if (pid === 0 || child.exitCode !== null || child.signalCode !== null) return
    const quitAfterMs = Math.max(withinMs - 500, 0)
    const quit = setTimeout(() => sendSignal(pid, 'SIGQUIT'), quitAfterMs)
    const kill = setTimeout(() => sendSignal(-pid, 'SIGKILL'), withinMs + 500)
    askToEnd(pid, 'SIGINT')
    await settlesWithin(withinMs + 500 + KILLED_MS_MAX, exited)
    clearTimeout(quit)
    clearTimeout(kill)
    // A postmaster that had to be killed cannot end its backends, and a frozen one does not see it go.
    if (child.signalCode !== null) await endBackends(cluster, onLog).catch(() => undefined)
  }
  return { pid, ready: untilReady(child, onLog), exited, stop }
}

/** Reads the server's log until it ends. Resolves as `PostgresServer.ready`. */
function untilReady(child: ChildProcess, onLog: (line: string) => void): Promise<string | null> {
  const lines: string[] = []
  return new Promise((resolve) => {
    const silence = setTimeout(
      () => resolve(`it logged nothing for ${SILENCE_MS_MAX / 1_000} s`),
      SILENCE_MS_MAX,
    )
    const settle = (problem: string | null) => {
      clearTimeout(silence)
      resolve(problem)
    }
    if (child.stderr !== null) {
      readTextLines(child.stderr, (line) => {
        onLog(line)
        silence.refresh()
        lines.push(line)
        if (lines.length > LINES_KEPT) lines.shift()
        if (line.includes('database system is ready to accept connections')) settle(null)
      })
    }
    child.once('error', (error) => settle(error.message))
    child.once('close', (code, signal) => settle(`${lines.join('\n')} (exit ${code ?? signal})`))
  })
}
