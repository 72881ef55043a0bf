import { pause } from '@sluice/shared/pause'
import { endedWithin } from '@sluice/shared/time-limit'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import type { Context } from '../context.ts'
import { transaction } from '../db/database.ts'
import { findOwing, lockOwing } from './payment-store.ts'
import { settleReversals } from './take-back.ts'

/** Accounts that are found at once. */
const ACCOUNTS_MAX = 100

/**
 * Takes back what accounts owe of payments, as far as paid money is there again. Throws the error of the
 * first account to fail; the others are done.
 */
export async function collectOwed(
  context: Context,
  signal: AbortSignal | null = null,
  accountsMax = ACCOUNTS_MAX,
): Promise<void> {
  const failures: unknown[] = []
  let accountIds: string[] = []
  do {
    accountIds = await findOwing(context.db, { after: accountIds.at(-1) ?? '', limit: accountsMax })
    for (const accountId of accountIds) {
      if (signal?.aborted === true) return
      await collectOf(context, accountId).catch((error: unknown) => {
        if (failures.length === 0) failures.push(error)
      })
    }
  } while (accountIds.length === accountsMax)
  if (failures.length > 0) throw failures[0]
}

async function collectOf(context: Context, accountId: string): Promise<void> {
  await transaction(context.db, async (db) => {
    for (const payment of await lockOwing(db, accountId)) await settleReversals(db, context, payment)
  })
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
      await collectOwed(context, signal).catch(onError)
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
