import type { Response } from 'express'
import { inSlices } from '../in-slices.ts'

/** Lists from this length on are written in slices; one of this length takes about a millisecond. */
const LONG_LIST = 200
/** What is written at a time: more than that gains nothing. */
const WRITTEN_CHARS = 64 * 1024

/** A JSON answer with headers, or with another status than 200. */
export class JsonReply<Body> {
  readonly #body: Body
  readonly #status: number
  readonly #headers: Readonly<Record<string, string>>

  constructor(body: Body, options: { status?: number; headers?: Readonly<Record<string, string>> }) {
    this.#body = body
    this.#status = options.status ?? 200
    this.#headers = options.headers ?? {}
  }

  async send(response: Response): Promise<void> {
    response.status(this.#status).set(this.#headers)
    await sendJson(response, this.#body)
  }
}

/** An answer that is no JSON: a file, a stream, a redirect or nothing at all. */
export class RawReply {
  readonly #write: (response: Response) => void | Promise<void>

  /** `write` sends status, headers and content; what it throws before that becomes an error answer. */
  constructor(write: (response: Response) => void | Promise<void>) {
    this.#write = write
  }

  async send(response: Response): Promise<void> {
    await this.#write(response)
  }
}

/** Sends what a handler returned: a reply as it says, anything else as the JSON body of a 200. */
export async function sendReply(response: Response, result: unknown): Promise<void> {
  if (result instanceof JsonReply || result instanceof RawReply) await result.send(response)
  else await sendJson(response, result)
}

/** Sends JSON; a body with a long list piece by piece, so that it never holds the event loop for long. */
async function sendJson(response: Response, body: unknown): Promise<void> {
  const fields = typeof body === 'object' && body !== null ? Object.entries(body) : []
  if (!fields.some(([, value]) => isLongList(value))) {
    const text = JSON.stringify(body)
    response.setHeader('Content-Type', 'application/json; charset=utf-8')
    response.setHeader('Content-Length', Buffer.byteLength(text))
    response.end(text)
    return
  }
  response.type('json')
  let separator = '{'
  for (const [name, value] of fields) {
    if (value === undefined) continue
    response.write(`${separator}${JSON.stringify(name)}:`)
    if (isLongList(value)) await writeList(response, value)
    else response.write(JSON.stringify(value))
    separator = ','
  }
  response.end('}')
}

const isLongList = (value: unknown): value is unknown[] => Array.isArray(value) && value.length >= LONG_LIST

async function writeList(response: Response, items: readonly unknown[]): Promise<void> {
  let separator = '['
  await writeInSlices(response, items, (item) => {
    const text = separator + JSON.stringify(item)
    separator = ','
    return text
  })
  response.write(']')
}

/** A JSON object with one more field, whose value is a list: `pieces` are what stands within its brackets. */
export function jsonWithList(
  body: Readonly<Record<string, unknown>>,
  { name, pieces, headers }: { name: string; pieces: readonly Buffer[]; headers: Record<string, string> },
): RawReply {
  return new RawReply(async (response) => {
    response.set(headers).type('json')
    response.write(`${JSON.stringify(body).slice(0, -1)},${JSON.stringify(name)}:[`)
    await writePieces(response, pieces)
    response.end(']}')
  })
}

/** Writes what was made into text before. Stops when nobody is there any more to read it. */
export async function writePieces(response: Response, pieces: readonly Buffer[]): Promise<void> {
  await inSlices(pieces, (piece) => {
    if (!response.destroyed) response.write(piece)
  })
}

/** Writes the text of each item, some at a time. Stops when nobody is there any more to read it. */
export async function writeInSlices<Item>(
  response: Response,
  items: readonly Item[],
  textOf: (item: Item) => string,
): Promise<void> {
  let text = ''
  await inSlices(items, (item) => {
    if (response.destroyed) return
    text += textOf(item)
    if (text.length < WRITTEN_CHARS) return
    response.write(text)
    text = ''
  })
  response.write(text)
}
