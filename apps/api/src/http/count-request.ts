import type { Response } from 'express'
import { SluiceError } from '../errors.ts'
import type { Key } from '../keys/authenticate.ts'
import type { Services } from '../services.ts'

/**
 * Counts a request against its key's minute and sets the rate limit headers that OpenAI's clients read.
 * Throws SluiceError `rate_limited`, with the header `retry-after`, when there were too many. Keys without a
 * limit are not counted.
 */
export async function countRequest(context: Services, key: Key, response: Response): Promise<void> {
  const { requestsPerMinute } = key.limits
  if (requestsPerMinute === null) return
  const { allowed, remaining, resetMs } = await context.rateLimits(key.id, requestsPerMinute)
  const resetSeconds = Math.ceil(resetMs / 1_000)
  response.set({
    'x-ratelimit-limit-requests': String(requestsPerMinute),
    'x-ratelimit-remaining-requests': String(remaining),
    'x-ratelimit-reset-requests': `${resetSeconds}s`,
  })
  if (allowed) return
  response.set('retry-after', String(Math.max(1, resetSeconds)))
  throw new SluiceError(
    'rate_limited',
    `This key may make ${requestsPerMinute} requests a minute; ask again in ${Math.max(1, resetSeconds)} seconds.`,
  )
}
