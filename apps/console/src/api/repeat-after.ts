import { ApiError } from './api-client.ts'

/** How often a call to an unreachable API is repeated. */
export const RECONNECT_MS = 2_000
/** After a refusal that passes by itself: too many calls, or a fault of the service. */
const PASSING_MS = 5_000
/** After a refusal that only somebody else can lift, such as a missing right. */
const LASTING_MS = 30_000

/** Milliseconds until a call that failed is made again: what the API asks for, or what fits the fault. */
export function repeatAfterMs(error: unknown): number {
  if (!(error instanceof ApiError)) return RECONNECT_MS
  if (error.retryAfterMs !== null) return Math.max(error.retryAfterMs, RECONNECT_MS)
  return error.status === 429 || error.status >= 500 ? PASSING_MS : LASTING_MS
}
