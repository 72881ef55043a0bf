const RATIO_DECIMALS = 1_000_000n

/** What a million tokens cost or brought, in micro-units; null without tokens. */
export function microsPerMillion(amountMicros: bigint, tokens: bigint): bigint | null {
  return tokens === 0n ? null : divideRounded(amountMicros * 1_000_000n, tokens)
}

/** (revenue - cost) / revenue: the share of revenue that is left, -7 = -700 %. Null without revenue. */
export function margin(revenueMicros: bigint, costMicros: bigint): number | null {
  return ratio(revenueMicros - costMicros, revenueMicros)
}

/** (revenue - cost) / cost: 5.45 = 545 %. Null without cost. */
export function profitOverCost(revenueMicros: bigint, costMicros: bigint): number | null {
  return ratio(revenueMicros - costMicros, costMicros)
}

/**
 * The utilisation at which revenue covers cost, if a busy GPU goes on earning what it earned and an idle one
 * goes on costing what it cost: cost * busy / (revenue * available). Above 1 no utilisation covers it. Null
 * without revenue or GPUs.
 */
export function breakEvenUtilisation(sums: {
  revenueMicros: bigint
  costMicros: bigint
  busyMs: bigint
  availableMs: bigint
}): number | null {
  return ratio(sums.costMicros * sums.busyMs, sums.revenueMicros * sums.availableMs)
}

/** `numerator / denominator` to six decimals, halves away from zero; null when the denominator is 0. */
export function ratio(numerator: bigint, denominator: bigint): number | null {
  if (denominator === 0n) return null
  return Number(divideRounded(numerator * RATIO_DECIMALS, denominator)) / Number(RATIO_DECIMALS)
}

/**
 * The whole number nearest to `numerator / denominator`, halves away from zero. Throws RangeError for a
 * denominator of 0.
 */
export function divideRounded(numerator: bigint, denominator: bigint): bigint {
  const isNegative = numerator < 0n !== denominator < 0n
  const [top, bottom] = [
    numerator < 0n ? -numerator : numerator,
    denominator < 0n ? -denominator : denominator,
  ]
  const quotient = (top * 2n + bottom) / (bottom * 2n)
  return isNegative ? -quotient : quotient
}
