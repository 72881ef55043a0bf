import { isReplyChannel, openReplyChannel } from '@sluice/runner/reply-channel'
import { readJsonLines } from '@sluice/shared/json-lines'
import { SettingErrors } from '@sluice/shared/settings'
import { Runner } from './runner.ts'
import { type AnimaticSettings, readAnimaticSettings } from './settings.ts'

const REPLY_FD = 3
/** Exit code of a start that cannot work: no reply channel, or a setting that cannot be used. */
const EXIT_UNUSABLE = 2

function log(line: string): void {
  process.stderr.write(`animatic: ${line}\n`)
}

function refuse(why: string): never {
  log(why)
  process.exit(EXIT_UNUSABLE)
}

if (!isReplyChannel(REPLY_FD)) {
  refuse('file descriptor 3 is not open; replies go there, so start it from a worker, or by hand with 3>&1')
}

let settings: AnimaticSettings
try {
  settings = readAnimaticSettings(process.env)
} catch (error) {
  if (error instanceof SettingErrors) refuse(error.message)
  throw error
}

const stop = (): void => process.exit(0)
const runner = new Runner(settings, openReplyChannel(REPLY_FD, stop), log)

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
