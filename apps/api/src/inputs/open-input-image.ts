import type { Context } from '../context.ts'
import type { SluiceError } from '../errors.ts'
import { cutAtYields } from '../in-slices.ts'
import { LongText } from '../long-text.ts'
import { guardedFetch } from '../outgoing/guarded-fetch.ts'
import { inTurn } from '../places.ts'
import { sniffFormat } from './image-format.ts'
import {
  ImageOfVideo,
  type ImageText,
  INPUT_IMAGE_FIELD,
  type InputImage,
  UploadedFile,
} from './input-image.ts'
import { readInputImage } from './input-store.ts'
import {
  type Decode,
  IMAGE_BYTES_MAX,
  openFitted,
  openImage,
  refusal,
  type SourceImage,
  tooLarge,
} from './source-image.ts'

const FETCH_MS_MAX = 15_000
const REDIRECTS_MAX = 3
/** So much of a text says what it is; the head of a data URL is shorter. */
const START_CHARS = 128
/** The smallest image has more; a host name that looks the same has fewer. */
const BASE64_CHARS_MIN = 64

/**
 * Gets the input image that a request names, from wherever it is, and checks its head. Throws SluiceError
 * when it cannot be had, or is no image that is allowed.
 */
export async function openInputImage(
  context: Context,
  accountId: string,
  named: InputImage,
): Promise<SourceImage> {
  const { decodings, fetches } = context.places
  const decode: Decode = (work) => inTurn(decodings, accountId, work)
  if (named instanceof UploadedFile) return openImage(named.bytes, decode)
  if (named instanceof ImageOfVideo) return openFitted(await readInputImage(context, named.videoId), decode)
  const text = typeof named === 'string' || named instanceof LongText ? named : named.image_url
  const written = await writtenBytes(text)
  if (written !== null) return openImage(written, decode)
  return openImage(await inTurn(fetches, accountId, () => fetchImage(context, String(text))), decode)
}

/** The bytes that a text holds itself, as a data URL or as bare base64; null when it is a URL of an image. */
async function writtenBytes(text: ImageText): Promise<Buffer | null> {
  const start = text.slice(0, START_CHARS)
  if (/^data:/i.test(start)) return bytesOfDataUrl(text, start)
  if (/^https?:/i.test(start)) return null
  const bytes = text.length >= BASE64_CHARS_MIN ? await bytesOfBase64(text, 0) : null
  if (bytes !== null && sniffFormat(bytes) !== null) return bytes
  // A form's part without a file name arrives as text, and its bytes are lost.
  const isLost = typeof text === 'string' && text.includes('\ufffd')
  if (isLost || /^(.PNG|.{0,4}JFIF|.{0,4}Exif|RIFF)/s.test(start))
    throw refusal('an image in a form, but without a file name (filename="image.png")')
  return null
}

/** The bytes of `data:<type>;base64,<bytes>`. The type is ignored: the bytes say what they are. */
async function bytesOfDataUrl(url: ImageText, start: string): Promise<Buffer> {
  const [head] = /^data:[^,]{0,100};base64,/i.exec(start) ?? []
  if (head === undefined) throw notBase64()
  const announced = bytesOfChars(url.length - head.length - paddingOf(url, head.length))
  if (announced > IMAGE_BYTES_MAX) throw tooLarge(announced)
  const bytes = await bytesOfBase64(url, head.length)
  if (bytes === null) throw notBase64()
  return bytes
}

/** Base64 writes three bytes as four characters. */
const CHARS_OF_GROUP = 4
/** Characters that are decoded at once, in some tenths of a millisecond: whole groups. */
const PIECE_CHARS = 64 * 1024

/**
 * The bytes that base64 writes from `from` on, of any length; null when the text is something else. Each
 * piece is decoded first and judged then: the runtime's decoder is fast, and passes over what is no base64.
 */
async function bytesOfBase64(text: ImageText, from: number): Promise<Buffer | null> {
  const end = text.length - paddingOf(text, from)
  // A character alone at the end writes no byte: without this, one that is passed over would not be missed.
  if ((end - from) % CHARS_OF_GROUP === 1) return null
  return cutAtYields(decodeBase64(text, from, end))
}

function* decodeBase64(text: ImageText, from: number, end: number): Generator<undefined, Buffer | null> {
  const bytes = Buffer.allocUnsafeSlow(bytesOfChars(end - from))
  let written = 0
  for (let at = from; at < end; at += PIECE_CHARS) {
    const piece = text.slice(at, Math.min(at + PIECE_CHARS, end))
    // The decoder takes the other alphabet too.
    if (piece.includes('-') || piece.includes('_')) return null
    const decoded = bytes.write(piece, written, 'base64')
    if (decoded !== bytesOfChars(piece.length)) return null
    written += decoded
    yield
  }
  return bytes
}

/** How many characters at the end of base64 only fill its last group up. */
function paddingOf(text: ImageText, from: number): number {
  const last = text.slice(Math.max(from, text.length - 2), text.length)
  return /={0,2}$/.exec(last)?.[0].length ?? 0
}

/** The bytes that so many characters write, without padding. */
function bytesOfChars(chars: number): number {
  return Math.floor((chars * 3) / CHARS_OF_GROUP)
}

function notBase64(): SluiceError {
  return refusal('a data URL without base64')
}

async function fetchImage(context: Context, url: string): Promise<Buffer> {
  const answer = await guardedFetch(url, {
    field: INPUT_IMAGE_FIELD,
    rules: { allowHosts: context.config.webhookAllowHosts },
    method: 'GET',
    headers: { accept: 'image/png, image/jpeg, image/webp' },
    timeoutMs: FETCH_MS_MAX,
    bytesMax: IMAGE_BYTES_MAX,
    answer: 'read',
    redirectsMax: REDIRECTS_MAX,
  })
  if (answer.status !== 200) throw refusal(`a URL that answers HTTP ${answer.status}`)
  return answer.body
}
