import { divideRounded } from '@sluice/shared/economics/money-rates'

const UNKNOWN = '?'
const CENT_MICROS = 10_000n

/** `1234567` -> `1,234,567`; null -> `?`. */
export function countText(value: number | bigint | null, decimals = 0): string {
  if (value === null) return UNKNOWN
  return new Intl.NumberFormat('en-US', { maximumFractionDigits: decimals }).format(value)
}

/** An amount to the cent. */
export function amountText(micros: bigint | null): string {
  if (micros === null) return UNKNOWN
  const cents = divideRounded(micros, CENT_MICROS)
  const absolute = cents < 0n ? -cents : cents
  const whole = new Intl.NumberFormat('en-US').format(absolute / 100n)
  return `${cents < 0n ? '-' : ''}${whole}.${String(absolute % 100n).padStart(2, '0')}`
}

/** A price of a million tokens: to the cent, or below 1 to three digits that say something. */
export function priceText(micros: bigint | null): string {
  if (micros === null) return UNKNOWN
  if (micros >= 1_000_000n || micros <= 0n) return amountText(micros)
  const price = Number(micros) / 1e6
  return price.toFixed(2 - Math.floor(Math.log10(price)))
}

/** `0.4231` -> `42.3 %`. */
export function percentText(share: number | null): string {
  if (share === null) return UNKNOWN
  return `${new Intl.NumberFormat('en-US', { maximumFractionDigits: 1, minimumFractionDigits: 1 }).format(share * 100)} %`
}

/** A time in the unit in which it is read: `0 s`, `4.2 s`, `95 s`, `12 min`, `3.5 h`. */
export function timeText(ms: number | null): string {
  if (ms === null) return '-'
  const seconds = ms / 1_000
  const text = (value: number, digits: number) =>
    new Intl.NumberFormat('en-US', { maximumFractionDigits: digits }).format(value)
  if (seconds < 0.05) return '0 s'
  if (seconds < 9.95) return `${text(seconds, 1)} s`
  if (seconds < 120) return `${text(seconds, 0)} s`
  if (seconds < 7_200) return `${text(seconds / 60, 0)} min`
  return `${text(seconds / 3_600, 1)} h`
}
