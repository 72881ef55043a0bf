import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { splitLines } from '../processes/split-lines.ts'
import { sendSignal } from '../processes/stop-process.ts'
import { type BackoffSettings, createBackoff } from './backoff.ts'

/** A child that exits with this code says that its settings are wrong: starting it again would not help. */
export const BAD_SETTINGS_EXIT = 2
/** The last lines of a dead child are still in the pipe; a grandchild may hold the pipe open for ever. */
const LAST_LINES_MS_MAX = 500

export interface SupervisedChildOptions {
  name: string
  /** A TypeScript or JavaScript file, run by our own Node. */
  entry: string
  /** Asked before each start, so a restarted child gets what is true then. */
  environment(): Promise<Record<string, string>>
  backoff: BackoffSettings
  onLine(line: string, stream: 'stdout' | 'stderr'): void
  /** The process that runs now, or null: called at each start and each end. */
  onPid(pid: number | null): void | Promise<void>
  /** It ended though nobody asked it to; it is started again after `waitMs`. */
  onDeath(how: string, waitMs: number): void
  onBadSettings(): void
}

export interface SupervisedChild {
  /** Runs it until stop() is called or its settings are bad. */
  start(): void
  /** SIGTERM, then SIGKILL for its whole group after `withinMs`. Resolves when nothing of it is left. Safe to repeat. */
  stop(withinMs: number): Promise<void>
  /** Ends it so that it starts anew with a fresh environment. */
  restart(): void
}

/**
 * Keeps one child running. It leads its own process group (a Ctrl-C at the terminal reaches us alone, so the order of stopping is ours) and
 * has an IPC channel whose end tells it that we are gone.
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
    // Its runners saw their stdin end; one that does not listen must not live on without a parent.
    if (started.pid !== undefined) sendSignal(-started.pid, 'SIGKILL')
    await Promise.race([closed, delay(LAST_LINES_MS_MAX)])
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
      await delay(waitMs, undefined, { signal: stopping.signal }).catch(() => {})
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
