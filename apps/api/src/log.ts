import { hideSecrets } from '@sluice/shared/hide-secrets'
import { createProgramLog } from '@sluice/shared/program-log'
import type { Logger } from 'pino'
import { DatabaseUnavailableError } from './errors.ts'

/**
 * JSON lines on stdout. `hide` also knows the secrets of the settings. What failed because the database is
 * away gets no line: db/outage-log.ts has one for the whole outage.
 */
export function createLog(level: string, hide: (text: string) => string = hideSecrets({})): Logger {
  return createProgramLog({
    name: 'api',
    level,
    hide,
    isSkipped: (error) => error instanceof DatabaseUnavailableError,
  })
}
