import { readJsonLines } from '@sluice/shared/lines'
import { type Environment, SettingErrors } from '@sluice/shared/settings'
import { isReplyChannel, openReplyChannel, type SendReply } from './reply-channel.ts'

const REPLY_FD = 3
/** Exit code of a start that cannot work: no reply channel, or a setting that cannot be used. */
const EXIT_UNUSABLE = 2

/** A runner's side of the protocol of `@sluice/shared/runner-protocol`. */
export interface LineRunner {
  /** Takes one line of JSON. Returns true when it asks the runner to end. */
  receive(line: string): boolean
}

export interface RunnerProgram<Settings> {
  /** Stands before each line of its log. */
  name: string
  /** Throws SettingErrors. */
  readSettings(env: Environment): Settings
  open(settings: Settings, send: SendReply, log: (line: string) => void): LineRunner
}

/**
 * Runs a runner on this process's stdin and file descriptor 3 until it is asked to end, or nobody is there
 * any more. Exits with 2 and one line when it cannot begin.
 */
export function runRunner<Settings>({ name, readSettings, open }: RunnerProgram<Settings>): void {
  const log = (line: string) => void process.stderr.write(`${name}: ${line}\n`)
  const refuse = (why: string): never => {
    log(why)
    process.exit(EXIT_UNUSABLE)
  }
  if (!isReplyChannel(REPLY_FD)) {
    refuse('file descriptor 3 is not open; replies go there, so start it from a worker, or by hand with 3>&1')
  }
  const settings = settingsOr(() => readSettings(process.env), refuse)
  const stop = (): void => process.exit(0)
  const runner = open(settings, openReplyChannel(REPLY_FD, stop), log)
  // Ctrl-C and a service manager signal the whole process group. The worker then still yields its videos
  // through this process, which ends with its stdin.
  process.on('SIGINT', () => undefined)
  process.on('SIGTERM', () => undefined)
  readJsonLines(
    process.stdin,
    (line) => {
      if (runner.receive(line)) stop()
    },
    stop,
  )
}

function settingsOr<Settings>(read: () => Settings, refuse: (why: string) => never): Settings {
  try {
    return read()
  } catch (error) {
    if (error instanceof SettingErrors) return refuse(error.message)
    throw error
  }
}
