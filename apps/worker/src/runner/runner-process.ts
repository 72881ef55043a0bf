import { type ChildProcess, spawn } from 'node:child_process'
import type { Readable, Writable } from 'node:stream'
import { readJsonLines, readTextLines } from '@sluice/shared/lines'
import { type RunnerReply, type RunnerRequest, runnerReplySchema } from '@sluice/shared/runner-protocol'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import type { Logger } from 'pino'
import type { RunnerCommand } from '../config.ts'
import { parseJson } from '../parse-json.ts'

/** Why a runner ended. `exited`: by itself. */
export interface RunnerEnd {
  why: 'exited' | 'stalled' | 'broke_protocol' | 'restarted' | 'shut_down'
  message: string
}

export interface RunnerEvents {
  onReply(reply: RunnerReply): void
  /** Once, after the last reply. */
  onEnd(end: RunnerEnd): void
}

export interface RunnerProcessInput {
  runner: RunnerCommand
  /** What the runner's device variable is set to. */
  devices: string
  /** Silence longer than this ends a runner that should reply. */
  stallMs: number
  log: Logger
}

/** How long the last replies of a dead runner are read; a grandchild may hold the pipe open for ever. */
const REPLIES_WAIT_MS = 500
/** How much of the runner's last words go into the report of its death. */
const LAST_WORDS_CHARS_MAX = 500

/**
 * One runner: a child in a process group of its own, requests on its stdin, replies on its fd 3, stdout and
 * stderr to the log. Its stdin ends with us, so it never outlives us; killing it kills its whole group.
 */
export class RunnerProcess {
  readonly #child: ChildProcess
  readonly #stdin: Writable
  readonly #stallMs: number
  readonly #log: Logger
  readonly #events: RunnerEvents
  #stallTimer: NodeJS.Timeout | undefined
  #expecting = false
  #end: RunnerEnd | undefined
  #lastWords = ''
  /** Resolves after `onEnd`. */
  readonly ended: Promise<void>

  constructor({ runner, devices, stallMs, log }: RunnerProcessInput, events: RunnerEvents) {
    this.#stallMs = stallMs
    this.#log = log
    this.#events = events
    const [file, ...args] = runner.command
    this.#child = spawn(file, args, {
      stdio: ['pipe', 'pipe', 'pipe', 'pipe'],
      detached: true,
      env: { ...runner.environment, [runner.deviceVariable]: devices },
    })
    const cannotStart = new Promise<string>((resolve) => {
      this.#child.once('error', (error) => resolve(`cannot be started: ${error.message}`))
    })
    const [stdin, stdout, stderr, replies] = this.#child.stdio
    if (stdin === null || !isReadable(stdout) || !isReadable(stderr) || !isReadable(replies))
      throw new Error('the runner was started without pipes')
    this.#stdin = stdin
    // A runner that dies with a request in its pipe is reported by its exit.
    this.#stdin.on('error', () => {})
    this.#logLines(stdout, 'stdout')
    this.#logLines(stderr, 'stderr')
    const repliesRead = new Promise<void>((resolve) => {
      readJsonLines(replies, (line) => this.#receive(line), resolve)
    })
    const exited = new Promise<string>((resolve) => {
      this.#child.once('exit', (code, signal) => {
        this.#killGroup()
        const how = `ended with ${signal ?? `exit code ${code}`}`
        // Replies it wrote before it died are still in the pipe.
        // oxlint-disable-next-line typescript/no-floating-promises -- `repliesRead` never rejects
        void repliesRead.then(() => resolve(how))
        setTimeout(() => resolve(how), REPLIES_WAIT_MS).unref()
      })
    })
    this.ended = Promise.race([cannotStart, exited]).then((how) => this.#onEnded(how))
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  send(request: RunnerRequest): void {
    if (this.#stdin.writable) this.#stdin.write(`${JSON.stringify(request)}\n`)
  }

  /** From now on, silence longer than the stall bound ends the runner. */
  expectReplies(): void {
    if (this.#expecting) return
    this.#expecting = true
    this.#watchSilence()
  }

  /** The runner has nothing to do, so it may be silent. */
  allowSilence(): void {
    if (!this.#expecting) return
    this.#expecting = false
    this.#watchSilence()
  }

  /** Kills the process group at once; `onEnd` says why. */
  kill(end: RunnerEnd): void {
    this.#end ??= end
    this.#killGroup()
  }

  /** Asks it to end, and kills it when it has not within a few seconds. */
  async shutDown(end: RunnerEnd): Promise<void> {
    this.#end ??= end
    this.allowSilence()
    this.send({ type: 'shutdown' })
    this.#stdin.end()
    const timer = setTimeout(() => this.#killGroup(), TIME_LIMITS.runner.shutDownMs)
    await this.ended
    clearTimeout(timer)
  }

  #receive(line: string): void {
    if (line.trim() === '') return
    this.#watchSilence()
    if (this.#end !== undefined && this.#end.why !== 'shut_down') return
    const reply = runnerReplySchema.safeParse(parseJson(line))
    if (reply.success) {
      this.#events.onReply(reply.data)
      return
    }
    this.#log.error({ line: line.slice(0, 200) }, 'the runner sent a reply outside the protocol')
    this.kill({
      why: 'broke_protocol',
      message: `the runner sent a reply outside the protocol: ${line.slice(0, 200)}`,
    })
  }

  #onEnded(how: string): void {
    clearTimeout(this.#stallTimer)
    const lastWords = this.#lastWords.trim()
    const message = `the runner ${how}${lastWords === '' ? '' : `; it said last: ${lastWords}`}`
    this.#events.onEnd(this.#end ?? { why: 'exited', message })
  }

  #watchSilence(): void {
    if (this.#stallTimer !== undefined && this.#expecting) {
      this.#stallTimer.refresh()
      return
    }
    clearTimeout(this.#stallTimer)
    this.#stallTimer = undefined
    if (!this.#expecting) return
    this.#stallTimer = setTimeout(() => {
      this.kill({ why: 'stalled', message: `the runner sent nothing for ${this.#stallMs} ms` })
    }, this.#stallMs)
  }

  #logLines(stream: Readable, name: 'stdout' | 'stderr'): void {
    readTextLines(stream, (line) => {
      if (name === 'stderr') this.#lastWords = `${this.#lastWords}\n${line}`.slice(-LAST_WORDS_CHARS_MAX)
      this.#log.debug({ stream: name }, `runner: ${line}`)
    })
  }

  #killGroup(): void {
    if (this.#child.pid === undefined) return
    try {
      process.kill(-this.#child.pid, 'SIGKILL')
    } catch {
      // The whole group is gone already.
    }
  }
}

function isReadable(stream: Readable | Writable | null | undefined): stream is Readable {
  return stream !== null && stream !== undefined && 'read' in stream
}
