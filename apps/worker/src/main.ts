import { SettingErrors } from '@sluice/shared/settings'
import { pino } from 'pino'
import { readWorkerConfig, type WorkerConfig } from './config.ts'
import { startWorker } from './worker.ts'
import { WorkerFolderError } from './worker-folder.ts'

const EXIT_UNUSABLE = 2

function refuse(why: string): never {
  process.stderr.write(`sluice worker cannot start:\n${why}\n`)
  process.exit(EXIT_UNUSABLE)
}

function configOrExit(): WorkerConfig {
  try {
    return readWorkerConfig(process.env)
  } catch (error) {
    if (error instanceof SettingErrors) refuse(error.message)
    throw error
  }
}

const config = configOrExit()
const log = pino({ level: config.logLevel, base: { name: 'worker', pid: process.pid } })
const worker = (() => {
  try {
    return startWorker(config, log)
  } catch (error) {
    if (error instanceof WorkerFolderError) refuse(error.message)
    throw error
  }
})()

let asked = false
function stop(why: string): void {
  if (asked) {
    log.warn({ why }, 'asked to stop twice: ending at once')
    worker.killRunners()
    process.exit(1)
  }
  asked = true
  log.info({ why }, 'shutting down')
  worker.shutDown().then(
    () => process.exit(0),
    (error: unknown) => {
      log.fatal({ err: error }, 'the shutdown broke')
      worker.killRunners()
      process.exit(1)
    },
  )
}

process.on('SIGTERM', () => stop('SIGTERM'))
process.on('SIGINT', () => stop('SIGINT'))
// A supervisor that died cannot stop us any more, so its end is the signal.
process.on('disconnect', () => {
  if (!asked) stop('the supervisor is gone')
})
