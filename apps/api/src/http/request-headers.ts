import type { Request } from 'express'
import { z } from 'zod'
import { invalidValue, SluiceError } from '../errors.ts'

const IDEMPOTENCY_KEY_CHARS_MAX = 255

/** The header of calls that a repeat must not make twice, for the OpenAPI document. */
export const repeatHeaders = z.object({
  'Idempotency-Key': z
    .string()
    .max(IDEMPOTENCY_KEY_CHARS_MAX)
    .optional()
    .meta({
      description: 'The same key again answers what the first request made.',
      example: 'order-2026-0042',
    }),
})

/** The API key of `Authorization: Bearer <key>`. Throws SluiceError `missing_api_key` when there is none. */
export function bearerKey(request: Request): string {
  const key = /^Bearer +(\S+) *$/i.exec(request.get('authorization') ?? '')?.[1]
  if (key !== undefined) return key
  throw new SluiceError(
    'missing_api_key',
    'Send your API key in the header: Authorization: Bearer <key>.',
    'Authorization',
  )
}

/** What a request says of itself being one that was sent before. */
interface RequestOrigin {
  idempotencyKey: string | null
  /** How many times an SDK has sent this call before; null when it does not say. */
  tryNumber: number | null
  /** It says that it sent this call before. */
  isRepeat: boolean
}

/**
 * Reads the headers Idempotency-Key and x-stainless-retry-count. Throws SluiceError when the key is too long.
 */
export function originOf(request: Request): RequestOrigin {
  const idempotencyKey = request.get('idempotency-key') || null
  if (idempotencyKey !== null && idempotencyKey.length > IDEMPOTENCY_KEY_CHARS_MAX) {
    throw invalidValue('Idempotency-Key', idempotencyKey, `at most ${IDEMPOTENCY_KEY_CHARS_MAX} characters`)
  }
  const count = request.get('x-stainless-retry-count') ?? ''
  const tryNumber = /^\d{1,4}$/.test(count) ? Number(count) : null
  return { idempotencyKey, tryNumber, isRepeat: (tryNumber ?? 0) > 0 }
}
