import { pause } from '@sluice/shared/pause'
import { endedWithin } from '@sluice/shared/time-limit'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import type { DatabasePool } from '../db/database.ts'
import { closeHours } from './closed-hours.ts'
import { countEnded } from './open-facts.ts'

interface FactKeeper {
  /** Counts nothing more, and waits for the batch under way. */
  stop(): Promise<void>
}

/**
 * Adds what has ended to the facts of the open hours, and closes hours that are over, so that whoever reads
 * figures finds them summed. Every API process may run it; one at a time does the work.
 */
export function startFactKeeper(
  db: DatabasePool,
  everyMs: number,
  onError: (error: unknown) => void,
): FactKeeper {
  const stopping = new AbortController()
  const { signal } = stopping
  const keep = async () => {
    for (;;) {
      await pause(everyMs, signal)
      if (signal.aborted) return
      try {
        while (!signal.aborted && (await countEnded(db)));
        if (!signal.aborted) await closeHours(db)
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
