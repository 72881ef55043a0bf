import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '@sluice/shared/clock'
import { WakeSignal } from '@sluice/shared/wake-signal'
import type pg from 'pg'
import type { Logger } from 'pino'
import type { DatabasePool } from '../db/database.ts'
import type { OutgoingRules } from '../outgoing/outgoing-url.ts'
import { readAccountSecret } from './account-secret.ts'
import { WEBHOOK_CHANNEL } from './enqueue.ts'
import {
  type Claimed,
  claimDue,
  closeDelivery,
  handBack,
  nextDueMs,
  pruneEvents,
  recordTry,
} from './outbox.ts'
import { retryDelayMs } from './retry-delay.ts'
import { sendEvent } from './send-event.ts'

/** At once in this process: to one endpoint, for one account, in all. A request waits on the network, not on us. */
const CAPACITY = { perLane: 4, perAccount: 128, total: 512 }
/** A look at least this often, should a wake-up be lost. */
const LOOK_EVERY_MS = 5_000
const RETRY_MS = 1_000
/** At a stop, requests under way have this long to be answered; then they are handed back. */
const GRACE_MS = 2_000
const PRUNE_EVERY_MS = 3_600_000

export interface WebhookSender {
  /** Takes nothing new, waits a little for what is under way, hands the rest back. */
  stop(): Promise<void>
}

/** What sending needs. */
export interface SenderParts {
  db: DatabasePool
  log: Logger
  clock: Clock
  rules: OutgoingRules
  /** After each request to a customer's server. */
  onTry?: (outcome: 'delivered' | 'failed') => void
}

/**
 * Sends the outbox from this process, beside any others that do: woken by NOTIFY and by due time. Each endpoint has a few
 * requests of its own under way at most, so one that is slow or dead keeps only itself waiting.
 */
export function startWebhookSender(parts: SenderParts): WebhookSender {
  const stopping = new AbortController()
  const wakeSignal = new WakeSignal()
  const flights = new Flights(parts, wakeSignal)
  stopping.signal.addEventListener('abort', () => wakeSignal.wake(), { once: true })
  const running = [
    listenUntil(parts, wakeSignal, stopping.signal),
    sendUntil(parts, flights, wakeSignal, stopping.signal),
  ]
  return {
    stop: async () => {
      stopping.abort()
      await Promise.all(running)
      await flights.land(GRACE_MS)
    },
  }
}

async function sendUntil(
  parts: SenderParts,
  flights: Flights,
  wakeSignal: WakeSignal,
  signal: AbortSignal,
): Promise<void> {
  let prunedAtMs = Number.NEGATIVE_INFINITY
  while (!signal.aborted) {
    let waitMs = RETRY_MS
    try {
      if (performance.now() - prunedAtMs > PRUNE_EVERY_MS) {
        prunedAtMs = performance.now()
        await pruneEvents(parts.db)
      }
      const started = await flights.startDue()
      waitMs = started > 0 ? 0 : Math.min(LOOK_EVERY_MS, (await nextDueMs(parts.db)) ?? LOOK_EVERY_MS)
    } catch (error) {
      parts.log.warn({ err: error }, 'webhooks cannot be read yet')
    }
    if (waitMs > 0) await wakeSignal.wait(waitMs)
  }
}

/** Keeps one connection listening; without it events leave up to LOOK_EVERY_MS later. */
async function listenUntil(parts: SenderParts, wakeSignal: WakeSignal, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    let client: pg.PoolClient | undefined
    try {
      client = await parts.db.connect()
      const lost = new Promise<void>((resolve) => {
        client?.once('end', resolve)
        client?.on('error', () => resolve())
        signal.addEventListener('abort', () => resolve(), { once: true })
        // It may have been told to stop while it waited for its connection; that is not said again.
        if (signal.aborted) resolve()
      })
      client.on('notification', () => wakeSignal.wake())
      await client.query(`listen ${WEBHOOK_CHANNEL}`)
      // What was said before we listened.
      wakeSignal.wake()
      await lost
    } catch (error) {
      parts.log.warn({ err: error }, 'webhook wake-ups cannot be heard yet')
    } finally {
      // Closing the connection ends the LISTEN, whatever state it is in.
      client?.release(true)
    }
    await delay(RETRY_MS, undefined, { signal }).catch(() => undefined)
  }
}

/** The requests under way in this process. */
class Flights {
  readonly #parts: SenderParts
  readonly #wakeSignal: WakeSignal
  readonly #underWay = new Map<Promise<void>, Claimed>()
  readonly #hurry = new AbortController()

  constructor(parts: SenderParts, wakeSignal: WakeSignal) {
    this.#parts = parts
    this.#wakeSignal = wakeSignal
  }

  /** Starts what is due and answers how many that were. */
  async startDue(): Promise<number> {
    const underWay = [...this.#underWay.values()]
    const claimed = await claimDue(this.#parts.db, {
      ...CAPACITY,
      total: CAPACITY.total - underWay.length,
      byLane: countBy(underWay, ({ lane }) => lane),
      byAccount: countBy(underWay, ({ account_id }) => account_id),
    })
    for (const delivery of claimed) {
      const flight = this.#send(delivery)
        .catch((error: unknown) =>
          this.#parts.log.warn({ err: error, delivery: delivery.id }, 'a webhook could not be recorded'),
        )
        .finally(() => {
          this.#underWay.delete(flight)
          // Its lane has room again.
          this.#wakeSignal.wake()
        })
      this.#underWay.set(flight, delivery)
    }
    return claimed.length
  }

  /** Waits for what is under way, at most `graceMs`; hands the rest back. */
  async land(graceMs: number): Promise<void> {
    const landed = Promise.allSettled(this.#underWay.keys())
    const grace = new AbortController()
    await Promise.race([landed, delay(graceMs, undefined, { signal: grace.signal }).catch(() => undefined)])
    grace.abort()
    this.#hurry.abort(new Error('stopping'))
    await landed
  }

  async #send(claimed: Claimed): Promise<void> {
    const { db, clock, rules } = this.#parts
    if (claimed.endpoint?.is_closed === true) {
      await closeDelivery(db, claimed)
      return
    }
    const signal = this.#hurry.signal
    try {
      const attempt = await sendEvent(await targetOf(db, claimed), claimed.event, { clock, rules, signal })
      this.#parts.onTry?.(attempt.error === null ? 'delivered' : 'failed')
      await recordTry(db, claimed, attempt, retryDelayMs(claimed.failures + 1, Math.random()))
    } catch (error) {
      if (!signal.aborted) throw error
      await handBack(db, claimed)
    }
  }
}

async function targetOf(db: DatabasePool, claimed: Claimed): Promise<{ url: string; secrets: string[] }> {
  const from = claimed.endpoint ?? {
    ...(await readAccountSecret(db, claimed.account_id)),
    url: claimed.url ?? '',
  }
  return {
    url: from.url,
    secrets: [from.secret, ...(from.previous_secret === null ? [] : [from.previous_secret])],
  }
}

function countBy(claimed: readonly Claimed[], name: (one: Claimed) => string): Map<string, number> {
  return new Map([...Map.groupBy(claimed, name)].map(([key, all]) => [key, all.length]))
}
