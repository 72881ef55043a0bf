import { DatabaseUnavailableError } from '../errors.ts'

/**
 * A transaction in a hurry met a lock that somebody keeps, or was itself idle for so long that the server
 * ended it for those who wait behind it. Nothing of it is stored, and the database is well: it may be tried
 * again.
 */
export class HeldUpError extends Error {
  override readonly name = 'HeldUpError'
}

/** https://www.postgresql.org/docs/current/errcodes-appendix.html */
const HELD_UP_CODES: ReadonlySet<unknown> = new Set([
  '55P03', // a lock took too long
  '40P01', // a deadlock
  '40001', // another transaction changed the same
  '25P03', // the transaction was idle for too long
])

/** A HeldUpError when what PostgreSQL says is of that kind, else the error itself. */
export function heldUpOr(error: unknown): unknown {
  return error instanceof Error && isHeldUp(error) ? new HeldUpError(error.message, { cause: error }) : error
}

/**
 * Whether PostgreSQL, or a DatabaseUnavailableError of what it said, says that of a transaction: of others
 * that came together with it that says nothing.
 */
export function isHeldUp(error: unknown): boolean {
  const told = error instanceof DatabaseUnavailableError ? error.cause : error
  if (told instanceof HeldUpError) return true
  return told instanceof Error && HELD_UP_CODES.has((told as { code?: unknown }).code)
}
