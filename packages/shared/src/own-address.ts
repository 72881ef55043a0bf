import { networkInterfaces } from 'node:os'

const WILDCARDS = ['0.0.0.0', '::']

/**
 * The host that a URL writes for `text`: a host name or an address in any form (`::1`, `[::1]`, `127.1`),
 * lower case, IPv6 without brackets. Null when it is no host: it has a scheme, a port, a path or a zone.
 */
export function hostIn(text: string): string | null {
  if (/[/@?#\\\s%]|^\[.*[^\]]$/.test(text)) return null
  const url = `http://${text.includes(':') && !text.startsWith('[') ? `[${text}]` : text}`
  if (!URL.canParse(url)) return null
  const { hostname, port } = new URL(url)
  return port !== '' || hostname === '' ? null : hostname.replace(/^\[(.*)\]$/, '$1').replace(/\.$/, '')
}

/** True for an address to listen on that no client can ask for: every address of the machine. */
export function isWildcard(host: string): boolean {
  return WILDCARDS.includes(host)
}

/** True when only this machine reaches a server that listens on `host`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^(::ffff:7f|127\.)/.test(host)
}

/**
 * The URL under which this machine reaches a server that listens on `host`: a wildcard address becomes the
 * loopback address, an IPv6 address gets its brackets. No trailing slash.
 */
export function ownUrl(host: string, port: number): string {
  if (isWildcard(host)) return `http://127.0.0.1:${port}`
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}

/**
 * The URLs under which other machines reach a server that listens on `host`. For a wildcard address they are
 * those of the machine's network interfaces; none for a loopback address.
 */
export function urlsFromElsewhere(host: string, port: number): string[] {
  if (isLoopback(host)) return []
  if (!isWildcard(host)) return [ownUrl(host, port)]
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, scopeid }) => !internal && (scopeid ?? 0) === 0)
    .filter(({ family }) => host === '::' || family === 'IPv4')
    .map(({ address }) => ownUrl(address, port))
}
