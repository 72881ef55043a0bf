/**
 * The URL under which this machine reaches a server that listens on `host`: a wildcard address becomes the
 * loopback address, an IPv6 address gets its brackets. No trailing slash.
 */
export function ownUrl(host: string, port: number): string {
  if (host === '0.0.0.0' || host === '::') return `http://127.0.0.1:${port}`
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`
}
