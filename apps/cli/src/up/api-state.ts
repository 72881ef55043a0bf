import { pause } from '@sluice/shared/pause'
import { z } from 'zod'

const ASK_EVERY_MS = 100
const ANSWER_MS_MAX = 5_000
const BODY_LENGTH_MAX = 300

export interface Answer {
  status: number
  body: string
}

/** Status and body of a GET, or null without an answer. With an admin `key`, `/ready` says what is wrong. */
export async function ask(
  url: string,
  { signal, key }: { signal?: AbortSignal; key?: string } = {},
): Promise<Answer | null> {
  try {
    const timeout = AbortSignal.timeout(ANSWER_MS_MAX)
    const response = await fetch(url, {
      ...(key === undefined ? {} : { headers: { authorization: `Bearer ${key}` } }),
      signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
    })
    return { status: response.status, body: await response.text() }
  } catch {
    return null
  }
}

const readySchema = z.object({ missing: z.array(z.object({ part: z.string(), problem: z.string() })).min(1) })

const doubtfulSchema = z.object({ doubtful: z.array(z.object({ part: z.string(), problem: z.string() })) })

/** What works, but not as it should, as an answer of `/ready` says it; nothing where it does not say it. */
export function doubtfulParts({ body }: Answer): { part: string; problem: string }[] {
  try {
    return doubtfulSchema.parse(JSON.parse(body)).doubtful
  } catch {
    return []
  }
}

/** What is missing, as an answer of `/ready` says it, in words. */
export function missingParts(answer: Answer | null): string {
  if (answer === null) return 'no answer'
  try {
    const { missing } = readySchema.parse(JSON.parse(answer.body))
    return missing.map(({ part, problem }) => `${part}: ${problem}`).join('; ')
  } catch {
    return `${answer.status} ${answer.body.slice(0, BODY_LENGTH_MAX)}`
  }
}

/**
 * Asks until the answer is 200. After `patienceMs` without one, `onWaiting` is called once. Rejects when
 * `signal` is aborted.
 */
export async function waitForOk(
  url: string,
  signal: AbortSignal,
  patienceMs: number,
  onWaiting: () => void,
): Promise<void> {
  const startedAt = performance.now()
  for (let isReported = false; ; ) {
    const answer = await ask(url, { signal })
    signal.throwIfAborted()
    if (answer?.status === 200) return
    if (!isReported && performance.now() - startedAt > patienceMs) {
      isReported = true
      onWaiting()
    }
    await pause(ASK_EVERY_MS, signal)
    signal.throwIfAborted()
  }
}
