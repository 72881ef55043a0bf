import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { listen as listenOn, requireFreePort } from '@sluice/shared/listen'
import { ownUrl } from '@sluice/shared/own-address'
import { migrateQueue } from '@sluice/shared/queue-backend'
import { setUpInstallation } from './accounts/first-start.ts'
import { createApp } from './app.ts'
import { createServices, type Overrides, startBackgroundWork } from './compose.ts'
import type { Config } from './config/config.ts'
import { migrateDatabase } from './db/migrate.ts'
import type { Services } from './services.ts'

const UPLOAD_MS_MAX = 3_600_000

export interface RunningApi {
  context: Services
  /** `http://host:port` that it listens on. */
  url: string
  /** Stops listening, lets requests end, stops background work, closes connections. Safe to repeat. */
  stop(): Promise<void>
}

/**
 * Migrates, opens every part, listens, starts background work. Throws the error of the first part to fail,
 * and closes what was opened before it.
 */
export async function startApi(config: Config, overrides: Overrides = {}): Promise<RunningApi> {
  await requireFreePort(config.http.host, config.http.port)
  await migrateDatabase(config.database.url, (line) => overrides.log?.warn(line))
  if (config.queue.backend === 'postgres') await migrateQueue(config.database.url)
  const services = await createServices(config, overrides)
  let server: Server
  try {
    await setUpInstallation(services, config.http.publicUrl)
    server = await listen(services)
  } catch (error) {
    await services.close()
    throw error
  }
  const background = startBackgroundWork(services)
  const { address, port } = server.address() as AddressInfo
  let stopped: Promise<void> | undefined
  const stop = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    server.closeIdleConnections()
    await services.videoWatch.close()
    await background.stop()
    // Requests in flight had their time while the gate stopped.
    server.closeAllConnections()
    await closed
    await services.close()
  }
  return {
    context: services,
    url: ownUrl(address, port),
    stop: () => {
      stopped ??= stop()
      return stopped
    },
  }
}

async function listen(services: Services): Promise<Server> {
  const { host, port } = services.config.http
  const server = createServer(createApp(services))
  server.keepAliveTimeout = 65_000
  // A worker may upload for a while; headers have their own, shorter bound.
  server.requestTimeout = UPLOAD_MS_MAX
  await listenOn(server, host, port)
  // A connection that could not be accepted is lost; unheard, the error would end the process.
  server.on('error', (error) => services.log.warn({ err: error }, 'a connection was not accepted'))
  return server
}
