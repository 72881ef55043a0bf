import { pause } from '@sluice/shared/pause'
import type { RequestHandler } from 'express'
import type { Bounds } from '../config/bounds.ts'

const WINDOW_MS = 1_000
/** Beyond that many addresses at a time the count starts anew. */
const ADDRESSES_MAX = 10_000

/**
 * Answers an address that asks without a key, or with one that nobody has, more slowly the more often it
 * asks: what it asks for is cheap, but not when it asks thousands of times a second. Nobody is refused.
 */
export class StrangerPace {
  readonly #bounds: Pick<Bounds, 'strangerRequestsPerSecond' | 'refusalPauseMs'>
  readonly #counts = new Map<string, number>()
  #endsMs = 0

  constructor(bounds: Pick<Bounds, 'strangerRequestsPerSecond' | 'refusalPauseMs'>) {
    this.#bounds = bounds
  }

  /** Waits when its address has asked too often within this second. */
  async wait({ ip = '' }: { ip?: string | undefined }): Promise<void> {
    const nowMs = performance.now()
    if (nowMs > this.#endsMs || this.#counts.size > ADDRESSES_MAX) {
      this.#counts.clear()
      this.#endsMs = nowMs + WINDOW_MS
    }
    const count = (this.#counts.get(ip) ?? 0) + 1
    this.#counts.set(ip, count)
    if (count > this.#bounds.strangerRequestsPerSecond) await pause(this.#bounds.refusalPauseMs)
  }
}

/** Paces requests without a key; those with one are looked at when it is read. */
export function paceStrangers(strangers: Pick<StrangerPace, 'wait'>): RequestHandler {
  return async (request, _response, next) => {
    if (request.get('authorization') === undefined) await strangers.wait(request)
    next()
  }
}
