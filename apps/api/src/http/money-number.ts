import { formatMicros } from '@sluice/shared/money'

/** An amount as a JSON number, which may be rounded: for clients of OpenRouter's shapes alone. */
export function moneyNumber(amountMicros: bigint): number {
  return Number(formatMicros(amountMicros))
}
