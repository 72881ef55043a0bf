const DECIMALS = 1_000_000n

/** `numerator / denominator` to six decimals, halves away from zero; null when there is nothing to divide by. */
export function ratio(numerator: bigint, denominator: bigint): number | null {
  if (denominator === 0n) return null
  return Number(divideRounded(numerator * DECIMALS, denominator)) / Number(DECIMALS)
}

/** The whole number nearest to `numerator / denominator`, halves away from zero. Throws RangeError for a denominator of 0. */
export function divideRounded(numerator: bigint, denominator: bigint): bigint {
  const isNegative = numerator < 0n !== denominator < 0n
  const [top, bottom] = [
    numerator < 0n ? -numerator : numerator,
    denominator < 0n ? -denominator : denominator,
  ]
  const quotient = (top * 2n + bottom) / (bottom * 2n)
  return isNegative ? -quotient : quotient
}
