import { isAscii } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { letOthers } from '../in-slices.ts'
import { scanJson } from './json-scan.ts'

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

/**
 * Parses JSON in UTF-8; of no bytes, `{}`. A long text, such as an image in base64, never goes through the
 * parser: it is cut out, and put back when the rest is parsed, so that the event loop is not held for it.
 * (What the parser would refuse in a text, such as a raw line break, stands in a long one as it is.) Throws
 * SluiceError, or SyntaxError as JSON.parse does.
 */
export async function parseJson(body: Buffer): Promise<unknown> {
  const json = body.subarray(0, 3).equals(BYTE_ORDER_MARK) ? body.subarray(3) : body
  if (json.length === 0) return {}
  const longTexts = scanJson(json).filter(({ start, end }) => isPlain(json.subarray(start, end)))
  if (longTexts.length === 0) return JSON.parse(json.toString('utf8'))
  await letOthers()
  // Nobody can guess it, so nothing else in the body can pass for a text that was cut out.
  const mark = randomUUID()
  let rest = ''
  let restFrom = 0
  for (const [index, { start, end }] of longTexts.entries()) {
    rest += json.toString('utf8', restFrom, start) + mark + index
    restFrom = end
  }
  rest += json.toString('utf8', restFrom)
  return JSON.parse(rest, (_key, value: unknown) => {
    if (typeof value !== 'string' || !value.startsWith(mark)) return value
    const { start, end } = longTexts[Number(value.slice(mark.length))] ?? { start: 0, end: 0 }
    return json.toString('latin1', start, end)
  })
}

/** Text whose bytes are its characters. */
function isPlain(bytes: Buffer): boolean {
  return isAscii(bytes) && !bytes.includes(0x5c)
}
