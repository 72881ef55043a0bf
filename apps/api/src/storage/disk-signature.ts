import { createHmac, timingSafeEqual } from 'node:crypto'

/** What one signed URL of the disk store allows. */
export type SignedUrl =
  | { method: 'PUT'; key: string; contentType: string; bytesMax: number }
  | { method: 'GET'; key: string; downloadName: string | null }

export const EXPIRED = 'url_expired'
export const MISMATCH = 'url_signature_mismatch'

/** The path and query of a URL that allows `grant` until `expiresAt` (Unix seconds): HMAC-SHA256 over all of it, no part can be changed. */
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

/**
 * What the URL allows at `now` (Unix ms), or why it allows nothing. HEAD is allowed where GET is.
 * The signature is judged before the expiry, in constant time, so nothing is learned from an answer without it.
 */
export function verifyUrl(
  method: 'PUT' | 'GET',
  key: string,
  query: URLSearchParams,
  secret: string,
  now: number,
): SignedUrl | typeof EXPIRED | typeof MISMATCH {
  const expiresAt = Number(query.get('expires'))
  const grant = readGrant(method, key, query)
  if (grant === null) return MISMATCH
  const given = Buffer.from(query.get('sig') ?? '', 'base64url')
  const expected = signatureOf(grant, expiresAt, secret)
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) return MISMATCH
  return now < expiresAt * 1000 ? grant : EXPIRED
}

function readGrant(method: 'PUT' | 'GET', key: string, query: URLSearchParams): SignedUrl | null {
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
  // JSON, so that no two grants read the same when their parts are joined.
  return createHmac('sha256', secret).update(JSON.stringify(parts)).digest()
}
