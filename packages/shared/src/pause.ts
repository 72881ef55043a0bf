import { setTimeout as delay } from 'node:timers/promises'

/** Waits `ms`, or until `signal` aborts; never throws. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  await delay(ms, undefined, signal === undefined ? {} : { signal }).catch(() => undefined)
}
