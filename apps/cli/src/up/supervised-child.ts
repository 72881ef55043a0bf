import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readTextLines } from '@sluice/shared/lines'
import { pause } from '@sluice/shared/pause'
import { askToEnd, KILLED_MS_MAX, sendSignal, settlesWithin } from '../processes/stop-process.ts'
import { type BackoffSettings, createBackoff } from './backoff.ts'

/** A child exits with this code when its settings are wrong: starting it again would not help. */
const BAD_SETTINGS_EXIT = 2
/** How long to read a dead child's last lines: a grandchild may keep the pipe open for ever. */
const LAST_LINES_MS_MAX = 500
/** How long a child that shall be started again may take to end by itself. */
const RESTART_MS_MAX = 5_000

export interface SupervisedChildOptions {
  /** A TypeScript or JavaScript file, run by our own Node. */
  entry: string
  /** Called before each start, so that a restarted child gets current values. */
  environment(): Promise<Record<string, string>>
  backoff: BackoffSettings
  onLine(line: string, stream: 'stdout' | 'stderr'): void
  /** Called at each start and each end with the process that runs now, or null. Never throws. */
  onPid(pid: number | null): void
  /** It ended without being asked to, and is started again after `waitMs`. */
  onDeath(how: string, waitMs: number): void
  /**
   * It said that its settings are wrong. True ends it for good; false counts as any other death, since
   * settings that it worked with before cannot have become wrong.
   */
  onBadSettings(): boolean
}

export interface SupervisedChild {
  /** Runs it until stop() is called or its settings are bad. Safe to repeat. */
  start(): void
  /**
   * SIGTERM, then SIGKILL for its whole group after `withinMs`. Resolves with true when nothing of it is
   * left, with false when even that did not end it in time. Safe to repeat.
   */
  stop(withinMs: number): Promise<boolean>
  /** Ends it, so that it is started again with a new environment. */
  restart(): void
}

/**
 * Keeps one child running, never two: the next is started only when the kernel said that the last has ended.
 * It leads a process group of its own, so that a Ctrl-C at the terminal reaches only us, and we decide the
 * order of stopping. It has an IPC channel, by whose end it sees that we are gone.
 */
export function superviseChild(options: SupervisedChildOptions): SupervisedChild {
  const stopping = new AbortController()
  let child: ChildProcess | null = null
  let running: Promise<void> | null = null

  /** Runs it once and returns how it died, or null when it shall not be started again. */
  const runOnce = async (): Promise<string | null> => {
    const env = await options.environment()
    if (stopping.signal.aborted) return null
    const started = launch(options.entry, env, options.onLine)
    child = started.process
    if (child.pid !== undefined) options.onPid(child.pid)
    const { code, how } = await started.ended
    const { pid } = child
    child = null
    // Its runners saw their stdin end; one that ignores that must not live on without a parent.
    if (pid !== undefined) sendSignal(-pid, 'SIGKILL')
    await Promise.race([started.closed, pause(LAST_LINES_MS_MAX)])
    options.onPid(null)
    if (code === BAD_SETTINGS_EXIT && !stopping.signal.aborted && options.onBadSettings()) return null
    return how
  }

  const run = async (): Promise<void> => {
    const backoff = createBackoff(options.backoff)
    while (!stopping.signal.aborted) {
      const startedAt = performance.now()
      const how = await runOnce().catch((error: unknown) =>
        error instanceof Error ? error.message : String(error),
      )
      if (stopping.signal.aborted || how === null) return
      const waitMs = backoff(performance.now() - startedAt)
      options.onDeath(how, waitMs)
      await pause(waitMs, stopping.signal)
    }
  }

  /** SIGTERM, and SIGKILL for its group if it is still the same child that runs after `withinMs`. */
  const end = (ending: ChildProcess, withinMs: number): void => {
    const { pid } = ending
    if (pid === undefined) return
    askToEnd(pid, 'SIGTERM')
    const kill = setTimeout(() => child === ending && sendSignal(-pid, 'SIGKILL'), withinMs)
    ending.once('exit', () => clearTimeout(kill))
  }

  return {
    start() {
      running ??= run()
    },
    async stop(withinMs) {
      stopping.abort()
      if (child !== null) end(child, withinMs)
      return settlesWithin(withinMs + LAST_LINES_MS_MAX + KILLED_MS_MAX, running ?? Promise.resolve())
    },
    restart() {
      if (child !== null) end(child, RESTART_MS_MAX)
    },
  }
}

interface Launched {
  process: ChildProcess
  /** Never rejects. Only the kernel's word counts as an end: an `error` event may come of a living child. */
  ended: Promise<{ code: number | null; how: string }>
  /** Its pipes are closed. Never rejects. */
  closed: Promise<unknown>
}

function launch(
  entry: string,
  env: Record<string, string>,
  onLine: SupervisedChildOptions['onLine'],
): Launched {
  const child = spawn(process.execPath, [entry], {
    env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const ended: Launched['ended'] = new Promise((resolve) => {
    child.on('exit', (code, signal) =>
      resolve({ code, how: signal === null ? `exit code ${code}` : `signal ${signal}` }),
    )
    child.on('error', (error) => {
      onLine(error.message, 'stderr')
      if (child.pid === undefined) resolve({ code: null, how: error.message })
    })
  })
  for (const stream of ['stdout', 'stderr'] as const) {
    // Node has no pipe for a child that could not be made for want of file descriptors.
    const pipe = child[stream] ?? null
    if (pipe !== null) readTextLines(pipe, (line) => onLine(line, stream))
  }
  return { process: child, ended, closed: once(child, 'close').catch(() => undefined) }
}
