/** A moment as the commands print it: UTC, to the minute. */
export function minuteOf(seconds: number): string {
  return new Date(seconds * 1_000).toISOString().slice(0, 16).replace('T', ' ')
}
