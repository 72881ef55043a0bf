import type { Request } from 'express'
import { invalidValue } from '../errors.ts'
import type { Submission } from '../submissions/submission.ts'

const KEY_CHARS_MAX = 255

/** What the headers say of a submission being one that was sent before. Throws SluiceError. */
export function originOf(request: Request): Pick<Submission, 'idempotencyKey' | 'isRepeat'> {
  const idempotencyKey = request.get('idempotency-key') || null
  if (idempotencyKey !== null && idempotencyKey.length > KEY_CHARS_MAX) {
    throw invalidValue('Idempotency-Key', idempotencyKey, `at most ${KEY_CHARS_MAX} characters`)
  }
  return { idempotencyKey, isRepeat: Number(request.get('x-stainless-retry-count') ?? 0) > 0 }
}
