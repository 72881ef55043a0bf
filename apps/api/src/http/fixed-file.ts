import { createHash } from 'node:crypto'
import type { RequestHandler } from 'express'

/**
 * Serves bytes that stay the same while the process runs, with an ETag: who has them already gets nothing
 * (304). `type` is a file extension.
 */
export function fixedFile(bytes: Buffer, type: string): RequestHandler {
  const etag = `"${createHash('sha256').update(bytes).digest('base64url')}"`
  return (request, response) => {
    response.set({ etag, 'cache-control': 'no-cache' })
    const known = (request.get('if-none-match') ?? '').split(',').map((tag) => tag.trim().replace(/^W\//, ''))
    if (known.includes(etag) || known.includes('*')) response.status(304).end()
    else response.type(type).send(bytes)
  }
}
