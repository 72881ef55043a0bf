import { pause } from '@sluice/shared/pause'
import { endedWithin } from '@sluice/shared/time-limit'
import { TIME_LIMITS } from '@sluice/shared/time-limits'
import type { Context } from '../context.ts'
import { Sweeper } from '../videos/sweep.ts'
import { noteApiStart } from './reception.ts'
import { Recovery } from './recovery.ts'

export interface Reconciler {
  /** Takes nothing more up, and waits for what is under way, as long as `stopMs` allows. */
  stop(): Promise<void>
}

/**
 * The one recovery mechanism: gives up attempts that no heartbeat names, ends cancels that no worker
 * answered, fails what expired. Every API process may run it: each change is made under the video's lock,
 * after a second look.
 */
export function startReconciler(
  context: Context,
  limits: { videoMs: number; stopMs: number } = {
    videoMs: TIME_LIMITS.recovery.videoMs,
    stopMs: TIME_LIMITS.apiStop.partMs,
  },
): Reconciler {
  const stopping = new AbortController()
  const recovery = new Recovery(context, limits)
  const running = Promise.all([
    recoverUntil(context, recovery, stopping.signal),
    sweepUntil(context, stopping.signal),
  ])
  return {
    stop: async () => {
      stopping.abort()
      await endedWithin(limits.stopMs, running, (error) =>
        context.log.warn({ err: error }, 'recovery is left behind'),
      )
    },
  }
}

async function recoverUntil(context: Context, recovery: Recovery, signal: AbortSignal): Promise<void> {
  let isStartNoted = false
  while (!signal.aborted) {
    try {
      if (!isStartNoted) await noteApiStart(context.db)
      isStartNoted = true
      await recovery.startDue()
    } catch (error) {
      context.log.error({ err: error }, 'reconciling failed')
    }
    await pause(context.config.timings.reconcileEveryMs, signal)
  }
  await recovery.stop()
}

/** A loop of its own: a store that is slow or refuses to delete must not keep videos from being recovered. */
async function sweepUntil(context: Context, signal: AbortSignal): Promise<void> {
  const sweeper = new Sweeper(context)
  while (!signal.aborted) {
    try {
      // As long as there is much: no rate of ends is too high for it.
      while (!signal.aborted && (await sweeper.sweep(signal)));
    } catch (error) {
      context.log.error({ err: error }, 'sweeping failed')
    }
    await pause(context.config.timings.reconcileEveryMs, signal)
  }
}
