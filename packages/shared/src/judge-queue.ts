import type { Logger } from 'pino'
import { requireFitRedis } from './judge-redis.ts'
import { BoundedClient } from './postgres-client.ts'
import type { QueueSettings } from './queue-backend.ts'
import { SettingError } from './settings.ts'

/** Answers of PostgreSQL that no time changes: a wrong role, password or database, a missing right. */
const UNFIT_CODES: ReadonlySet<string> = new Set(['28000', '28P01', '3D000', '42501'])

/**
 * Looks at the queue of a worker when it starts. Throws SettingError when it can never be used. One that is
 * away, or that the API has not made yet, is waited for later.
 */
export async function requireFitQueue(
  queue: QueueSettings,
  setting: string,
  log: Pick<Logger, 'warn'>,
): Promise<void> {
  if (queue.backend === 'redis') return requireFitRedis(queue.url, setting, log)
  const client = new BoundedClient({ connectionString: queue.url, application_name: 'sluice-queue-judge' })
  try {
    await client.connect()
    await client.query('select max(version) from bullmq.migration')
  } catch (error) {
    const { code = '', message } = error as Error & { code?: string }
    if (UNFIT_CODES.has(code))
      throw new SettingError(setting, '(the URL of a database that is unfit)', `it answers: ${message}`)
    log.warn({ setting, problem: message || code }, `the queue of ${setting} is away; waiting for it`)
  } finally {
    await client.end().catch(() => {})
  }
}
