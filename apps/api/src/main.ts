import { hideSecrets } from '@sluice/shared/hide-secrets'
import { DatabaseAwayError } from '@sluice/shared/judge-database'
import { urlsFromElsewhere } from '@sluice/shared/own-address'
import { SettingError, SettingErrors } from '@sluice/shared/settings'
import { type HttpSettings, readConfig } from './config/config.ts'
import { createLog } from './log.ts'
import { startApi } from './start-api.ts'
import { StoreUnreachableError } from './storage/object-store.ts'

const SETTINGS_EXIT_CODE = 2

/** Where other machines reach it, when it listens on more than loopback. */
function elsewhere({ host, port }: HttpSettings): { fromElsewhere?: string[] } {
  const urls = urlsFromElsewhere(host, port)
  return urls.length === 0 ? {} : { fromElsewhere: urls }
}

const hide = hideSecrets(process.env)
const isSupervised = process.connected

try {
  const config = readConfig(process.env)
  const log = createLog(config.logLevel, hide)
  const api = await startApi(config, { log })
  log.info({ url: api.url, ...elsewhere(config.http) }, 'listening')
  let isStopping = false
  const stop = (reason: string) => {
    if (isStopping) return
    isStopping = true
    log.info({ reason }, 'stopping')
    api.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        log.error({ err: error }, 'stopping failed')
        process.exit(1)
      },
    )
  }
  process.on('SIGTERM', () => stop('SIGTERM'))
  process.on('SIGINT', () => stop('SIGINT'))
  // The supervisor holds the other end: when it dies, so do we.
  process.on('disconnect', () => stop('supervisor gone'))
  if (isSupervised && !process.connected) stop('supervisor gone')
  // Defects only. What Node itself would print of them may hold a secret.
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'an error that nobody caught')
    process.exit(1)
  })
} catch (error) {
  const isSetting = error instanceof SettingError || error instanceof SettingErrors
  // What a store or database that stays away says is for people too.
  const isPlain = isSetting || error instanceof StoreUnreachableError || error instanceof DatabaseAwayError
  const why = isPlain
    ? error.message
    : error instanceof Error
      ? (error.stack ?? error.message)
      : String(error)
  process.stderr.write(`${hide(why)}\n`)
  process.exit(isSetting ? SETTINGS_EXIT_CODE : 1)
}
