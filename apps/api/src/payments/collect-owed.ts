import { pause } from '@sluice/shared/pause'
import { endedWithin } from '@sluice/shared/time-limit'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import type { Context } from '../context.ts'
import { transaction } from '../db/database.ts'
import { findOwing, lockOwing } from './payment-store.ts'
import { settleReversals } from './take-back.ts'

/** Accounts of a round; the next one takes the others. */
const ACCOUNTS_MAX = 100

/** Takes back what accounts owe of payments, as far as paid money is there again. */
export async function collectOwed(context: Context): Promise<void> {
  for (const accountId of await findOwing(context.db, ACCOUNTS_MAX)) {
    await transaction(context.db, async (db) => {
      for (const payment of await lockOwing(db, accountId)) await settleReversals(db, context, payment)
    })
  }
}

/** Collects every `everyMs`. Every API process may: the locks let each amount be taken once. */
export function startCollector(
  context: Context,
  everyMs: number,
  onError: (error: unknown) => void,
): { stop(): Promise<void> } {
  const stopping = new AbortController()
  const { signal } = stopping
  const keep = async () => {
    for (;;) {
      await pause(everyMs, signal)
      if (signal.aborted) return
      await collectOwed(context).catch(onError)
    }
  }
  const running = keep()
  return {
    stop: async () => {
      stopping.abort()
      await endedWithin(TIME_LIMITS.apiStop.partMs, running, onError)
    },
  }
}
