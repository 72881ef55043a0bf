import { formatMicros } from '@sluice/shared/money'
import type { moneySchema } from '@sluice/shared/public-video'
import type { z } from 'zod'

/** An amount as the API shows it, exact. */
export function moneyJson(amountMicros: bigint, currency: string): z.input<typeof moneySchema> {
  return { amount: formatMicros(amountMicros), currency }
}

/** An amount as a JSON number, which may be rounded: for clients of OpenRouter's shapes alone. */
export function moneyNumber(amountMicros: bigint): number {
  return Number(formatMicros(amountMicros))
}
