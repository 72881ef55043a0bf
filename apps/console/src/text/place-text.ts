/** `Next in line`, `3rd in line`; null = it starts as soon as it is submitted or dispatched. */
export function placeText(position: number | null): string {
  if (position === null) return 'About to start'
  if (position === 1) return 'Next in line'
  const rule = new Intl.PluralRules('en', { type: 'ordinal' }).select(position)
  const ending = { one: 'st', two: 'nd', few: 'rd', other: 'th', zero: 'th', many: 'th' }[rule]
  return `${position.toLocaleString('en')}${ending} in line`
}
