import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { pause } from '@sluice/shared/pause'
import { splitLines } from '../processes/split-lines.ts'
import { sendSignal } from '../processes/stop-process.ts'
import { type BackoffSettings, createBackoff } from './backoff.ts'

/** A child exits with this code when its settings are wrong: starting it again would not help. */
const BAD_SETTINGS_EXIT = 2
/** How long to read a dead child's last lines: a grandchild may keep the pipe open for ever. */
const LAST_LINES_MS_MAX = 500

export interface SupervisedChildOptions {
  /** A TypeScript or JavaScript file, run by our own Node. */
  entry: string
  /** Called before each start, so that a restarted child gets current values. */
  environment(): Promise<Record<string, string>>
  backoff: BackoffSettings
  onLine(line: string, stream: 'stdout' | 'stderr'): void
  /** Called at each start and each end with the process that runs now, or null. */
  onPid(pid: number | null): void | Promise<void>
  /** It ended without being asked to, and is started again after `waitMs`. */
  onDeath(how: string, waitMs: number): void
  onBadSettings(): void
}

export interface SupervisedChild {
  /** Runs it until stop() is called or its settings are bad. */
  start(): void
  /**
   * SIGTERM, then SIGKILL for its whole group after `withinMs`. Resolves when nothing of it is left. Safe to
   * repeat.
   */
  stop(withinMs: number): Promise<void>
  /** Ends it, so that it is started again with a new environment. */
  restart(): void
}

/**
 * Keeps one child running. It leads a process group of its own, so that a Ctrl-C at the terminal reaches only
 * us, and we decide the order of stopping. It has an IPC channel, by whose end it sees that we are gone.
 */
export function superviseChild(options: SupervisedChildOptions): SupervisedChild {
  const stopping = new AbortController()
  let child: ChildProcess | null = null
  let running: Promise<void> = Promise.resolve()

  const runOnce = async (): Promise<string | null> => {
    const env = await options.environment()
    if (stopping.signal.aborted) return null
    const started = spawn(process.execPath, [options.entry], {
      env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    child = started
    splitLines(started.stdout as NonNullable<typeof started.stdout>, (line) => options.onLine(line, 'stdout'))
    splitLines(started.stderr as NonNullable<typeof started.stderr>, (line) => options.onLine(line, 'stderr'))
    started.on('error', (error) => options.onLine(error.message, 'stderr'))
    const closed = once(started, 'close').catch(() => {})
    const exited = once(started, 'exit')
    if (started.pid !== undefined) await options.onPid(started.pid)
    const [code, signal]: [number | null, string | null] = (await exited) as [number | null, string | null]
    child = null
    // Its runners saw their stdin end; one that ignores that must not live on without a parent.
    if (started.pid !== undefined) sendSignal(-started.pid, 'SIGKILL')
    await Promise.race([closed, pause(LAST_LINES_MS_MAX)])
    await options.onPid(null)
    if (code === BAD_SETTINGS_EXIT && !stopping.signal.aborted) {
      stopping.abort()
      options.onBadSettings()
      return null
    }
    return signal === null ? `exit code ${code}` : `signal ${signal}`
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

  return {
    start() {
      running = run()
    },
    async stop(withinMs) {
      stopping.abort()
      const pid = child?.pid
      if (pid !== undefined) sendSignal(pid, 'SIGTERM')
      const kill = setTimeout(() => child?.pid !== undefined && sendSignal(-child.pid, 'SIGKILL'), withinMs)
      await running
      clearTimeout(kill)
    },
    restart() {
      if (child?.pid !== undefined) sendSignal(child.pid, 'SIGTERM')
    },
  }
}
