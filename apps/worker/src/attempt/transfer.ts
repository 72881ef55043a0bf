import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { rename, stat } from 'node:fs/promises'
import { type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { TIME_LIMITS } from '@sluice/shared/time-limits'

/** A PUT or GET of a file did not succeed. */
export class TransferError extends Error {
  override name = 'TransferError'
  /** The signed URL is not accepted, or not any more. */
  readonly expired: boolean
  /** The same request may succeed later. */
  readonly again: boolean

  constructor(message: string, kind: { expired: boolean; again: boolean }, cause?: unknown) {
    super(message, { cause })
    this.expired = kind.expired
    this.again = kind.again
  }
}

/** When a transfer is given up. */
export interface TransferRules {
  signal: AbortSignal
  /** A test shortens them. */
  limits?: Partial<Record<keyof typeof TIME_LIMITS.transfer, number>>
}

const REFUSAL_CHARS_MAX = 300
const PASSING = { expired: false, again: true }

/**
 * Puts a file to a signed URL with its length and exactly this Content-Type. Returns its bytes; throws
 * TransferError.
 */
export async function putFile(
  url: string,
  path: string,
  contentType: string,
  rules: TransferRules,
): Promise<number> {
  const { size } = await stat(path)
  await put(url, { bytes: size, contentType, body: createReadStream(path) }, rules)
  return size
}

/** Puts a small body, as `putFile`. */
export async function putBody(
  url: string,
  body: string,
  contentType: string,
  rules: TransferRules,
): Promise<number> {
  const bytes = Buffer.from(body)
  await put(url, { bytes: bytes.length, contentType, body: Readable.from([bytes]) }, rules)
  return bytes.length
}

/** Gets a signed URL into `path`, which appears only once it is whole. Throws TransferError. */
export async function getFile(url: string, path: string, rules: TransferRules): Promise<void> {
  await exchange(url, { method: 'GET', headers: {} }, rules, async (request, signal) => {
    request.end()
    const answer = await answerOf(request)
    await pipeline(answer, createWriteStream(`${path}.new`), { signal })
  })
  await rename(`${path}.new`, path)
}

interface PutBody {
  bytes: number
  contentType: string
  body: Readable
}

async function put(url: string, { bytes, contentType, body }: PutBody, rules: TransferRules): Promise<void> {
  const headers = { 'content-type': contentType, 'content-length': bytes }
  await exchange(url, { method: 'PUT', headers }, rules, async (request, signal) => {
    const answered = answerOf(request)
    // A refusal comes before the whole body is through, and breaks it off.
    const sent = pipeline(body, request, { signal }).catch((error: unknown) => {
      if (!request.destroyed) request.destroy(error as Error)
    })
    const answer = await answered
    await sent
    answer.resume()
    await once(answer, 'end', { signal })
  })
}

/**
 * One request over a connection of its own, since an idle one may have gone silent. Ends it when it does not
 * connect, when no byte moves (also between the body and its answer), and when it takes too long in all.
 */
async function exchange(
  url: string,
  { method, headers }: { method: 'GET' | 'PUT'; headers: Record<string, string | number> },
  { signal, limits }: TransferRules,
  work: (request: ClientRequest, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const { connectMs, silenceMs, wholeMs } = { ...TIME_LIMITS.transfer, ...limits }
  const whole = AbortSignal.any([signal, AbortSignal.timeout(wholeMs)])
  const send = url.startsWith('https:') ? requestHttps : requestHttp
  const request = send(url, { method, headers, agent: false, signal: whole })
  const giveUp = (why: string) => request.destroy(new Error(why))
  const connecting = setTimeout(() => giveUp(`no connection within ${connectMs} ms`), connectMs)
  request.on('socket', (socket) => {
    socket.once(url.startsWith('https:') ? 'secureConnect' : 'connect', () => clearTimeout(connecting))
  })
  request.setTimeout(silenceMs, () => giveUp(`no byte moved for ${silenceMs} ms`))
  try {
    await work(request, whole)
  } catch (error) {
    if (error instanceof TransferError) throw error
    throw new TransferError(`${method} did not get through`, PASSING, error)
  } finally {
    clearTimeout(connecting)
    request.destroy()
  }
}

/** The answer of the request. Throws TransferError for a refusal. */
async function answerOf(request: ClientRequest): Promise<IncomingMessage> {
  // Heard until the end: an error without a listener would end the process.
  request.on('error', () => {})
  const [answer] = (await once(request, 'response')) as [IncomingMessage]
  const status = answer.statusCode ?? 0
  if (status >= 200 && status < 300) return answer
  // Never the URL: its signature is a credential.
  throw new TransferError(`${request.method}: HTTP ${status} ${await firstChars(answer)}`, {
    expired: [401, 403, 410].includes(status),
    again: status >= 500 || status === 408 || status === 429,
  })
}

async function firstChars(answer: IncomingMessage): Promise<string> {
  let text = ''
  try {
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      text += chunk.toString('utf8')
      if (text.length >= REFUSAL_CHARS_MAX) break
    }
  } catch {
    // What has come will do.
  }
  return text.slice(0, REFUSAL_CHARS_MAX)
}
