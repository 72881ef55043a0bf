import { extname } from 'node:path'
import { StoreArgumentError } from './object-store.ts'

/** The content type of each extension; any other key is plain bytes. */
const BY_EXTENSION: Readonly<Record<string, string>> = {
  '.mp4': 'video/mp4',
  '.webp': 'image/webp',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.png': 'image/png',
  '.json': 'application/json',
  '.txt': 'text/plain',
  '.csv': 'text/csv',
}

/** The content type of an object, from its key alone. */
export function contentTypeOf(key: string): string {
  return BY_EXTENSION[extname(key)] ?? 'application/octet-stream'
}

/** Throws StoreArgumentError unless `contentType` is that of the key's extension: a store keeps no other. */
export function checkContentType(key: string, contentType: string): void {
  const allowed = contentTypeOf(key)
  if (contentType !== allowed)
    throw new StoreArgumentError(
      'contentType',
      contentType,
      `${allowed}, which the extension of ${key} stands for`,
    )
}
