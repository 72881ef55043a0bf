import { hideSecrets } from '@sluice/shared/hide-secrets'
import { createProgramLog } from '@sluice/shared/program-log'
import type { Logger } from 'pino'

/** JSON lines on stdout. `hide` also knows the secrets of the settings. */
export function createLog(level: string, hide: (text: string) => string = hideSecrets({})): Logger {
  return createProgramLog({ name: 'api', level, hide })
}
