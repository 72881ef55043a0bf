import { pause } from '@sluice/shared/pause'

/**
 * Asks until `satisfies` holds for the answer, and returns it. Throws with the last answer after `withinMs`.
 */
export async function eventually<T>(
  ask: () => Promise<T>,
  satisfies: (answer: T) => boolean,
  withinMs = 20_000,
): Promise<T> {
  const deadline = Date.now() + withinMs
  for (;;) {
    const answer = await ask()
    if (satisfies(answer)) return answer
    if (Date.now() > deadline) {
      throw new Error(`not within ${withinMs} ms; the last answer was ${JSON.stringify(answer)}`)
    }
    await pause(25)
  }
}
