import { RateLimiterPostgres, RateLimiterRes } from 'rate-limiter-flexible'
import type { DatabasePool } from '../db/database.ts'

const WINDOW_SECONDS = 60

/** Where a key's minute stands after a request was counted. */
interface RateState {
  allowed: boolean
  remaining: number
  /** Milliseconds until the minute is over and the count starts anew. */
  resetMs: number
}

/** Counts a request of the key and says whether it is within `perMinute`. */
export type RateLimits = (keyId: string, perMinute: number) => Promise<RateState>

/**
 * Requests per key in fixed minutes, each beginning with its first request. Counted in PostgreSQL whatever
 * the queue's backend, so that all API processes count together and there is one way to do it; keys without a
 * limit cost nothing.
 */
export function openRateLimits(db: DatabasePool): RateLimits {
  const limiters = new Map<number, RateLimiterPostgres>()
  const limiterFor = (perMinute: number): RateLimiterPostgres => {
    const known = limiters.get(perMinute)
    if (known !== undefined) return known
    const limiter = new RateLimiterPostgres({
      storeClient: db,
      storeType: 'pool',
      tableName: 'rate_limit',
      tableCreated: true,
      keyPrefix: 'key',
      points: perMinute,
      duration: WINDOW_SECONDS,
      // One row a key: nothing to clear.
      clearExpiredByTimeout: false,
    })
    limiters.set(perMinute, limiter)
    return limiter
  }
  return async (keyId, perMinute) => {
    try {
      return { allowed: true, ...stateOf(await limiterFor(perMinute).consume(keyId)) }
    } catch (refusal) {
      if (refusal instanceof RateLimiterRes) return { allowed: false, ...stateOf(refusal) }
      throw refusal
    }
  }
}

function stateOf(result: RateLimiterRes): Omit<RateState, 'allowed'> {
  return { remaining: result.remainingPoints, resetMs: result.msBeforeNext }
}
