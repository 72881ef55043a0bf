import type { Clock } from '@sluice/shared/clock'
import { z } from 'zod'
import { invalidValue } from '../../../errors.ts'
import { BUDGET_INTERVALS } from '../../../keys/api-key.ts'
import { modelField, unixTimeField, videosField } from '../fields.ts'

/** Fields of a key that are given when it is made and may be changed later. */

const REQUESTS_PER_MINUTE_MAX = 1_000_000

/** A time to come, which `expiryOf` checks. */
export const expiresField = unixTimeField.meta({
  description: 'Seconds since the Unix epoch; without it, the key does not expire.',
})

/** An account's key; those of the operator have one scope for good. */
export const scopesField = z
  .array(z.enum(['videos:read', 'videos:write', 'admin']))
  .refine(
    (scopes) => scopes.some((scope) => scope !== 'admin'),
    'a list with videos:read or videos:write in it',
  )
  .transform((scopes) => [...new Set(scopes)])
  .meta({
    description: 'A key with admin as well may also do what the operator may.',
    minItems: 1,
    contains: { enum: ['videos:read', 'videos:write'] },
  })

export const modelsField = z
  .array(modelField)
  .min(1)
  .transform((models) => [...new Set(models)])
  .meta({ description: 'The only models it may ask for; without it, all.' })

export const tokenBudgetField = z
  .int()
  .min(0)
  .meta({ description: 'Generated tokens that may be submitted per interval; without it, any.' })

export const budgetIntervalField = z
  .enum(BUDGET_INTERVALS)
  .meta({
    description:
      'day = the UTC day; 30d = 30 UTC days counted from the day the key was made; none = for as long as the key lives.',
  })

export const requestsPerMinuteField = z.int().min(1).max(REQUESTS_PER_MINUTE_MAX)

export const queuedMaxField = videosField.meta({
  description: 'Videos it may have queued; more are refused. Without it, as many as the account.',
})

export const runningMaxField = videosField.meta({
  description:
    'Videos it may have running at once; more wait queued, and hold up no other key. Without it, as many as the account.',
})

/**
 * The moment that `expires_at` names; null when there is none. Throws SluiceError when it has passed. Call it
 * before anything is looked up: this fault is the body's own.
 */
export function expiryOf(clock: Clock, seconds: number | null | undefined): Date | null {
  if (typeof seconds !== 'number') return null
  if (seconds * 1_000 > clock.now()) return new Date(seconds * 1_000)
  throw invalidValue('expires_at', seconds, 'a time to come, in seconds since the Unix epoch')
}
