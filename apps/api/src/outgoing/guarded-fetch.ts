import { type IncomingHttpHeaders, type IncomingMessage, request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { LookupFunction } from 'node:net'
import { OutgoingError, type OutgoingRules, parseOutgoingUrl } from './outgoing-url.ts'
import { resolveHost } from './resolve-host.ts'
import type { ResolvedAddress } from './system-names.ts'

/** A request to a URL that a customer gave. */
export interface OutgoingRequest {
  /** The field that contained the URL, for errors. */
  field: string
  rules: OutgoingRules
  method: 'GET' | 'POST'
  headers?: Readonly<Record<string, string>>
  body?: string
  /** For everything: name look-ups, connections, redirects and the body to its last byte. */
  timeoutMs: number
  bytesMax: number
  /** `read`: the body is returned, or refused beyond `bytesMax`. `drained`: only the status counts. */
  answer: 'read' | 'drained'
  /** Redirects to follow, each checked like the first URL; with 0 the redirect itself is the answer. */
  redirectsMax: number
  /** Aborts the request; its reason is thrown. */
  signal?: AbortSignal
}

export interface OutgoingAnswer {
  /** The URL that answered, after redirects. */
  url: string
  status: number
  headers: IncomingHttpHeaders
  /** Empty when drained. */
  body: Buffer
}

/** How long the check of a URL may take before it is stored. */
const CHECK_MS_MAX = 3_000

/**
 * Checks a URL before it is stored. Throws OutgoingError when it is malformed, or when its host does not
 * exist or is not public. A name server that does not answer is no reason to refuse: each request checks the
 * URL again.
 */
export async function checkOutgoingUrl(text: string, field: string, rules: OutgoingRules): Promise<void> {
  const target = parseOutgoingUrl(text, field, rules)
  try {
    await resolveHost(target, field, rules, AbortSignal.timeout(CHECK_MS_MAX))
  } catch (error) {
    const isOutage = error instanceof OutgoingError && error.reason === 'resolver_failed'
    if (!isOutage) throw error
  }
}

/**
 * Sends a request to a URL that a customer gave, and only where it may go: over http(s), to a host whose
 * every address is public (or that the operator allows), at the addresses that were checked. Throws
 * OutgoingError, or the reason of `request.signal`.
 */
export async function guardedFetch(url: string, request: OutgoingRequest): Promise<OutgoingAnswer> {
  const deadline = AbortSignal.timeout(request.timeoutMs)
  const signal = request.signal === undefined ? deadline : AbortSignal.any([deadline, request.signal])
  let next = url
  try {
    for (let redirects = 0; ; redirects += 1) {
      const answer = await exchange(next, request, signal)
      const location = request.redirectsMax > 0 ? redirectOf(answer) : undefined
      if (location === undefined) return answer
      if (redirects >= request.redirectsMax) {
        const { field, redirectsMax } = request
        throw new OutgoingError(
          field,
          'too_many_redirects',
          `${field} redirects more than ${redirectsMax} times.`,
        )
      }
      next = location
    }
  } catch (error) {
    if (request.signal?.aborted === true) throw request.signal.reason
    throw deadline.aborted ? timedOut(request) : asOutgoing(error, request.field)
  }
}

async function exchange(
  text: string,
  request: OutgoingRequest,
  signal: AbortSignal,
): Promise<OutgoingAnswer> {
  const target = parseOutgoingUrl(text, request.field, request.rules)
  const addresses = await resolveHost(target, request.field, request.rules, signal)
  signal.throwIfAborted()
  const send = target.url.protocol === 'https:' ? requestHttps : requestHttp
  const outgoing = send(target.url, {
    method: request.method,
    headers: { ...request.headers, connection: 'close' },
    // No shared agent: it might reuse a connection to an unchecked address, or a proxy from the environment.
    agent: false,
    lookup: pinnedTo(addresses),
    signal,
  })
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      outgoing.once('response', resolve)
      outgoing.on('error', reject)
      // An unwanted upgrade of the protocol closes the request without an error.
      outgoing.once('close', () => reject(new Error('closed without an answer')))
      outgoing.end(request.body)
    })
    const status = response.statusCode ?? 0
    const isRedirect =
      request.redirectsMax > 0 && redirectOf({ url: text, status, headers: response.headers }) !== undefined
    const body = isRedirect ? Buffer.alloc(0) : await bodyOf(response, request)
    return { url: target.url.href, status, headers: response.headers, body }
  } finally {
    outgoing.destroy()
  }
}

/** A look-up that returns the checked addresses, whatever the name resolves to by now. */
function pinnedTo(addresses: readonly ResolvedAddress[]): LookupFunction {
  return (_hostname, options, callback) => {
    const [first] = addresses
    if (options.all === true) callback(null, [...addresses])
    else if (first === undefined) callback(new Error('no address'), '')
    else callback(null, first.address, first.family)
  }
}

async function bodyOf(response: IncomingMessage, request: OutgoingRequest): Promise<Buffer> {
  const { field, bytesMax } = request
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > bytesMax)
        throw new OutgoingError(field, 'too_large', `${field} answers more than ${bytesMax} bytes.`)
      if (request.answer === 'read') chunks.push(chunk)
    }
  } catch (error) {
    // Of a drained answer only the status matters, and it has arrived.
    if (request.answer === 'drained') return Buffer.alloc(0)
    throw error
  }
  return Buffer.concat(chunks)
}

function redirectOf(answer: Pick<OutgoingAnswer, 'url' | 'status' | 'headers'>): string | undefined {
  const { location } = answer.headers
  if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined) return undefined
  return URL.canParse(location, answer.url) ? new URL(location, answer.url).href : location
}

function timedOut({ field, timeoutMs }: OutgoingRequest): OutgoingError {
  return new OutgoingError(field, 'timeout', `${field} did not answer within ${timeoutMs / 1_000} s.`)
}

function asOutgoing(error: unknown, field: string): OutgoingError {
  if (error instanceof OutgoingError) return error
  const { code, message } = error as NodeJS.ErrnoException
  return new OutgoingError(field, 'connection_failed', `${field} could not be reached: ${code ?? message}.`)
}
