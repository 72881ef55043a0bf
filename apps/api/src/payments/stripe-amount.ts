/** https://docs.stripe.com/currencies: amounts in whole units. */
const WHOLE = 'BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF'.split(' ')
/** Amounts in thousandths. */
const THOUSANDTHS = 'BHD JOD KWD OMR TND'.split(' ')

/**
 * Micro-units in one unit of Stripe's amounts. It counts hundredths unless these lists say otherwise; ISK and
 * UGX too, though they have none any more.
 */
function microsPerMinor(currency: string): bigint {
  if (WHOLE.includes(currency)) return 1_000_000n
  return THOUSANDTHS.includes(currency) ? 1_000n : 10_000n
}

/** An amount as Stripe counts it, in micro-units. `currency` is three capital letters. */
export function microsOfMinor(amount: number, currency: string): bigint {
  return BigInt(amount) * microsPerMinor(currency)
}

/** The micro-units that Stripe can move: a multiple of its smallest amount, rounded down. */
export function wholeMinors(amountMicros: bigint, currency: string): bigint {
  const minor = microsPerMinor(currency)
  return (amountMicros / minor) * minor
}
