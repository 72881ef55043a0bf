/** A wait in seconds, rounded as coarsely as an estimate deserves: `8 s`, `40 s`, `2 min`, `1 h 20 min`. */
export function waitText(seconds: number): string {
  if (seconds < 10) return `${Math.max(1, Math.round(seconds))} s`
  if (seconds < 55) return `${Math.round(seconds / 5) * 5} s`
  const minutes = Math.max(1, Math.round(seconds / 60))
  if (minutes < 60) return `${minutes} min`
  const rest = Math.round((minutes % 60) / 10) * 10
  const hours = Math.floor(minutes / 60) + (rest === 60 ? 1 : 0)
  return rest === 0 || rest === 60 ? `${hours} h` : `${hours} h ${rest} min`
}

/** The likely and the late wait: `30–45 s`, `55 s to 2 min`, or `about 2 min` when both read the same. */
export function waitRangeText(likelySeconds: number, lateSeconds: number): string {
  const likely = waitText(likelySeconds)
  const late = waitText(lateSeconds)
  if (likely === late) return `about ${likely}`
  const [likelyNumber, likelyUnit] = likely.split(' ')
  const sameUnit =
    likely.split(' ').length === 2 && late.split(' ').length === 2 && late.endsWith(` ${likelyUnit}`)
  return sameUnit ? `${likelyNumber}–${late}` : `${likely} to ${late}`
}

/** `3 minutes ago`. Both times are Unix seconds; a `then` in the future reads `just now`. */
export function agoText(thenSeconds: number, nowSeconds: number): string {
  const seconds = Math.max(0, nowSeconds - thenSeconds)
  if (seconds < 45) return 'just now'
  const format = new Intl.RelativeTimeFormat('en', { numeric: 'auto' })
  if (seconds < 3_600) return format.format(-Math.max(1, Math.round(seconds / 60)), 'minute')
  if (seconds < 86_400) return format.format(-Math.round(seconds / 3_600), 'hour')
  return format.format(-Math.round(seconds / 86_400), 'day')
}

/** The length of a clip, with at most two decimals: `5.38 s`. */
export function clipText(seconds: number): string {
  return `${Number(seconds.toFixed(2))} s`
}
