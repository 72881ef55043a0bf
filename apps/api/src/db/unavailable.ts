import { SilentServerError } from '@sluice/shared/postgres-client'
import { DatabaseUnavailableError, SluiceError } from '../errors.ts'

/**
 * Codes of PostgreSQL that say nothing about the statement: whole classes by their first two characters, and
 * single ones. https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const UNAVAILABLE_CODES: ReadonlySet<string> = new Set([
  '08', // no connection
  '53', // no disk, memory or connection left
  '58', // input or output failed
  '57P01', // ended by an administrator
  '57P02', // ended by a crash
  '57P03', // is starting or stopping
  '57P05', // idle for too long
  '57014', // a statement took too long
  '55P03', // a lock took too long
  '25P03', // a transaction was idle for too long
  '25P04', // a transaction took too long
  '25006', // read-only: a replica, or set so to save it
  '40001', // another transaction changed the same
  '40P01', // a deadlock
])

/** Of the system, when there is no connection. */
const CONNECTION_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENETDOWN',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT', // its socket file
])

/** The driver's own errors have no code. */
const DRIVER_MESSAGES =
  /^(timeout exceeded when trying to connect|timeout expired|Connection terminated|Client has encountered a connection error|Client was closed)/

/** Whether the driver says only that there is no connection: what ended it was said before. */
export function isDriversOwn(error: unknown): boolean {
  return error instanceof Error && DRIVER_MESSAGES.test(error.message)
}

/** The error itself, or a DatabaseUnavailableError when it says that the database could not be used. */
export function asUnavailable(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof SluiceError) return error
  const { code } = error as { code?: unknown }
  const isUnavailable =
    typeof code === 'string'
      ? UNAVAILABLE_CODES.has(code) ||
        (code.length === 5 && UNAVAILABLE_CODES.has(code.slice(0, 2))) ||
        CONNECTION_CODES.has(code)
      : error instanceof SilentServerError || isDriversOwn(error)
  return isUnavailable ? new DatabaseUnavailableError(error) : error
}
