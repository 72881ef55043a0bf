import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { migrateQueue } from '@sluice/shared/queue-backend'
import { ensureFirstStart } from './accounts/first-start.ts'
import { bindCurrency } from './accounts/installation.ts'
import { startReconciler } from './attempts/reconcile.ts'
import type { Config } from './config/config.ts'
import { type Context, createContext, type Overrides } from './context.ts'
import { migrateDatabase } from './db/migrate.ts'
import { startGate } from './gate/leader.ts'
import { createApp } from './http/app.ts'
import { startWebhookSender } from './webhooks/sender.ts'

const UPLOAD_MS_MAX = 3_600_000

export interface RunningApi {
  context: Context
  /** `http://host:port` it listens on. */
  url: string
  /** Stops listening, lets requests end, gives the leadership back and closes every connection. Safe to repeat. */
  stop(): Promise<void>
}

/** Migrates, opens everything, listens, and joins the gate and the reconciler. Throws when any part can't be had. */
export async function startApi(config: Config, overrides: Overrides = {}): Promise<RunningApi> {
  await migrateDatabase(config.databaseUrl, (line) => overrides.log?.warn(line))
  if (config.queue.backend === 'postgres') await migrateQueue(config.databaseUrl)
  const context = await createContext(config, overrides)
  try {
    await bindCurrency(context.db, config.currency)
    await ensureFirstStart(context, config.publicUrl)
  } catch (error) {
    await context.close()
    throw error
  }
  const server = createServer(createApp(context))
  server.keepAliveTimeout = 65_000
  // A worker may upload for a while; headers have their own, shorter bound.
  server.requestTimeout = UPLOAD_MS_MAX
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(config.port, config.host, resolve)
  })
  const gate = startGate(
    context.db,
    context.producer,
    { catalogue: config.catalogue, accountSharePercent: config.accountSharePercent },
    {
      onError: (error) => context.log.warn({ err: error }, 'gate trouble'),
      onLead: () => {
        context.log.info('leads the gate')
        context.metrics.gateLeader.set(1)
      },
      onResign: () => context.metrics.gateLeader.set(0),
      onPass: (ms, dispatched) => {
        context.metrics.gatePasses.observe(ms / 1_000)
        context.metrics.gateDispatches.inc(dispatched)
      },
    },
  )
  const reconciler = startReconciler(context)
  const webhooks = startWebhookSender({
    db: context.db,
    log: context.log,
    clock: context.clock,
    rules: { allowHosts: config.webhookAllowHosts },
    onTry: (outcome) => context.metrics.webhookTries.inc({ outcome }),
  })
  const { address, port, family } = server.address() as AddressInfo
  let stopped: Promise<void> | undefined
  const stop = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    server.closeIdleConnections()
    await context.videoWatch.close()
    await gate.stop()
    await reconciler.stop()
    await webhooks.stop()
    // Requests in flight had their time while the gate stopped.
    server.closeAllConnections()
    await closed
    await context.close()
  }
  return {
    context,
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    stop: () => {
      stopped ??= stop()
      return stopped
    },
  }
}
