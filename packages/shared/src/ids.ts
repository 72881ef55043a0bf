import { randomBytes, randomFillSync } from 'node:crypto'
import { fromString } from 'typeid-js'

/** What an id can name; the word is the id's visible prefix (`video_01h...`). */
export type IdKind =
  | 'video'
  | 'acct'
  | 'key'
  | 'txfr'
  | 'evt'
  | 'credit'
  | 'worker'
  | 'req'
  | 'pay'
  | 'whe'
  | 'whd'

/**
 * A new id of that kind: prefix, underscore, 26 characters of UUIDv7 in base32. Ids sort by the time they
 * were made.
 */
export function newId(kind: IdKind): string {
  return `${kind}_${base32(nextUuid())}`
}

/** Sorts after every id of that kind that was made before `atMs` (Unix time), and before all others. */
export function idAt(kind: IdKind, atMs: number): string {
  const bytes = Buffer.alloc(16)
  bytes.writeUIntBE(Math.floor(atMs), 0, 6)
  return `${kind}_${base32(bytes)}`
}

const DIGITS = '0123456789abcdefghjkmnpqrstvwxyz'
const BASE32 = Buffer.from(DIGITS)
/** Random bytes are drawn for some hundred ids at a time. */
const randoms = Buffer.alloc(4_096)
let randomsAt = randoms.length
/** The millisecond of the last id, and which one of it that was, beginning anywhere in the lower half. */
let lastMs = 0
let sequence = 0
const uuid = Buffer.alloc(16)
const text = Buffer.alloc(26)

/** A UUIDv7 (RFC 9562, 6.2 method 1): milliseconds, a counter of 32 bits within each, 42 random bits. */
function nextUuid(): Buffer {
  if (randomsAt + 10 > randoms.length) {
    randomFillSync(randoms)
    randomsAt = 0
  }
  const nowMs = Date.now()
  if (nowMs > lastMs || sequence === 0xffffffff) {
    lastMs = Math.max(nowMs, lastMs + 1)
    sequence = randoms.readUInt32BE(randomsAt) >>> 1
  } else sequence += 1
  uuid.writeUIntBE(lastMs, 0, 6)
  uuid[6] = 0x70 | (sequence >>> 28)
  uuid[7] = sequence >>> 20
  uuid[8] = 0x80 | ((sequence >>> 14) & 0x3f)
  uuid[9] = sequence >>> 6
  uuid[10] = (sequence << 2) | (randoms.readUInt8(randomsAt + 4) & 3)
  randoms.copy(uuid, 11, randomsAt + 5, randomsAt + 10)
  randomsAt += 10
  return uuid
}

/** Of 16 bytes, 26 characters of 5 bits each; the first stands for 3. */
function base32(bytes: Buffer): string {
  let bits = 2
  let value = 0
  let at = 0
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xfff
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text[at] = BASE32[(value >>> bits) & 31] ?? 0
      at += 1
    }
  }
  return text.toString('latin1')
}

/** When an id was made, in milliseconds since the epoch: its first 48 bits. */
export function msOfId(id: string): number {
  const from = id.indexOf('_') + 1
  let ms = 0
  for (let at = from; at < from + 10; at += 1) ms = ms * 32 + DIGITS.indexOf(id.charAt(at))
  return ms
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
