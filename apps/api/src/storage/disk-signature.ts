import { createHmac, timingSafeEqual } from 'node:crypto'

/** What one signed URL of the disk store allows. */
export type SignedUrl =
  | { method: 'PUT'; key: string; contentType: string; bytesMax: number }
  | { method: 'GET'; key: string; downloadName: string | null }

export const EXPIRED = 'url_expired'
export const MISMATCH = 'url_signature_mismatch'

/** The path and query of a URL that allows `grant` until `expiresAt` (Unix seconds), all of it signed. */
export function signUrl(grant: SignedUrl, expiresAt: number, secret: string): string {
  const query = new URLSearchParams({ expires: String(expiresAt) })
  if (grant.method === 'PUT') {
    query.set('type', grant.contentType)
    query.set('max', String(grant.bytesMax))
  } else if (grant.downloadName !== null) {
    query.set('name', grant.downloadName)
  }
  query.set('sig', signatureOf(grant, expiresAt, secret).toString('base64url'))
  return `/store/${grant.key}?${query}`
}

/** A request for a signed URL. HEAD counts as GET. */
export interface SignedRequest {
  method: 'PUT' | 'GET'
  key: string
  query: URLSearchParams
}

/**
 * What the URL allows at `nowMs` (Unix milliseconds), or why it allows nothing. The signature is checked
 * first, in constant time, so that without it nothing can be learned from the result.
 */
export function verifyUrl(
  { method, key, query }: SignedRequest,
  secret: string,
  nowMs: number,
): SignedUrl | typeof EXPIRED | typeof MISMATCH {
  const expiresAt = Number(query.get('expires'))
  const grant = readGrant({ method, key, query })
  if (grant === null) return MISMATCH
  const given = Buffer.from(query.get('sig') ?? '', 'base64url')
  const expected = signatureOf(grant, expiresAt, secret)
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return MISMATCH
  return nowMs < expiresAt * 1_000 ? grant : EXPIRED
}

function readGrant({ method, key, query }: SignedRequest): SignedUrl | null {
  if (method === 'GET') return { method, key, downloadName: query.get('name') }
  const contentType = query.get('type')
  const bytesMax = query.get('max')
  if (contentType === null || bytesMax === null || !/^\d{1,16}$/.test(bytesMax)) return null
  return { method, key, contentType, bytesMax: Number(bytesMax) }
}

function signatureOf(grant: SignedUrl, expiresAt: number, secret: string): Buffer {
  const parts =
    grant.method === 'PUT'
      ? [grant.method, grant.key, expiresAt, grant.contentType, grant.bytesMax]
      : [grant.method, grant.key, expiresAt, grant.downloadName]
  // As JSON, so that no two different grants give the same text.
  return createHmac('sha256', secret).update(JSON.stringify(parts)).digest()
}
