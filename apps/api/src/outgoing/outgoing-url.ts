import { isIP } from 'node:net'
import { SluiceError, showGiven } from '../errors.ts'
import { isPublicAddress } from './public-address.ts'

/** What the operator allows for URLs that customers give. */
export interface OutgoingRules {
  /** Lower-case host names and addresses (IPv6 unbracketed) that may be private and reached by plain http. */
  allowHosts: ReadonlySet<string>
  /** Name servers (`address:port`) to use instead of the system's. */
  nameServers?: readonly string[]
}

/** Why a URL was refused, or how the request failed. */
export type OutgoingReason =
  | 'invalid_url'
  | 'forbidden_host'
  | 'unknown_host'
  | 'resolver_failed'
  | 'timeout'
  | 'too_large'
  | 'too_many_redirects'
  | 'connection_failed'

/** A customer's URL cannot be used. The message names the field, what was given and what is allowed. */
export class OutgoingError extends SluiceError {
  readonly reason: OutgoingReason

  constructor(field: string, reason: OutgoingReason, message: string) {
    super('invalid_value', message, field)
    this.reason = reason
  }
}

export const URL_CHARS_MAX = 2_048
/** Control characters and spaces, which the URL parser drops; lone surrogates, which cannot be stored. */
const UNWRITTEN = /[\p{Cc}\p{Z}\p{Cs}]/u
const ALLOWED = 'an https URL of a public host, without user name and password'

/** A URL as it will be requested, and its host as OutgoingRules write hosts. */
export interface OutgoingUrl {
  url: URL
  /** Lower case, without brackets and trailing dots. */
  host: string
  isAllowed: boolean
}

/**
 * Checks the URL itself; resolveHost checks what its host name resolves to. The URL parser has already turned
 * decimal, octal, hexadecimal and shortened IPv4 addresses into dotted ones. Throws OutgoingError.
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
  // The error does not show a URL that contains a password, not even to its sender.
  if (url.username !== '' || url.password !== '')
    throw refusal(field, 'invalid_url', `${url.protocol}//...@${url.host}`)
  const host = hostOf(url)
  const isAllowed = rules.allowHosts.has(host)
  if (!isAllowed && url.protocol !== 'https:') throw refusal(field, 'invalid_url', text, BY_OPERATOR)
  if (!isAllowed && !mayBePublic(host)) throw forbidden(field, text)
  return { url, host, isAllowed }
}

/** The host of a URL as OutgoingRules write it: IPv6 without brackets. */
function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '')
}

/** The same error for every address that is not public: it does not reveal what a name resolves to. */
export function forbidden(field: string, text: string): OutgoingError {
  return refusal(field, 'forbidden_host', text, BY_OPERATOR)
}

function mayBePublic(host: string): boolean {
  if (isIP(host) !== 0) return isPublicAddress(host)
  return host !== 'localhost' && !host.endsWith('.localhost')
}

const BY_OPERATOR = ' The operator can allow other hosts, with SLUICE_WEBHOOK_ALLOW_HOSTS.'

function refusal(field: string, reason: OutgoingReason, given: string, remedy = ''): OutgoingError {
  return new OutgoingError(field, reason, `${field} is ${showGiven(given)}: allowed is ${ALLOWED}.${remedy}`)
}
