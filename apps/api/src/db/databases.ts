import type { Logger } from 'pino'
import { type DatabasePool, type DatabaseSettings, openDatabase } from './database.ts'
import { OutageLog } from './outage-log.ts'

/** Two of them stay with the gate and the webhook sender, which listen; the others are for a moment each. */
const INTERNAL_CONNECTIONS_MIN = 4
const INTERNAL_SHARE = 0.4
/**
 * For customers' requests: two may wait for accounts that somebody has locked (submissions apart, and patient
 * ones), and two are left to everybody else.
 */
const REQUEST_CONNECTIONS_MIN = 4
export const CONNECTIONS_MIN = INTERNAL_CONNECTIONS_MIN + REQUEST_CONNECTIONS_MIN

/** The API's connections in two parts, so that neither can use up the other's. */
export interface Databases {
  /** For the requests of customers and operators. */
  requests: DatabasePool
  /** For workers' calls, the gate, recovery and webhooks: they go on while the others' part is used up. */
  internal: DatabasePool
  close(): Promise<void>
}

/** Opens both parts, which share `connectionsMax`, and logs their outages. */
export function openDatabases(
  given: Omit<DatabaseSettings, 'onError' | 'onOutcome'>,
  log: Logger,
): Databases {
  const outageLog = new OutageLog(log)
  const settings: DatabaseSettings = {
    ...given,
    // It ended while nobody used it, and is replaced when somebody needs one.
    onError: (error) => log.debug({ err: error }, 'an idle connection of the database ended'),
    onOutcome: (unavailable) => outageLog.note(unavailable),
  }
  const internalMax = Math.max(INTERNAL_CONNECTIONS_MIN, Math.floor(settings.connectionsMax * INTERNAL_SHARE))
  const requests = openDatabase({ ...settings, connectionsMax: settings.connectionsMax - internalMax })
  const internal = openDatabase({ ...settings, connectionsMax: internalMax })
  return {
    requests,
    internal,
    close: async () => {
      await Promise.all([requests.end(), internal.end()])
    },
  }
}
