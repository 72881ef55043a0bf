import { hideSecrets } from '@sluice/shared/hide-secrets'
import { requireFitQueue } from '@sluice/shared/judge-queue'
import { createProgramLog } from '@sluice/shared/program-log'
import { SettingError, SettingErrors } from '@sluice/shared/settings'
import { readWorkerConfig, type WorkerConfig } from './config.ts'
import { startWorker } from './worker.ts'
import { WorkerFolderError } from './worker-folder.ts'

const EXIT_UNUSABLE = 2
/** A supervisor starts it again, which may help. */
const EXIT_FAILED = 1
/** What a shutdown takes beside its grace, with all that may hang in it; then it ends whatever hangs. */
const SHUTDOWN_RESERVE_MS = 10_000
const isSupervised = process.connected
const hide = hideSecrets(process.env)

function refuse(why: string, exitCode: number): never {
  process.stderr.write(`sluice worker cannot start:\n${hide(why)}\n`)
  process.exit(exitCode)
}

function configOrExit(): WorkerConfig {
  try {
    return readWorkerConfig(process.env)
  } catch (error) {
    if (error instanceof SettingErrors) refuse(error.message, EXIT_UNUSABLE)
    throw error
  }
}

const config = configOrExit()
const log = createProgramLog({ name: 'worker', level: config.logLevel, hide })
const worker = await (async () => {
  try {
    await requireFitQueue(config.queue, config.queueSetting, log)
    return await startWorker(config, log)
  } catch (error) {
    if (error instanceof SettingError) refuse(error.message, EXIT_UNUSABLE)
    if (error instanceof WorkerFolderError) refuse(error.message, error.mayPass ? EXIT_FAILED : EXIT_UNUSABLE)
    throw error
  }
})()

let isStopping = false
function stop(why: string): void {
  if (isStopping) {
    log.warn({ why }, 'asked to stop twice: ending at once')
    worker.killRunners()
    process.exit(1)
  }
  isStopping = true
  log.info({ why }, 'shutting down')
  setTimeout(() => endAtOnce('the shutdown hangs', why), config.graceMs + SHUTDOWN_RESERVE_MS).unref()
  worker.shutDown().then(
    () => process.exit(0),
    (error: unknown) => endAtOnce('the shutdown broke', error),
  )
}

/** The supervisor starts another worker; what is in the spool is sent then. */
function endAtOnce(why: string, error: unknown): never {
  log.fatal({ err: error }, why)
  worker.killRunners()
  process.exit(1)
}

worker.folderLost.then(
  () => endAtOnce('its folder was taken by another process while this one was frozen', undefined),
  () => {},
)

process.on('SIGTERM', () => stop('SIGTERM'))
process.on('SIGINT', () => stop('SIGINT'))
// A supervisor that died cannot stop us any more, so its end is the signal.
process.on('disconnect', () => {
  if (!isStopping) stop('the supervisor is gone')
})
// It may have died while the queue was looked at or the folder taken.
if (isSupervised && !process.connected) stop('the supervisor is gone')
// The last resort, for defects only: every promise has a handler of its own where it is made.
process.on('unhandledRejection', (error) => endAtOnce('a rejected promise that nobody handled', error))
process.on('uncaughtException', (error) => endAtOnce('an error that nobody caught', error))
