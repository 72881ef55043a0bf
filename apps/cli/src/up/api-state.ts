import { pause } from '@sluice/shared/pause'

const ASK_EVERY_MS = 100
const ANSWER_MS_MAX = 5_000

/** Status and body of a GET, or null without an answer. */
export async function ask(
  url: string,
  signal?: AbortSignal,
): Promise<{ status: number; body: string } | null> {
  try {
    const timeout = AbortSignal.timeout(ANSWER_MS_MAX)
    const response = await fetch(url, {
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    })
    return { status: response.status, body: await response.text() }
  } catch {
    return null
  }
}

/**
 * Asks until the answer is 200. After `patienceMs` without one, `onWaiting` is called once with the last
 * answer. Rejects when `signal` is aborted.
 */
export async function waitForOk(
  url: string,
  signal: AbortSignal,
  patienceMs: number,
  onWaiting: (last: { status: number; body: string } | null) => void,
): Promise<void> {
  const startedAt = performance.now()
  for (let isReported = false; ; ) {
    const answer = await ask(url, signal)
    signal.throwIfAborted()
    if (answer?.status === 200) return
    if (!isReported && performance.now() - startedAt > patienceMs) {
      isReported = true
      onWaiting(answer)
    }
    await pause(ASK_EVERY_MS, signal)
    signal.throwIfAborted()
  }
}
