import { createWriteStream, openAsBlob } from 'node:fs'
import { rename } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'

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

/** A whole transfer may take this long; a video of a few MB takes seconds. */
const TRANSFER_MS_MAX = 300_000

/**
 * Puts a file to a signed URL with its length and exactly this Content-Type. Returns its bytes; throws
 * TransferError.
 */
export async function putFile(
  url: string,
  path: string,
  contentType: string,
  signal: AbortSignal,
): Promise<number> {
  const blob = await openAsBlob(path, { type: contentType })
  await putBody(url, blob, contentType, signal)
  return blob.size
}

/** Puts a small body, as `putFile`. */
export async function putBody(
  url: string,
  body: Blob | string,
  contentType: string,
  signal: AbortSignal,
): Promise<void> {
  const response = await transfer(
    url,
    { method: 'PUT', body, headers: { 'content-type': contentType } },
    signal,
  )
  await response.body?.cancel()
}

/** Gets a signed URL into `path`, which appears only once it is whole. Throws TransferError. */
export async function getFile(url: string, path: string, signal: AbortSignal): Promise<void> {
  const response = await transfer(url, { method: 'GET' }, signal)
  if (response.body === null) throw new TransferError('GET: empty answer', { expired: false, again: false })
  try {
    await pipeline(Readable.fromWeb(response.body), createWriteStream(`${path}.new`), { signal })
  } catch (error) {
    throw new TransferError('GET broke off', { expired: false, again: true }, error)
  }
  await rename(`${path}.new`, path)
}

async function transfer(
  url: string,
  init: RequestInit & { method: string },
  signal: AbortSignal,
): Promise<Response> {
  let response: Response
  try {
    response = await fetch(url, {
      ...init,
      signal: AbortSignal.any([signal, AbortSignal.timeout(TRANSFER_MS_MAX)]),
    })
  } catch (error) {
    throw new TransferError(`${init.method} did not get through`, { expired: false, again: true }, error)
  }
  if (response.ok) return response
  const text = (await response.text().catch(() => '')).slice(0, 300)
  // Never the URL: its signature is a credential.
  throw new TransferError(`${init.method}: HTTP ${response.status} ${text}`, {
    expired: [401, 403, 410].includes(response.status),
    again: response.status >= 500 || response.status === 408 || response.status === 429,
  })
}
