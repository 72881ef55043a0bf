import { requireFitRedis } from '@sluice/shared/judge-redis'
import { requireFreePort } from '@sluice/shared/listen'
import { migrateQueue } from '@sluice/shared/queue-backend'
import { within } from '@sluice/shared/time-limit'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { setUpInstallation } from './accounts/first-start.ts'
import { type BackgroundWork, createServices, type Overrides, startBackgroundWork } from './compose.ts'
import type { Config } from './config/config.ts'
import { migrateDatabase } from './db/migrate.ts'
import { createLog } from './log.ts'
import { ApiServer } from './server.ts'
import type { Services } from './services.ts'

export interface RunningApi {
  context: Services
  /** `http://host:port` that it listens on. */
  url: string
  /**
   * Stops listening, answers the requests under way, stops background work and closes connections. Takes no
   * longer than TIME_LIMITS.apiStop, whatever hangs. Safe to repeat.
   */
  stop(): Promise<void>
}

/**
 * Migrates, opens every part, listens, starts background work. Throws the error of the first part to fail,
 * and closes what was opened before it.
 */
export async function startApi(config: Config, overrides: Overrides = {}): Promise<RunningApi> {
  await requireFreePort(config.http.host, config.http.port)
  const log = overrides.log ?? createLog(config.logLevel)
  if (config.queue.backend === 'redis') await requireFitRedis(config.queue.url, 'REDIS_URL', log)
  await migrateDatabase(config.database.url, {
    onWaiting: (error) => log.warn(`${error.message}; it is waited for`),
  })
  if (config.queue.backend === 'postgres') await migrateQueue(config.database.url)
  const services = await createServices(config, { ...overrides, log })
  let server: ApiServer
  try {
    await setUpInstallation(services, config.http.publicUrl)
    server = await ApiServer.open(services)
  } catch (error) {
    await services.close()
    throw error
  }
  const background = startBackgroundWork(services)
  let stopped: Promise<void> | undefined
  return {
    context: services,
    url: server.url,
    stop: () => {
      stopped ??= stopAll(services, server, background)
      return stopped
    },
  }
}

/** Whatever hangs is given up when its time is over: the process ends with it. */
async function stopAll(services: Services, server: ApiServer, background: BackgroundWork): Promise<void> {
  const { requestsMs, closeMs } = TIME_LIMITS.apiStop
  const noLonger = (part: string, limitMs: number, work: Promise<void>) =>
    within(limitMs, work, () => new Error(`not done within ${limitMs} ms`)).catch((error: unknown) =>
      services.log.warn({ err: error, part }, 'given up at the stop'),
    )
  server.stopListening()
  await Promise.all([
    noLonger('event streams', requestsMs, services.videoWatch.close()),
    noLonger('gate, recovery and webhooks', requestsMs, background.stop()),
    server.drain(requestsMs),
  ])
  await noLonger('connections', closeMs, services.close())
}
