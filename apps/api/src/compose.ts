import { randomInt } from 'node:crypto'
import { openAttemptProducer } from '@sluice/shared/attempt-producer'
import { systemClock } from '@sluice/shared/clock'
import { isQueueTrouble, logQueueTrouble } from '@sluice/shared/queue-trouble'
import { startCreditExpiry } from './accounts/expire-credits.ts'
import { bindInstallation } from './accounts/installation.ts'
import { type Reconciler, startReconciler } from './attempts/reconcile.ts'
import { ReportGroups } from './attempts/report-groups.ts'
import type { Config } from './config/config.ts'
import type { Context } from './context.ts'
import type { Database, DatabasePool } from './db/database.ts'
import { openDatabases } from './db/databases.ts'
import { outsideTransactions } from './db/outside-transactions.ts'
import { startFactKeeper } from './economics/keep-facts.ts'
import { LivePoolReader } from './economics/live-pools.ts'
import { EtaSample } from './forecast/eta-sample.ts'
import { Forecaster } from './forecast/forecaster.ts'
import { VideoWatch } from './forecast/video-watch.ts'
import { startGate } from './gate/leader.ts'
import { gateWaker } from './gate/wake.ts'
import { StrangerPace } from './http/pace-strangers.ts'
import { KeyReader } from './keys/key-reader.ts'
import { openRateLimits } from './keys/rate-limit.ts'
import { openSystem } from './ledger/accounts.ts'
import { createLog } from './log.ts'
import { observeLoopDelay } from './metrics/loop-delay.ts'
import { Metrics } from './metrics/metrics.ts'
import { startCollector } from './payments/collect-owed.ts'
import { openSignatureCheck } from './payments/stripe-signature.ts'
import { openPlaces } from './places.ts'
import { QueueWatch } from './queue-watch.ts'
import { Readiness } from './readiness.ts'
import type { Services } from './services.ts'
import { openStore } from './storage/open-store.ts'
import { Repeats } from './submissions/repeats.ts'
import { openSubmissionGroups } from './submissions/submit.ts'
import { isOfOpenAttempt } from './videos/attempt-store.ts'
import { hasStoredFiles } from './videos/video-store.ts'
import { startWebhookSender } from './webhooks/sender.ts'

/** Parts a test may replace. */
export type Overrides = Partial<Pick<Context, 'log' | 'clock' | 'randomSeed'>>

const SEED_MAX = 2_147_483_647

/**
 * The one place where the API is put together: opens database, store and queue and builds every part on them.
 * The database must have been migrated. Throws the error of the first part that can't be opened.
 */
export async function createServices(config: Config, overrides: Overrides = {}): Promise<Services> {
  const log = overrides.log ?? createLog(config.logLevel)
  const clock = overrides.clock ?? systemClock
  let isClosing = false
  const onError = (part: string) => (error: Error) => {
    if (!isClosing) log.warn({ err: error, part }, 'connection trouble')
  }
  const onQueueError = logQueueTrouble(log, queueSetting(config), () => isClosing)
  const databases = openDatabases(config.database, log)
  const { requests: db, internal: internalDb } = databases
  try {
    const { store, routes } = await openStore(config.store, {
      mayBeNew: async () => !(await hasStoredFiles(internalDb)),
      mayPut: (key) => isOfOpenAttempt(internalDb, key),
      onWaiting: (line) => log.warn(line),
    })
    const installation = await bindInstallation(db, config.currency)
    const producer = openAttemptProducer({ ...config.queue, installation }, onQueueError)
    const forecaster = openForecaster(config, db, onError('keeping forecasts'))
    const repeats = new Repeats(internalDb, onError('noting what repeats may find'))
    const context: Context = {
      config,
      log,
      clock,
      randomSeed: overrides.randomSeed ?? (() => randomInt(SEED_MAX)),
      db,
      systemAccounts: await openSystem(db, config.currency),
      store: outsideTransactions('the store', store, ['signPut', 'signGet']),
      producer: outsideTransactions('the queue', producer),
      installation,
      places: openPlaces(config.bounds, db.options.max ?? config.database.connectionsMax),
      wakeGate: gateWaker(internalDb, onError('gate wake-up')),
    }
    const internal: Context = { ...context, db: internalDb }
    const livePools = new LivePoolReader(internalDb, config, { log, clock })
    return {
      ...context,
      internal,
      reports: new ReportGroups(internal),
      keyReaders: { customers: new KeyReader(db), workers: new KeyReader(internalDb) },
      rateLimits: openRateLimits(db),
      strangers: new StrangerPace(config.bounds),
      stripeSignature: await openSignatureCheck(config.stripe, clock),
      readiness: new Readiness(context, internal),
      storeRoutes: routes,
      forecaster,
      videoWatch: openVideoWatch(config, { db, forecaster }, onError('watching videos')),
      queueWatch: new QueueWatch(config.queue, log),
      onQueueError,
      repeats,
      submissionGroups: openSubmissionGroups({ ...context, repeats }),
      livePools,
      metrics: openMetrics(config, internalDb, livePools),
      close: async () => {
        isClosing = true
        await repeats.close()
        await producer.close()
        await store.close()
        await databases.close()
      },
    }
  } catch (error) {
    await databases.close()
    throw error
  }
}

