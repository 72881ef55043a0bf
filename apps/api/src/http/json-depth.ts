import { SluiceError } from '../errors.ts'

/** No call has a field that goes deeper than a few levels. */
const DEPTH_MAX = 32

const QUOTE = 0x22
const BACKSLASH = 0x5c

/**
 * Throws SluiceError when JSON nests deeper than any call needs. Asked before it is parsed: what walks
 * through a value later calls itself once a level, and would run out of stack.
 */
export function requireShallow(json: Uint8Array): void {
  let depth = 0
  let isText = false
  for (let at = 0; at < json.length; at += 1) {
    const byte = json[at]
    if (isText) {
      if (byte === BACKSLASH) at += 1
      else if (byte === QUOTE) isText = false
    } else if (byte === QUOTE) isText = true
    else if (byte === 0x5b || byte === 0x7b) {
      depth += 1
      if (depth > DEPTH_MAX)
        throw new SluiceError('invalid_json', `The request body nests deeper than ${DEPTH_MAX} levels.`)
    } else if (byte === 0x5d || byte === 0x7d) depth -= 1
  }
}
