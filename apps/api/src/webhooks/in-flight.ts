import type { Clock } from '@sluice/shared/clock'
import { pause } from '@sluice/shared/pause'
import type { Logger } from 'pino'
import type { DatabasePool } from '../db/database.ts'
import type { OutgoingRules } from '../outgoing/outgoing-url.ts'
import { readAccountSecret } from './account-secret.ts'
import { type DeliveryTry, retryDelayMs, tryDelivery } from './delivery-try.ts'
import { endDeliveriesOf } from './gone.ts'
import {
  type ClaimedDelivery,
  claimDue,
  closeDelivery,
  handBack,
  pauseEndpoint,
  recordTry,
} from './outbox.ts'
import { secretsOf } from './secret.ts'

/** Requests at a time in this process: of one queue, of one account, in all. Most wait for the network. */
const CAPACITY = { perQueue: 4, perAccount: 128, total: 512 }

/** What sending needs. */
export interface SenderDeps {
  db: DatabasePool
  log: Logger
  clock: Clock
  rules: OutgoingRules
  /** How long events are kept. */
  logDays: number
  /** Called after each request to a customer's server. */
  onTry?: (outcome: 'delivered' | 'failed') => void
}

/** The deliveries that this process is sending. */
export class InFlight {
  readonly #deps: SenderDeps
  readonly #onEnd: () => void
  readonly #deliveries = new Map<Promise<void>, ClaimedDelivery>()
  readonly #aborting = new AbortController()

  /** `onEnd` is called after each delivery: its queue has capacity again. */
  constructor(deps: SenderDeps, onEnd: () => void) {
    this.#deps = deps
    this.#onEnd = onEnd
  }

  /** Claims what is due and starts to send it. Returns how many deliveries that were. */
  async startDue(): Promise<number> {
    const current = [...this.#deliveries.values()]
    const claimed = await claimDue(this.#deps.db, {
      ...CAPACITY,
      total: CAPACITY.total - current.length,
      inFlightByQueue: countBy(current, ({ queue }) => queue),
      inFlightByAccount: countBy(current, ({ account_id }) => account_id),
    })
    for (const delivery of claimed) {
      const sending = this.#send(delivery)
        .catch((error: unknown) =>
          this.#deps.log.warn(
            { err: error, delivery: delivery.id },
            'a webhook delivery could not be recorded',
          ),
        )
        .finally(() => {
          this.#deliveries.delete(sending)
          this.#onEnd()
        })
      this.#deliveries.set(sending, delivery)
    }
    return claimed.length
  }

  /** Waits until nothing is in flight; after `graceMs` the rest is aborted and handed back. */
  async drain(graceMs: number): Promise<void> {
    const drained = Promise.allSettled(this.#deliveries.keys())
    const grace = new AbortController()
    await Promise.race([drained, pause(graceMs, grace.signal)])
    grace.abort()
    this.#aborting.abort(new Error('the process stops'))
    await drained
  }

  async #send(claimed: ClaimedDelivery): Promise<void> {
    const { db, clock, rules } = this.#deps
    if (claimed.endpoint?.is_closed === true) {
      await closeDelivery(db, claimed)
      return
    }
    const { signal } = this.#aborting
    try {
      const deliveryTry = await tryDelivery(await targetOf(db, claimed), claimed.event, {
        clock,
        rules,
        signal,
      })
      this.#deps.onTry?.(deliveryTry.error === null ? 'delivered' : 'failed')
      await this.#record(claimed, deliveryTry)
    } catch (error) {
      if (!signal.aborted) throw error
      await handBack(db, claimed)
    }
  }

  async #record(claimed: ClaimedDelivery, deliveryTry: DeliveryTry): Promise<void> {
    const { db, log } = this.#deps
    const { isGone, retryAfterMs } = deliveryTry
    if (isGone) {
      await endDeliveriesOf(db, claimed)
      log.info({ delivery: claimed.id, queue: claimed.queue }, 'a webhook receiver answered 410: it is gone')
    }
    // Of a delivery that has ended it records the try alone.
    await recordTry(db, claimed, deliveryTry, retryDelayMs(claimed.failures + 1, Math.random(), retryAfterMs))
    if (retryAfterMs > 0) await pauseEndpoint(db, claimed, retryAfterMs)
  }
}

async function targetOf(
  db: DatabasePool,
  { endpoint, account_id, url }: ClaimedDelivery,
): Promise<{ url: string; secrets: string[] }> {
  if (endpoint !== null) return { url: endpoint.url, secrets: secretsOf(endpoint) }
  return { url: url ?? '', secrets: secretsOf(await readAccountSecret(db, account_id)) }
}

function countBy(
  deliveries: readonly ClaimedDelivery[],
  keyOf: (delivery: ClaimedDelivery) => string,
): Map<string, number> {
  return new Map([...Map.groupBy(deliveries, keyOf)].map(([key, all]) => [key, all.length]))
}
