import { SluiceError } from '../errors.ts'

/** No call has a field that goes deeper than a few levels. */
const DEPTH_MAX = 32
/** Texts from this many bytes on are noted: the largest that is no upload is shorter. */
const LONG_TEXT_BYTES = 128 * 1024
/** After so many bytes of a text its end is looked for by the runtime, which is faster, but has a price. */
const SHORT_TEXT_BYTES = 64

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a

/** Where a long text stands in the bytes, without its quotes. */
export interface LongText {
  start: number
  end: number
}

/**
 * Looks through JSON before it is parsed, in a few milliseconds however long it is. Returns the long values
 * that are text. Throws SluiceError when it nests deeper than any call needs: what walks through a value
 * later calls itself once a level, and would run out of stack.
 */
export function scanJson(json: Buffer): LongText[] {
  const longTexts: LongText[] = []
  let depth = 0
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at]
    if (byte === QUOTE) {
      const end = endOfText(json, at + 1)
      if (end - at > LONG_TEXT_BYTES && !isKey(json, end)) longTexts.push({ start: at + 1, end })
      at = end
    } else if (byte === 0x5b || byte === 0x7b) {
      depth += 1
      if (depth > DEPTH_MAX)
        throw new SluiceError('invalid_json', `The request body nests deeper than ${DEPTH_MAX} levels.`)
    } else if (byte === 0x5d || byte === 0x7d) depth -= 1
  }
  return longTexts
}

/** The index of the quote that ends a text which begins at `start`; the length of all when none does. */
function endOfText(json: Buffer, start: number): number {
  const shortEnd = Math.min(json.length, start + SHORT_TEXT_BYTES)
  let at = start
  for (; at < shortEnd; at += 1) {
    if (json[at] === QUOTE) return at
    if (json[at] === BACKSLASH) at += 1
  }
  // `at` stands behind a whole character, so every backslash before a quote is seen from here on.
  for (let from = at; ; ) {
    const quote = json.indexOf(QUOTE, from)
    if (quote === -1) return json.length
    let backslashes = 0
    while (quote - backslashes > at && json[quote - backslashes - 1] === BACKSLASH) backslashes += 1
    if (backslashes % 2 === 0) return quote
    from = quote + 1
  }
}

function isKey(json: Buffer, end: number): boolean {
  let at = end + 1
  while (at < json.length && (json[at] ?? 0) <= 0x20) at += 1
  return json[at] === COLON
}
