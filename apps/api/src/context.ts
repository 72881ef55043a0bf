import { randomInt } from 'node:crypto'
import { type Clock, systemClock } from '@sluice/shared/clock'
import { type AttemptProducer, openAttemptProducer } from '@sluice/shared/queue-backend'
import type { Router } from 'express'
import type { Logger } from 'pino'
import type { Config } from './config/config.ts'
import { type DatabasePool, openDatabase } from './db/database.ts'
import { EtaSample } from './gate/eta-sample.ts'
import { Forecaster } from './gate/forecast.ts'
import { gateWaker } from './gate/wake.ts'
import { openRateLimits, type RateLimits } from './keys/rate-limit.ts'
import { openSystem, type SystemAccounts } from './ledger/accounts.ts'
import { createLog } from './log.ts'
import { Metrics } from './metrics/metrics.ts'
import type { ObjectStore } from './storage/object-store.ts'
import { openStore } from './storage/open-store.ts'
import { Foresight } from './videos/foresee.ts'
import { VideoWatch } from './videos/video-watch.ts'

/** Everything the API is made of, constructed once. */
export interface Context {
  config: Config
  log: Logger
  clock: Clock
  drawSeed: () => number
  db: DatabasePool
  systemAccounts: SystemAccounts
  rateLimits: RateLimits
  store: ObjectStore
  storeRoutes: Router | null
  producer: AttemptProducer
  forecaster: Forecaster
  foresight: Foresight
  videoWatch: VideoWatch
  metrics: Metrics
  /** Call after a commit that gave the gate something to do. */
  wakeGate: () => void
  close(): Promise<void>
}

/** What a test puts in its own way. */
export type Overrides = Partial<Pick<Context, 'log' | 'clock' | 'drawSeed'>>

const SEED_MAX = 2_147_483_647

/** Opens database, store and queue. The database must have been migrated. Throws the first part's error that can't be opened. */
export async function createContext(config: Config, overrides: Overrides = {}): Promise<Context> {
  const log = overrides.log ?? createLog(config.logLevel)
  const clock = overrides.clock ?? systemClock
  let isClosing = false
  const onError = (part: string) => (error: Error) => {
    if (!isClosing) log.warn({ err: error, part }, 'connection trouble')
  }
  const db = openDatabase({
    url: config.databaseUrl,
    connectionsMax: config.databaseConnectionsMax,
    onError: onError('database'),
  })
  try {
    const { store, routes } = await openStore(config.store)
    const producer = openAttemptProducer(config.queue, onError('queue'))
    const etaSample = new EtaSample(db)
    const forecaster = new Forecaster(
      db,
      clock,
      config.catalogue,
      config.accountSharePercent,
      (forecasts) => {
        etaSample.take(forecasts).catch(onError('keeping forecasts'))
      },
    )
    return {
      config,
      log,
      clock,
      drawSeed: overrides.drawSeed ?? (() => randomInt(SEED_MAX)),
      db,
      systemAccounts: await openSystem(db, config.currency),
      rateLimits: openRateLimits(db),
      store,
      storeRoutes: routes,
      producer,
      forecaster,
      foresight: new Foresight(db, clock, config.catalogue, config.accountSharePercent),
      videoWatch: new VideoWatch({
        db,
        forecaster,
        everyMs: config.watchEveryMs,
        onError: onError('watching videos'),
      }),
      metrics: new Metrics(db, config.currency),
      wakeGate: gateWaker(db, onError('gate wake-up')),
      close: async () => {
        isClosing = true
        await producer.close()
        await store.close()
        await db.end()
      },
    }
  } catch (error) {
    await db.end()
    throw error
  }
}
