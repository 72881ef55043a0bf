import { SluiceError } from '../errors.ts'

/**
 * PostgreSQL's classes of codes for data that does not fit: "data exception", such as a number out of range,
 * and "integrity constraint violation".
 */
const UNSTORABLE_CLASSES = ['22', '23']

/** Whether the database refused what was to be written, so that it would refuse it again. */
export function isUnstorable(error: unknown): boolean {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    error.code.length === 5 &&
    UNSTORABLE_CLASSES.includes(error.code.slice(0, 2))
  )
}

/**
 * Applies what a worker said. Should the database refuse a value that the contract let through, that is the
 * worker's to hear (400), so that it does not repeat it for ever.
 */
export async function refusingUnstorable<T>(apply: () => Promise<T>): Promise<T> {
  try {
    return await apply()
  } catch (error) {
    if (!isUnstorable(error)) throw error
    throw new SluiceError('invalid_value', `This cannot be stored: ${(error as Error).message}.`)
  }
}
