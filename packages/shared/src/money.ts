/**
 * Money is a bigint count of micro-units (one millionth of the configured currency); never a floating-point
 * number.
 */
const MICROS_PER_UNIT = 1_000_000n

/** Amounts that `parseMicros` reads, as a pattern of a JSON schema. */
export const AMOUNT_PATTERN = '^\\d{1,12}(\\.\\d{1,6})?$'

/** The largest amount that comes in at once, so that no sum of amounts leaves 64 bits. */
export const AMOUNT_MICROS_MAX = 1_000_000_000_000_000n

/** The highest price of a million tokens, so that no video's price leaves 64 bits. */
export const PRICE_MICROS_MAX = 1_000_000_000_000n

/** `12345678n` -> `"12.345678"`: a decimal string without trailing zeros (`1500000n` -> `"1.5"`). */
export function formatMicros(amountMicros: bigint): string {
  const sign = amountMicros < 0n ? '-' : ''
  const absolute = amountMicros < 0n ? -amountMicros : amountMicros
  const fraction = (absolute % MICROS_PER_UNIT).toString().padStart(6, '0').replace(/0+$/, '')
  return `${sign}${absolute / MICROS_PER_UNIT}${fraction === '' ? '' : `.${fraction}`}`
}

/**
 * `"12.345678"` -> `12345678n`. At most six decimals and twelve whole digits; no sign, exponent or spaces.
 * Returns null when the text is anything else.
 */
export function parseMicros(text: string): bigint | null {
  const match = /^(\d{1,12})(?:\.(\d{1,6}))?$/.exec(text)
  if (match === null) return null
  return BigInt(match[1] ?? '0') * MICROS_PER_UNIT + BigInt((match[2] ?? '').padEnd(6, '0'))
}

/**
 * What `tokens` generated tokens cost at `priceMicrosPerMillion` times a multiplier in basis points (10,000 =
 * 1x). Rounds up once, at the end.
 */
export function costMicros(tokens: bigint, priceMicrosPerMillion: bigint, multiplierBps: bigint): bigint {
  const denominator = 1_000_000n * 10_000n
  return (tokens * priceMicrosPerMillion * multiplierBps + denominator - 1n) / denominator
}
