import { setTimeout as delay } from 'node:timers/promises'

/** Asks until the answer satisfies, and answers it. Throws with the last answer after `withinMs`; it never just waits. */
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
    await delay(25)
  }
}
