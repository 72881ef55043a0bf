import type { Logger } from 'pino'
import { QueueUnavailableError } from './queue-backend.ts'

/** An outage is over when nothing failed for so long: every connection is tried again each second. */
const QUIET_MS = 10_000
/** How many different errors of one outage are logged. */
const KINDS_MAX = 5
/**
 * Of the system, of ioredis and of pg, where there is no connection or none that answers; and of PostgreSQL,
 * by code, where it is full (53), cannot read or write (58), or is stopped, crashed or starting (57P0).
 */
const TROUBLE =
  /^(08|53|58)\w{3} |^57P0\d |ECONN|EPIPE|ETIMEDOUT|EHOSTUNREACH|ENET|ENOTFOUND|EAI_AGAIN|onnection is closed|onnection terminated|timed? ?out|timeout exceeded|writeable|max retries/i

/** True for an error that says that the queue's server cannot be used now. */
export function isQueueTrouble(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  if (error instanceof AggregateError) return error.errors.some(isQueueTrouble)
  const { code = '' } = error as { code?: unknown }
  return (
    error instanceof QueueUnavailableError ||
    ['ReplyError', 'MaxRetriesPerRequestError'].includes(error.name) ||
    TROUBLE.test(`${code} ${error.message}`)
  )
}

/**
 * A listener for errors of the queue. Of an outage it logs each kind of error once, with the setting that
 * says where the queue is, and its end; whatever else is wrong is logged as it comes. While `isClosing` says
 * so, nothing is.
 */
export function logQueueTrouble(
  log: Pick<Logger, 'warn' | 'info'>,
  setting: string,
  isClosing: () => boolean = () => false,
): (error: Error) => void {
  const kinds = new Set<string>()
  let beganAt = 0
  let errors = 0
  let end: NodeJS.Timeout | undefined
  const onEnd = () => {
    const seconds = Math.max(0, Math.round((performance.now() - beganAt - QUIET_MS) / 1_000))
    log.info({ setting, seconds, errors }, `the queue of ${setting} works again`)
    kinds.clear()
    errors = 0
  }
  return (error) => {
    if (isClosing()) return
    if (!isQueueTrouble(error)) {
      log.warn({ err: error }, 'the queue')
      return
    }
    if (errors === 0) beganAt = performance.now()
    errors += 1
    clearTimeout(end)
    end = setTimeout(onEnd, QUIET_MS).unref()
    const kind = `${error.name} ${error.message.replaceAll(/\d+/g, '')}`
    if (kinds.has(kind) || kinds.size === KINDS_MAX) return
    kinds.add(kind)
    log.warn({ err: error, setting }, `the queue of ${setting} cannot be used now; trying again`)
  }
}
