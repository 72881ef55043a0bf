import { request } from 'node:http'
import type { Answer } from './start-api.ts'

/**
 * Sends a request exactly as given, also what fetch would correct or refuse, such as an odd path or no
 * Content-Type.
 */
export function rawRequest(
  url: string,
  options: { method: string; path: string; headers?: Record<string, string>; body?: string | Uint8Array },
): Promise<Answer> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const { body } = options
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    const sent = request(
      {
        hostname,
        port,
        method: options.method,
        path: options.path,
        headers: { ...length, ...options.headers },
        agent: false,
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8')
          const headers = new Headers(
            Object.entries(response.headers).map(([name, value]) => [name, String(value)]),
          )
          resolve({ status: response.statusCode ?? 0, headers, body: text === '' ? null : JSON.parse(text) })
        })
      },
    )
    sent.on('error', reject)
    sent.end(body)
  })
}

/** A multipart body with its parts in the given order, names and values unescaped. */
export function multipart(
  parts: readonly (readonly [name: string, value: string])[],
  boundary = 'boundary0',
): string {
  const written = parts.map(
    ([name, value]) => `--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`,
  )
  return `${written.join('')}--${boundary}--\r\n`
}
