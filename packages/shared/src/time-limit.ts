/**
 * The result of `work`, or a rejection with `tooLate()` when it takes longer than `limitMs`. The work itself
 * goes on.
 */
export async function within<T>(limitMs: number, work: Promise<T>, tooLate: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooLate()), limitMs)
  })
  try {
    return await Promise.race([work, timeout])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Waits until `work` is over, at most `limitMs`: what is still under way then is left behind, and `onLeft`
 * hears of it, as of work that failed. Never rejects.
 */
export async function endedWithin(
  limitMs: number,
  work: Promise<unknown>,
  onLeft: (error: Error) => void,
): Promise<void> {
  await within(limitMs, work, () => new Error(`still under way after ${limitMs} ms`)).catch(onLeft)
}
