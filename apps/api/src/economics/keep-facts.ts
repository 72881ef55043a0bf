import { pause } from '@sluice/shared/pause'
import { endedWithin } from '@sluice/shared/time-limit'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import type { DatabasePool } from '../db/database.ts'
import { pruneAttempts } from '../videos/attempt-store.ts'
import { pruneShifts } from '../workers/note-shift.ts'
import { closeHours } from './closed-hours.ts'
import { sumDemandFor } from './demand-hours.ts'
import { countEnded } from './open-facts.ts'

interface FactKeeper {
  /** Counts nothing more, and waits for the batch under way. */
  stop(): Promise<void>
}

const PRUNE_EVERY_MS = 3_600_000
/** An hour of submissions is due a quarter of an hour after its end, give or take a minute. */
const SUM_DEMAND_EVERY_MS = 60_000
/** After a migration there may be four weeks to sum: what has ended is counted in between. */
const SUM_DEMAND_MS = 500

/** How often it looks, and how many days attempts and shifts of closed hours are kept. */
interface Keeping {
  everyMs: number
  attemptDays: number
}

/**
 * Adds what has ended to the facts of the open hours, and closes hours that are over, so that whoever reads
 * figures finds them summed; and removes rows that no figure reads any more. Every API process may run it;
 * one at a time does the work.
 */
export function startFactKeeper(
  db: DatabasePool,
  { everyMs, attemptDays }: Keeping,
  onError: (error: unknown) => void,
): FactKeeper {
  const stopping = new AbortController()
  const { signal } = stopping
  const keep = async () => {
    let pruneAtMs = 0
    let sumDemandAtMs = 0
    for (;;) {
      await pause(everyMs, signal)
      if (signal.aborted) return
      try {
        while (!signal.aborted && (await countEnded(db)));
        if (!signal.aborted) await closeHours(db)
        if (!signal.aborted && performance.now() >= sumDemandAtMs) {
          // Also when it fails: what follows does not wait for it.
          sumDemandAtMs = performance.now() + SUM_DEMAND_EVERY_MS
          if (await sumDemandFor(db, SUM_DEMAND_MS).catch(onError)) sumDemandAtMs = 0
        }
        if (performance.now() < pruneAtMs) continue
        while (!signal.aborted && (await pruneAttempts(db, attemptDays)));
        await pruneShifts(db, attemptDays)
        pruneAtMs = performance.now() + PRUNE_EVERY_MS
      } catch (error) {
        onError(error)
      }
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
