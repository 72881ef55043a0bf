import { pause } from '@sluice/shared/pause'
import { endedWithin } from '@sluice/shared/time-limit'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import { WakeSignal } from '@sluice/shared/wake-signal'
import type pg from 'pg'
import { WEBHOOK_CHANNEL } from './enqueue.ts'
import { InFlight, type SenderDeps } from './in-flight.ts'
import { nextDueMs, pruneEvents } from './outbox.ts'

/** The outbox is read at least this often, in case a notification is lost. */
const READ_EVERY_MS = 5_000
/** Wait after a failure of the database. */
const RETRY_MS = 1_000
/** At a stop, requests in flight have this long to be answered; then they are handed back. */
const GRACE_MS = 2_000
const PRUNE_EVERY_MS = 3_600_000
const PRUNE_RETRY_MS = 60_000

export interface WebhookSender {
  /** Claims nothing more, waits up to 2 s for what is in flight, and hands the rest back. */
  stop(): Promise<void>
}

/**
 * Sends the outbox from this process, beside any others that do. It wakes up at a NOTIFY and when a delivery
 * becomes due. At most a few requests to one endpoint are in flight, so that a slow or dead one delays only
 * itself.
 */
export function startWebhookSender(deps: SenderDeps): WebhookSender {
  const stopping = new AbortController()
  const wakeSignal = new WakeSignal()
  const inFlight = new InFlight(deps, () => wakeSignal.wake())
  stopping.signal.addEventListener('abort', () => wakeSignal.wake(), { once: true })
  const running = [
    listen(deps, wakeSignal, stopping.signal),
    sendDue(deps, inFlight, wakeSignal, stopping.signal),
    pruneUntil(deps, stopping.signal),
  ]
  return {
    stop: async () => {
      stopping.abort()
      const ended = Promise.all(running).then(() => inFlight.drain(GRACE_MS))
      await endedWithin(TIME_LIMITS.apiStop.partMs, ended, (error) =>
        deps.log.warn({ err: error }, 'webhook deliveries are left behind'),
      )
    },
  }
}

/** Starts deliveries as they become due, until `signal` aborts. */
async function sendDue(
  deps: SenderDeps,
  inFlight: InFlight,
  wakeSignal: WakeSignal,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    let waitMs = RETRY_MS
    try {
      const started = await inFlight.startDue()
      waitMs = started > 0 ? 0 : Math.min(READ_EVERY_MS, (await nextDueMs(deps.db)) ?? READ_EVERY_MS)
    } catch (error) {
      deps.log.warn({ err: error }, 'the webhook outbox cannot be read, trying again')
    }
    if (waitMs > 0) await wakeSignal.wait(waitMs)
  }
}

/**
 * Removes old events at the start and then every hour, in batches until none is left, so that no rate of
 * events is too high for it. A loop of its own: deliveries do not wait for it.
 */
async function pruneUntil(deps: SenderDeps, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    let waitMs = PRUNE_EVERY_MS
    try {
      while (!signal.aborted && (await pruneEvents(deps.db, deps.logDays)));
    } catch (error) {
      deps.log.warn({ err: error }, 'old webhook events cannot be removed, trying again')
      waitMs = PRUNE_RETRY_MS
    }
    await pause(waitMs, signal)
  }
}

/** Wakes the sender at each NOTIFY until `signal` aborts. Without a connection events leave 5 s later. */
async function listen(deps: SenderDeps, wakeSignal: WakeSignal, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    let client: pg.PoolClient | undefined
    try {
      client = await deps.db.connect()
      const lost = untilLost(client, signal)
      client.on('notification', () => wakeSignal.wake())
      await client.query(`listen ${WEBHOOK_CHANNEL}`)
      // For notifications that came before this connection listened.
      wakeSignal.wake()
      await lost
    } catch (error) {
      deps.log.warn({ err: error }, 'cannot listen for webhook notifications, trying again')
    } finally {
      // Closing the connection ends the LISTEN, whatever state it is in.
      client?.release(true)
    }
    await pause(RETRY_MS, signal)
  }
}

/** Resolves when the connection has ended or failed, or when `signal` aborts. */
function untilLost(client: pg.PoolClient, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    client.once('end', () => resolve())
    client.on('error', () => resolve())
    signal.addEventListener('abort', () => resolve(), { once: true })
    // The signal may have aborted while the connection was being opened.
    if (signal.aborted) resolve()
  })
}
