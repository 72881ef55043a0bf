import { isAscii } from 'node:buffer'
import { LongText } from '../long-text.ts'

/** As text, and parsed, they take some tenths of a millisecond. */
const PIECE_BYTES = 64 * 1024
/** Of `\u0041`, the longest escape. */
const ESCAPE_BYTES_MAX = 6
/** Of a character in UTF-8, besides its first byte. */
const CONTINUATION_BYTES_MAX = 3

const BACKSLASH = 0x5c

/**
 * The text that stands in JSON in these bytes, without its quotes: long, unless it has characters beyond
 * Latin-1, which an image in base64 has not. It is written over the bytes. What the parser would refuse in a
 * text, such as a raw line break, may stand in a long one as it is. It may be cut where it yields. Throws
 * SyntaxError for escapes that are none.
 */
export function* readJsonText(json: Buffer): Generator<undefined, LongText | string> {
  /** The pieces until now, once some are no Latin-1. */
  let wide: string[] | null = null
  let written = 0
  for (let start = 0; start < json.length; ) {
    const end = endOfPiece(json, start)
    const bytes = json.subarray(start, end)
    start = end
    if (wide === null && isPlain(bytes)) {
      written += bytes.copy(json, written)
    } else {
      const text = parsePiece(bytes)
      if (wide === null && isLatin1(text)) written += json.write(text, written, 'latin1')
      else {
        wide ??= [json.toString('latin1', 0, written)]
        wide.push(text)
      }
    }
    yield
  }
  return wide?.join('') ?? new LongText(json.subarray(0, written))
}

/** Where a piece from `start` on may end: between two characters, and not within an escape. */
function endOfPiece(json: Buffer, start: number): number {
  const end = start + PIECE_BYTES
  if (end >= json.length) return json.length
  for (let at = end - 1; at > end - ESCAPE_BYTES_MAX; at -= 1) {
    if (json[at] !== BACKSLASH || isEscaped(json, start, at)) continue
    const escapeEnd = at + (json[at + 1] === 0x75 ? ESCAPE_BYTES_MAX : 2)
    return escapeEnd > end ? at : end
  }
  for (let back = 0; back <= CONTINUATION_BYTES_MAX; back += 1)
    if (!isContinuation(json[end - back])) return end - back
  // More of them than a character has: it is no UTF-8.
  return end
}

/** Whether the backslash at `at` is the second of a pair, in a text that is whole from `start` on. */
function isEscaped(json: Buffer, start: number, at: number): boolean {
  let first = at
  while (first > start && json[first - 1] === BACKSLASH) first -= 1
  return (at - first) % 2 === 1
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80
}

/** Text whose bytes are its characters. */
function isPlain(bytes: Buffer): boolean {
  return isAscii(bytes) && !bytes.includes(BACKSLASH)
}

function isLatin1(text: string): boolean {
  return !/[^\0-\xff]/.test(text)
}

function parsePiece(bytes: Buffer): string {
  try {
    return JSON.parse(`"${bytes.toString('utf8')}"`)
  } catch {
    // The parser's own message would name a place in the piece.
    throw new SyntaxError('Bad escape or control character in a long text')
  }
}
