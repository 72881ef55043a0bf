import type { Logger } from 'pino'

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** The message, and that of the cause, which says why. */
export function reasonOf(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? ` (${messageOf(error.cause)})` : ''
  return `${messageOf(error)}${cause}`
}

/** For tries of one thing: logs each reason once, however often it is tried. */
export function logEachReason(
  log: Pick<Logger, 'warn'>,
  about: Readonly<Record<string, unknown>>,
  text: string,
): (error: unknown) => void {
  const logged = new Set<string>()
  return (error) => {
    const reason = reasonOf(error)
    if (logged.has(reason)) return
    logged.add(reason)
    log.warn({ err: error, ...about }, text)
  }
}
