import { AMOUNT_MICROS_MAX, AMOUNT_PATTERN, parseMicros } from '@sluice/shared/money'
import { z } from 'zod'

/** An amount of money as text, at least `minMicros`; parsed into micro-units. */
export function amountField(minMicros: bigint) {
  const lowest = minMicros === 0n ? '0' : '0.000001'
  const isAllowed = (micros: bigint | null) =>
    micros !== null && micros >= minMicros && micros <= AMOUNT_MICROS_MAX
  return (
    z
      .string()
      .meta({ pattern: AMOUNT_PATTERN })
      // Judged as text, so that the refusal shows what was given.
      .refine(
        (value) => isAllowed(parseMicros(value)),
        `text such as "12.50": a decimal number from ${lowest} to 1000000000 with at most six decimals`,
      )
      .transform((value) => parseMicros(value) ?? 0n)
  )
}
