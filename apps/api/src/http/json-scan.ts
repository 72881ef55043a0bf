import { SluiceError } from '../errors.ts'

/** No call has a field that goes deeper than a few levels. */
const DEPTH_MAX = 32
/** Texts from this many bytes on are noted: the largest that is no upload is shorter. */
const LONG_TEXT_BYTES = 128 * 1024
/** After so many bytes of a text its end is looked for by the runtime, which is faster, but has a price. */
const WALKED_BYTES = 256
/** How much is walked through byte by byte in one go: well below a millisecond. */
const YIELD_BYTES = 64 * 1024

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
/** Nothing but white space is at most this. */
const SPACE = 0x20

/** Where a long text stands in the bytes, without its quotes. */
export interface TextPlace {
  start: number
  end: number
}

/** Throws SluiceError when JSON nests deeper than any call needs, before it is parsed. */
export function requireShallow(json: Buffer): void {
  const scan = scanJson(json, { restBytesMax: json.length })
  while (scan.next().done !== true);
}

/**
 * Looks through JSON before it is parsed. Returns the long values that are text. It may be cut where it
 * yields. Throws SluiceError when what is no long text has more than `restBytesMax` bytes, or when it nests
 * deeper than any call needs: what walks through a value later calls itself once a level, and would run out
 * of stack.
 */
export function* scanJson(
  json: Buffer,
  { restBytesMax }: { restBytesMax: number },
): Generator<undefined, TextPlace[]> {
  const longTexts: TextPlace[] = []
  let longBytes = 0
  let depth = 0
  let yieldAt = YIELD_BYTES
  /** Nothing but white space has come since the last long text. */
  let isBehindLong = false
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at] ?? 0
    if (byte === QUOTE) {
      const start = at + 1
      at = endOfShortText(json, start) ?? (yield* endOfText(json, start))
      isBehindLong = at - start >= LONG_TEXT_BYTES
      if (isBehindLong) {
        longTexts.push({ start, end: at })
        longBytes += at - start
      }
    } else if (byte > SPACE) {
      if (byte === 0x5b || byte === 0x7b) {
        depth += 1
        if (depth > DEPTH_MAX)
          throw new SluiceError('invalid_json', `The request body nests deeper than ${DEPTH_MAX} levels.`)
      } else if (byte === 0x5d || byte === 0x7d) depth -= 1
      else if (byte === COLON && isBehindLong) {
        // It is a name, and no value.
        const name = longTexts.pop()
        if (name !== undefined) longBytes -= name.end - name.start
      }
      isBehindLong = false
    }
    if (at - longBytes > restBytesMax) throw bodyTooLarge()
    if (at < yieldAt) continue
    yieldAt = at + YIELD_BYTES
    yield
  }
  return longTexts
}

export function bodyTooLarge(): SluiceError {
  return new SluiceError('body_too_large', 'The request body is too large.')
}

/** The index of the quote that ends a text which begins at `start`; undefined when that takes longer. */
function endOfShortText(json: Buffer, start: number): number | undefined {
  const walkedTo = Math.min(json.length, start + WALKED_BYTES)
  for (let at = start; at < walkedTo; at += 1) {
    if (json[at] === QUOTE) return at
    if (json[at] === BACKSLASH) at += 1
  }
  return undefined
}

/** The same of any text; the length of all when no quote ends it. */
function* endOfText(json: Buffer, start: number): Generator<undefined, number> {
  let quote = -1
  for (let at = start; at < json.length; ) {
    const walkedTo = Math.min(json.length, at + WALKED_BYTES)
    for (; at < walkedTo; at += 1) {
      if (json[at] === QUOTE) return at
      if (json[at] === BACKSLASH) at += 1
    }
    // `at` stands behind a whole character. The next quote ends the text, unless there is a backslash first.
    if (quote < at) quote = json.indexOf(QUOTE, at)
    const end = quote === -1 ? json.length : quote
    const backslash = json.subarray(at, end).indexOf(BACKSLASH)
    if (backslash === -1) return end
    at += backslash
    yield
  }
  return json.length
}
