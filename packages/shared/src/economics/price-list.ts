import { divideRounded } from './money-rates.ts'

const MILLION = 1_000_000n
const SECONDS_PER_HOUR = 3_600n
/** Shares and paces are counted to that: a utilisation of 61.5 % is 615,000. */
const PARTS = 1_000_000

/** What a slot costs, what it makes of a class while it is busy, and for how much of the time it is. */
export interface SlotUse {
  costPerHourMicros: bigint
  tokensPerSecond: number
  /** From above 0 to 1. */
  utilisation: number
}

/** What a million tokens cost, in micro-units: those of the busy hours pay for the idle ones. */
export function costAtUse({ costPerHourMicros, tokensPerSecond, utilisation }: SlotUse): bigint {
  const perHour = BigInt(Math.round(tokensPerSecond * utilisation * PARTS)) * SECONDS_PER_HOUR
  if (perHour <= 0n) throw new RangeError('a slot that makes nothing has no cost per token')
  return divideRounded(costPerHourMicros * MILLION * BigInt(PARTS), perHour)
}

/** The price that leaves this share of itself over the cost: cost / (1 - margin), rounded up. */
export function priceForMargin(costMicros: bigint, margin: number): bigint {
  const rest = BigInt(Math.round((1 - margin) * PARTS))
  if (rest <= 0n) throw new RangeError('a margin is below 100 %')
  return (costMicros * BigInt(PARTS) + rest - 1n) / rest
}

/** The next price with three digits that count: 0.184211 -> 0.185. Never below what it is given. */
export function roundedUp(priceMicros: bigint): bigint {
  const unit = 10n ** BigInt(Math.max(0, priceMicros.toString().length - 3))
  return ((priceMicros + unit - 1n) / unit) * unit
}
