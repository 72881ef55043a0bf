import { z } from 'zod'
import { LongText } from '../long-text.ts'
import { IMAGE_BYTES_MAX } from './source-image.ts'

/** A file part of a form. Only the form reader makes one: nothing in a JSON body can pass for it. */
export class UploadedFile {
  readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }
}

/** The input image of another video of the same account. */
export class ImageOfVideo {
  readonly videoId: string

  constructor(videoId: string) {
    this.videoId = videoId
  }
}

/**
 * The API's field of the input image: the only one that may be a file in a form, and whose value may be long.
 */
export const INPUT_IMAGE_FIELD = 'input_reference'

/** Base64 writes three bytes as four characters; the rest is the data URL's head. */
export const DATA_URL_CHARS_MAX = Math.ceil(IMAGE_BYTES_MAX / 3) * 4 + 200

/** How a request names its input image: text is an https URL or a data URL, and so is `image_url`. */
export type InputImage = UploadedFile | ImageOfVideo | ImageText | { image_url: ImageText }

/** It is long when a JSON body is. */
export type ImageText = string | LongText

/** The field `input_reference`. What its bytes are is checked when they are read (open-input-image.ts). */
export const inputImageSchema = z
  .custom<InputImage>(
    isInputImage,
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

function isInputImage(value: unknown): value is InputImage {
  if (isImageText(value) || value instanceof UploadedFile || value instanceof ImageOfVideo) return true
  if (typeof value !== 'object' || value === null) return false
  const entries = Object.entries(value)
  return entries.length === 1 && entries[0]?.[0] === 'image_url' && isImageText(entries[0][1])
}

function isImageText(value: unknown): value is ImageText {
  return value instanceof LongText || (typeof value === 'string' && value !== '')
}
