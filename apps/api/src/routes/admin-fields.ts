import { parseMicros } from '@sluice/shared/money'
import { z } from 'zod'
import { text } from '../videos/create-request.ts'

/** Fields that several of the operator's calls take. */

/** The last second that any calendar here knows: the end of the year 9999. */
const UNIX_SECONDS_MAX = 253_402_300_799
/** So that no sum of amounts leaves 64 bits. */
const AMOUNT_MICROS_MAX = 1_000_000_000_000_000n

export const unixTimeField = z.int().min(0).max(UNIX_SECONDS_MAX).meta({ description: 'Seconds since the Unix epoch.' })

export const nameField = text(200).refine((value) => value.trim() !== '', 'text that is not blank')

/** A limit in videos. */
export const videosField = z.int().min(0).max(1_000_000)

export const idempotencyKeyField = text(200)
  .refine((value) => value !== '', 'text that is not empty')
  .optional()
  .meta({ description: 'The same key again answers the first transfer.' })

/** An amount of money as text, at least `minMicros`; parsed into micro-units. */
export function amountField(minMicros: bigint) {
  const lowest = minMicros === 0n ? '0' : '0.000001'
  return z
    .string()
    .transform((value) => parseMicros(value))
    .refine(
      (micros): micros is bigint => micros !== null && micros >= minMicros && micros <= AMOUNT_MICROS_MAX,
      `text such as "12.50": a decimal number from ${lowest} to 1000000000 with at most six decimals`,
    )
}
