import { createHash } from 'node:crypto'
import type { Submission } from './submission.ts'

/**
 * What makes two submissions the same request. Fields are parsed and in a fixed order, so that a repeat with
 * another multipart boundary or key order hashes the same; the input image counts as its SHA-256.
 */
export function hashRequest(
  { request, remixedFromVideoId, retriedFrom }: Submission,
  imageSha256: string | undefined,
): Buffer {
  const fields = Object.entries({
    ...request,
    input_reference: imageSha256,
    remixed_from_video_id: remixedFromVideoId,
    retried_from: retriedFrom?.id,
  })
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => [name, name === 'metadata' ? Object.entries(value as object).sort() : value])
    .sort(([a], [b]) => String(a).localeCompare(String(b)))
  return createHash('sha256').update(JSON.stringify(fields)).digest()
}
