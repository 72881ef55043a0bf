/**
 * `{amount: "0.6237", currency: "USD"}` -> `$0.6237`, in the viewer's language and never converted to a
 * float. Decimals beyond `decimalsMax` are cut off, not rounded, so that a balance is never overstated. A
 * currency that is no three-letter code follows the amount.
 */
export function moneyText(
  money: { amount: string; currency: string },
  decimalsMax = 6,
  locale?: string,
): string {
  if (!isDecimal(money.amount)) return `${money.amount} ${money.currency}`
  const digits = {
    minimumFractionDigits: Math.min(2, decimalsMax),
    maximumFractionDigits: decimalsMax,
    roundingMode: 'trunc',
  } as const
  if (!/^[A-Za-z]{3}$/.test(money.currency)) {
    return `${new Intl.NumberFormat(locale, digits).format(money.amount)} ${money.currency}`
  }
  return new Intl.NumberFormat(locale, {
    ...digits,
    style: 'currency',
    currency: money.currency,
    currencyDisplay: 'narrowSymbol',
  }).format(money.amount)
}

/** True for a zero amount, however it is written. */
export function isZero(amount: string): boolean {
  return /^-?0*(\.0*)?$/.test(amount)
}

function isDecimal(text: string): text is `${number}` {
  return /^-?\d+(\.\d+)?$/.test(text)
}
