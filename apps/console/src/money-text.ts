/**
 * `{amount: "0.6237", currency: "USD"}` -> `$0.6237`, in the viewer's language and without going through a float.
 * `decimalsMax` cuts, never rounds up, so a balance is not overstated. A currency Intl does not know is put behind the amount.
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
