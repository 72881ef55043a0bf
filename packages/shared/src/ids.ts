import { randomBytes } from 'node:crypto'
import { fromString, typeid } from 'typeid-js'

/** What an id can name; the word is the id's visible prefix (`video_01h...`). */
export type IdKind = 'video' | 'acct' | 'key' | 'txfr' | 'evt' | 'worker' | 'req' | 'whe' | 'whd'

/**
 * A new id of that kind: prefix, underscore, 26 characters of UUIDv7 in base32. Ids sort by the time they
 * were made.
 */
export function newId(kind: IdKind): string {
  return typeid(kind).toString()
}

/** True when `text` is a well-formed id of that kind. A malformed id and an unknown id get the same 404. */
export function isId(kind: IdKind, text: string): boolean {
  try {
    return fromString(text, kind).toString() === text
  } catch {
    return false
  }
}

/**
 * A claim: 128 random bits that a worker makes each time it starts an attempt. The first report binds it to
 * the attempt.
 */
export function newClaim(): string {
  return randomBytes(16).toString('hex')
}
