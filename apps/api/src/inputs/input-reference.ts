import { z } from 'zod'
import { IMAGE_BYTES_MAX } from './source-image.ts'

/** A file part of a form. Only the form reader makes one, so JSON can't pass for it. */
export class UploadedFile {
  readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }
}

/** The image another video of the same account was made from. */
export class KeptImage {
  readonly videoId: string

  constructor(videoId: string) {
    this.videoId = videoId
  }
}

/** The field of the form that may be a file, and whose value may be long. */
export const FILE_FIELD = 'input_reference'

/** Base64 writes three bytes as four characters; the rest is the data URL's head. */
export const DATA_URL_CHARS_MAX = Math.ceil(IMAGE_BYTES_MAX / 3) * 4 + 200

/** How a caller may name the image of a video: text is an https URL or a data URL, and so is `image_url`. */
export type InputReference = UploadedFile | KeptImage | string | { image_url: string }

/** The field `input_reference`. What the bytes are is judged when they are read (read-reference.ts). */
export const inputReferenceSchema = z
  .custom<InputReference>(
    isInputReference,
    'a PNG, JPEG or WebP file, its https URL, a base64 data URL of it, or {"image_url": a URL}',
  )
  .meta({
    description:
      'The image of mode i2v: PNG, JPEG or WebP, not animated, at most 10 MiB and 40 megapixels. In a form a file; else an https URL or a base64 data URL.',
    override: {
      anyOf: [
        { type: 'string', description: 'A file part of a form, an https URL, or data:image/png;base64,...' },
        {
          type: 'object',
          properties: { image_url: { type: 'string' } },
          required: ['image_url'],
          additionalProperties: false,
        },
      ],
    },
  })

function isInputReference(value: unknown): value is InputReference {
  if (typeof value === 'string') return value !== ''
  if (value instanceof UploadedFile || value instanceof KeptImage) return true
  if (typeof value !== 'object' || value === null) return false
  const entries = Object.entries(value)
  return (
    entries.length === 1 &&
    entries[0]?.[0] === 'image_url' &&
    typeof entries[0][1] === 'string' &&
    isInputReference(entries[0][1])
  )
}
