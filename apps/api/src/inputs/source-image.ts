import { createHash } from 'node:crypto'
import sharp, { type Metadata } from 'sharp'
import { SluiceError } from '../errors.ts'
import { cutAtYields } from '../in-slices.ts'
import { type ImageFormat, sniffFormat } from './image-format.ts'
import { hasTooManyScans, SCANS_MAX } from './jpeg-scans.ts'
import { chunksToDecode } from './png-chunks.ts'

/** Bytes of the largest input image that is accepted. */
export const IMAGE_BYTES_MAX = 10 * 1024 * 1024
const PIXELS_MAX = 40_000_000
/** Fitted to a video, a longer image would be cropped to almost nothing. */
const LONGER_SIDE_TIMES_MAX = 20
const DECODE_SECONDS_MAX = 20

/** Runs the decoding of one image in its turn. */
export type Decode = <T>(work: () => Promise<T>) => Promise<T>

const ALLOWED = 'a PNG, JPEG or WebP image, not animated, of at most 10 MiB and 40 megapixels'

interface Size {
  width: number
  height: number
}

/** An image of exactly a video's size, as the runner gets it. */
export interface FittedImage {
  png: Buffer
  /** Of `png`, in hex. */
  sha256: string
}

/** An image whose head has been checked; its pixels are read when it is fitted. */
export interface SourceImage extends Size {
  /**
   * The image turned upright, covering `size` (what sticks out is cropped evenly), in sRGB without
   * transparency and metadata, as a PNG that is the same bytes each time. Throws SluiceError when the pixels
   * can't be read.
   */
  fit(size: Size): Promise<FittedImage>
}

/**
 * Checks an image without reading its pixels. Throws SluiceError: another format, animated, too large, too
 * long, or broken.
 */
export async function openImage(bytes: Buffer, decode: Decode): Promise<SourceImage> {
  if (bytes.length > IMAGE_BYTES_MAX) throw tooLarge(bytes.length)
  const format = sniffFormat(bytes)
  if (format === null) throw refusal('of another type')
  const bounded = await boundedWork(bytes, format)
  const { pages, autoOrient, ...head } = await readHead(bounded)
  if (head.format !== format) throw refusal('of another type')
  if ((pages ?? 1) > 1) throw refusal('animated')
  const { width, height } = autoOrient
  if (width * height > PIXELS_MAX) throw refusal(`${width}x${height} pixels`)
  if (Math.max(width, height) > Math.min(width, height) * LONGER_SIDE_TIMES_MAX) {
    const allowed = `a longer side of at most ${LONGER_SIDE_TIMES_MAX} times the shorter`
    throw invalidInputImage(`${width}x${height} pixels`, allowed)
  }
  return { width, height, fit: (size) => decode(() => fit(bounded, size)) }
}

/**
 * The image without what would cost a decoder more than its pixels do: its time limit is looked at between
 * rows of pixels only, and a thread of the runtime, which has four, is taken until then. Throws SluiceError.
 */
async function boundedWork(bytes: Buffer, format: ImageFormat): Promise<Buffer> {
  if (format === 'jpeg' && (await cutAtYields(hasTooManyScans(bytes))))
    throw refusal(`a JPEG of more than ${SCANS_MAX} scans`)
  if (format !== 'png') return bytes
  const chunks = chunksToDecode(bytes)
  if (chunks === null) throw refusal('a PNG in too many chunks')
  if (chunks.isAnimated) throw refusal('animated')
  return chunks.bytes
}

/**
 * Opens an image that was fitted before: for a video of its own size it is used as it is. Throws SluiceError.
 */
export async function openFitted(png: Buffer, decode: Decode): Promise<SourceImage> {
  const source = await openImage(png, decode)
  const fitted = { png, sha256: sha256Of(png) }
  return {
    ...source,
    fit: async (size) =>
      size.width === source.width && size.height === source.height ? fitted : source.fit(size),
  }
}

async function readHead(bytes: Buffer): Promise<Metadata> {
  try {
    return await sharp(bytes, { limitInputPixels: false }).metadata()
  } catch {
    throw refusal('damaged')
  }
}

async function fit(bytes: Buffer, { width, height }: Size): Promise<FittedImage> {
  try {
    const png = await sharp(bytes, { limitInputPixels: PIXELS_MAX, failOn: 'error', autoOrient: true })
      .timeout({ seconds: DECODE_SECONDS_MAX })
      .resize(width, height, { fit: 'cover' })
      .flatten({ background: '#000000' })
      .toColourspace('srgb')
      .png({ compressionLevel: 6 })
      .toBuffer()
    return { png, sha256: sha256Of(png) }
  } catch {
    throw refusal('damaged')
  }
}

function sha256Of(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** "input_reference is damaged: allowed is a PNG, ..." */
export function refusal(what: string): SluiceError {
  return invalidInputImage(what, ALLOWED)
}

function invalidInputImage(what: string, allowed: string): SluiceError {
  return new SluiceError(
    'invalid_value',
    `input_reference is ${what}: allowed is ${allowed}.`,
    'input_reference',
  )
}

/** The error for an image of `bytes` bytes; null when they were not counted to their end. */
export function tooLarge(bytes: number | null): SluiceError {
  const given = bytes === null ? `more than ${IMAGE_BYTES_MAX}` : bytes
  return new SluiceError(
    'body_too_large',
    `input_reference holds ${given} bytes: allowed is ${ALLOWED}.`,
    'input_reference',
  )
}