function openForecaster(config: Config, db: Database, onError: (error: Error) => void): Forecaster {
  const etaSample = new EtaSample(db, onError)
  return new Forecaster({
    db,
    catalogue: config.catalogue,
    rules: { accountSharePercent: config.accountSharePercent, flexRunMsMin: config.flexRunMsMin },
    leaseMs: config.timings.leaseMs,
    switchMs: config.switchMs,
    switchWaitMsMax: config.switchWaitMsMax,
    flexMultiplierBps: config.tierMultiplierBps.flex,
    onGiven: (given) => etaSample.note(given),
  })
}

function openVideoWatch(
  { timings, bounds }: Config,
  parts: { db: DatabasePool; forecaster: Forecaster },
  onError: (error: Error) => void,
): VideoWatch {
  return new VideoWatch({ ...parts, everyMs: timings.watchEveryMs, bounds, onError })
}

function openMetrics(config: Config, db: DatabasePool, livePools: LivePoolReader): Metrics {
  const { currency, catalogue, timings, queueMsWanted: wantedMs } = config
  return new Metrics(db, livePools, { currency, catalogue, leaseMs: timings.leaseMs, wantedMs })
}

/** The setting that says where the queue is. */
function queueSetting({ queue }: Config): string {
  return queue.backend === 'redis' ? 'REDIS_URL' : 'SLUICE_DATABASE_URL'
}

/** What runs beside the requests. */
export interface BackgroundWork {
  /** The gate gives its leadership back, recovery and webhooks end: all at once, each with a bound. */
  stop(): Promise<void>
}

/** Starts the gate, the reconciler, the webhook sender, the sums and the watch of the event loop. */
export function startBackgroundWork(services: Services): BackgroundWork {
  const { config, log, clock, metrics } = services
  const { db } = services.internal
  const gate = startGate(
    db,
    services.producer,
    {
      catalogue: config.catalogue,
      accountSharePercent: config.accountSharePercent,
      flexRunMsMin: config.flexRunMsMin,
      leaseMs: config.timings.leaseMs,
      switchMs: config.switchMs,
      switchWaitMsMax: config.switchWaitMsMax,
      flexMultiplierBps: config.tierMultiplierBps.flex,
    },
    {
      onError: (error) => {
        if (isQueueTrouble(error)) services.onQueueError(error)
        else log.warn({ err: error }, 'gate trouble')
      },
      onLead: () => {
        log.info('leads the gate')
        metrics.gateLeader.set(1)
      },
      onResign: () => metrics.gateLeader.set(0),
      onPass: (ms, dispatched) => {
        metrics.gatePasses.observe(ms / 1_000)
        metrics.gateDispatches.inc(dispatched)
      },
      onUntaken: ({ videoId, fence, pool, queue }) =>
        log.warn(
          { video: videoId, fence, pool, queue },
          'a video goes to another pool: no worker of its pool took it, though they say that they have slots',
        ),
    },
  )
  const reconciler: Reconciler = startReconciler(services.internal)
  const facts = startFactKeeper(
    db,
    { everyMs: config.timings.countEveryMs, attemptDays: config.attemptDays },
    (error) => log.warn({ err: error }, 'what has ended cannot be summed, trying again'),
  )
  const expiry = startCreditExpiry(services.internal, (error) =>
    log.warn({ err: error }, 'expired credit cannot be taken off, trying again'),
  )
  const collector = startCollector(services.internal, config.timings.collectEveryMs, (error) =>
    log.warn({ err: error }, 'what is owed of payments cannot be taken, trying again'),
  )
  const webhooks = startWebhookSender({
    db,
    log,
    clock,
    rules: { allowHosts: config.webhookAllowHosts },
    logDays: config.webhookLogDays,
    onTry: (outcome) => metrics.webhookTries.inc({ outcome }),
  })
  const endLoopDelay = observeLoopDelay(metrics.loopDelays)
  const endPriceLook = services.livePools.watch(config.timings.priceLookEveryMs, (error) =>
    log.warn({ err: error }, 'prices cannot be compared with what pools cost, trying again'),
  )
  return {
    stop: async () => {
      endLoopDelay()
      endPriceLook()
      const loops = [gate, reconciler, facts, expiry, collector, webhooks]
      await Promise.all(loops.map((loop) => loop.stop()))
    },
  }
}
