import { isIP } from 'node:net'
import { SluiceError, showGiven } from '../errors.ts'
import { isPublicAddress } from './public-address.ts'

/** What the operator allows for URLs that customers name. */
export interface OutgoingRules {
  /** Lower-case host names and addresses (IPv6 without brackets) that may be private and may be reached by plain http. */
  allowHosts: ReadonlySet<string>
  /** `address:port` of name servers to ask instead of the system's. */
  nameServers?: readonly string[]
}

/** Why a URL was refused, or what became of the request. */
export type OutgoingReason =
  | 'invalid_url'
  | 'forbidden_host'
  | 'unknown_host'
  | 'resolver_failed'
  | 'timeout'
  | 'too_large'
  | 'too_many_redirects'
  | 'connection_failed'

/** A URL a customer named can't be used: names the field, what was given, and what is allowed. */
export class OutgoingError extends SluiceError {
  readonly reason: OutgoingReason

  constructor(field: string, reason: OutgoingReason, message: string) {
    super('invalid_value', message, field)
    this.reason = reason
  }
}

export const URL_CHARS_MAX = 2_048
/** What the URL parser would take in silence: control characters and spaces; and lone surrogates, which nothing can store. */
const UNWRITTEN = /[\p{Cc}\p{Z}\p{Cs}]/u
const ALLOWED = 'an https URL of a public host, without user name and password'

/** A URL as it will be asked for, and its host as rules name hosts. */
export interface OutgoingUrl {
  url: URL
  /** Lower case, without brackets and trailing dots. */
  host: string
  isAllowed: boolean
}

/**
 * Judges what a URL says of itself; what its name resolves to is judged by resolveHost. Throws OutgoingError. The URL
 * parser has turned decimal, octal, hexadecimal and shortened IPv4 addresses into dotted ones by then.
 */
export function parseOutgoingUrl(text: string, field: string, rules: OutgoingRules): OutgoingUrl {
  const url =
    text.length <= URL_CHARS_MAX && !UNWRITTEN.test(text) && URL.canParse(text) ? new URL(text) : null
  if (url === null || !['http:', 'https:'].includes(url.protocol)) throw refusal(field, 'invalid_url', text)
  // "localhost." and "localhost" are one host.
  const stripped = url.hostname.replace(/\.+$/, '')
  if (stripped === '') throw refusal(field, 'invalid_url', text)
  url.hostname = stripped
  url.hash = ''
  // A URL with a password in it is never repeated, not even to whoever sent it.
  if (url.username !== '' || url.password !== '')
    throw refusal(field, 'invalid_url', `${url.protocol}//...@${url.host}`)
  const host = hostOf(url)
  const isAllowed = rules.allowHosts.has(host)
  if (!isAllowed && url.protocol !== 'https:') throw refusal(field, 'invalid_url', text)
  if (!isAllowed && !mayBePublic(host)) throw forbidden(field, text)
  return { url, host, isAllowed }
}

/** The host of a URL as rules name it: IPv6 without brackets. */
export function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '')
}

/** The one answer for every address that is not public: it never says what lies behind a name. */
export function forbidden(field: string, text: string): OutgoingError {
  return refusal(field, 'forbidden_host', text)
}

function mayBePublic(host: string): boolean {
  if (isIP(host) !== 0) return isPublicAddress(host)
  return host !== 'localhost' && !host.endsWith('.localhost')
}

function refusal(field: string, reason: OutgoingReason, given: string): OutgoingError {
  return new OutgoingError(field, reason, `${field} is ${showGiven(given)}: allowed is ${ALLOWED}.`)
}
