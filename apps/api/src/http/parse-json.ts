import { randomUUID } from 'node:crypto'
import { cutAtYields, letOthers } from '../in-slices.ts'
import { LongText } from '../long-text.ts'
import { bodyTooLarge, requireShallow, scanJson } from './json-scan.ts'
import { readJsonText } from './json-text.ts'

const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf])

/** What a body may be. */
export interface JsonBounds {
  /** The one field that may be long: text, or an object of texts. */
  longField: string
  /** Of all but that field's text. */
  restBytesMax: number
}

/** Where a value stands. */
interface Place {
  holder: Record<string, unknown>
  key: string
  text: LongText | string
}

/**
 * Parses JSON in UTF-8; of no bytes, `{}`. In a body of more than `restBytesMax` the long field's text, such
 * as an image in base64, never goes through the parser: it is cut out, and put back as a LongText when the
 * rest is parsed, so that the event loop is not held for it. Throws SluiceError, or SyntaxError as JSON.parse
 * does. The bytes are not to be used any more.
 */
export async function parseJson(body: Buffer, bounds: JsonBounds): Promise<unknown> {
  const json = body.subarray(0, 3).equals(BYTE_ORDER_MARK) ? body.subarray(3) : body
  if (json.length === 0) return {}
  if (json.length > bounds.restBytesMax) return parseLarge(json, bounds)
  requireShallow(json)
  return JSON.parse(json.toString('utf8'))
}

async function parseLarge(json: Buffer, { longField, restBytesMax }: JsonBounds): Promise<unknown> {
  // They have just been put together.
  await letOthers()
  const places = await cutAtYields(scanJson(json, { restBytesMax }))
  // Nobody can guess it, so nothing else in the body can pass for a text that was cut out.
  const mark = randomUUID()
  let rest = ''
  let restFrom = 0
  const texts: (LongText | string)[] = []
  for (const [index, { start, end }] of places.entries()) {
    rest += json.toString('utf8', restFrom, start) + mark + index
    restFrom = end
    texts.push(await cutAtYields(readJsonText(json.subarray(start, end))))
  }
  rest += json.toString('utf8', restFrom)
  const cutOut: Place[] = []
  const body: unknown = JSON.parse(rest, function (this: Place['holder'], key, value: unknown) {
    if (typeof value !== 'string' || !value.startsWith(mark)) return value
    const text = texts[Number(value.slice(mark.length))] ?? ''
    cutOut.push({ holder: this, key, text })
    return text
  })
  const field = isObject(body) ? body[longField] : undefined
  // The text itself, or that of an object's fields.
  const fieldTexts = isObject(field) && !(field instanceof LongText) ? Object.values(field) : [field]
  if (json.length - charsOf(fieldTexts) > restBytesMax) throw bodyTooLarge()
  // Any other that was cut out is no longer than all of the rest may be.
  for (const { holder, key, text } of cutOut) if (!fieldTexts.includes(text)) holder[key] = String(text)
  return body
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function charsOf(values: readonly unknown[]): number {
  return values.reduce<number>(
    (chars, value) => chars + (typeof value === 'string' || value instanceof LongText ? value.length : 0),
    0,
  )
}
