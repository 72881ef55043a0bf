import { parseMicros } from '@sluice/shared/money'
import { InvalidArgumentError } from 'commander'

/** Parses an argument of a command: a whole number. Throws InvalidArgumentError, as commander expects. */
export function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.')
  return Number(text)
}

/** A whole number of at least 1. */
export function positiveNumber(text: string): number {
  const value = wholeNumber(text)
  if (value === 0) throw new InvalidArgumentError('It must be at least 1.')
  return value
}

/** A decimal number of at least 0. */
export function decimalNumber(text: string): number {
  if (!/^\d{1,9}(\.\d{1,9})?$/.test(text)) throw new InvalidArgumentError('It must be a number, such as 7.5.')
  return Number(text)
}

/** An amount of money, as text: a decimal number with at most six decimals. */
export function moneyAmount(text: string): string {
  const micros = parseMicros(text)
  if (micros === null || micros === 0n) {
    throw new InvalidArgumentError('It must be a decimal number above 0, such as 25 or 12.50.')
  }
  return text
}

/** A day or time as seconds since the Unix epoch. */
export function unixTime(text: string): number {
  const ms = Date.parse(text)
  if (Number.isNaN(ms)) {
    throw new InvalidArgumentError('It must be a day or time such as 2027-01-31 or 2027-01-31T12:00:00Z.')
  }
  return Math.floor(ms / 1_000)
}

/** The word that removes a limit. */
export const NONE = 'none'

/** What `parse` takes, or the word that removes a limit. */
export function orNone<Value>(parse: (text: string) => Value): (text: string) => Value | typeof NONE {
  return (text) => (text === NONE ? NONE : parse(text))
}
