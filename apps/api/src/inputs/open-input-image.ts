import type { Context } from '../context.ts'
import type { SluiceError } from '../errors.ts'
import { letOthers } from '../in-slices.ts'
import { guardedFetch } from '../outgoing/guarded-fetch.ts'
import { inTurn } from '../places.ts'
import { sniffFormat } from './image-format.ts'
import { ImageOfVideo, INPUT_IMAGE_FIELD, type InputImage, UploadedFile } from './input-image.ts'
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
/** Text of this length is decoded in about a tenth of a millisecond. */
const LONG_CHARS = 1024 * 1024
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
  const text = typeof named === 'string' ? named : named.image_url
  const written = await writtenBytes(text)
  if (written !== null) return openImage(written, decode)
  return openImage(await inTurn(fetches, accountId, () => fetchImage(context, text)), decode)
}

/** The bytes that a text holds itself, as a data URL or as bare base64; null when it is a URL of an image. */
async function writtenBytes(text: string): Promise<Buffer | null> {
  if (/^data:/i.test(text)) return bytesOfDataUrl(text)
  if (/^https?:/i.test(text)) return null
  const bytes = text.length >= BASE64_CHARS_MIN ? await bytesOfBase64(text) : null
  if (bytes !== null && sniffFormat(bytes) !== null) return bytes
  // A form's part without a file name arrives as text, and its bytes are lost.
  if (/^(.PNG|.{0,4}JFIF|.{0,4}Exif|RIFF)/s.test(text) || text.includes('\ufffd'))
    throw refusal('an image in a form, but without a file name (filename="image.png")')
  return null
}

/** The bytes of `data:<type>;base64,<bytes>`. The type is ignored: the bytes say what they are. */
async function bytesOfDataUrl(url: string): Promise<Buffer> {
  const comma = url.indexOf(',')
  const base64 = url.slice(comma + 1)
  if (comma === -1 || !/^data:[^,]{0,100};base64$/i.test(url.slice(0, comma))) throw notBase64()
  const announced = Buffer.byteLength(base64, 'base64')
  if (announced > IMAGE_BYTES_MAX) throw tooLarge(announced)
  const bytes = await bytesOfBase64(base64)
  if (bytes === null) throw notBase64()
  return bytes
}

/** Base64 writes three bytes as four characters. */
const CHARS_OF_GROUP = 4

/**
 * The bytes that base64 writes, of any length; null when the text is something else. Decoded first and judged
 * then: the runtime's decoder takes a millisecond for ten megabytes, and passes over what is no base64.
 */
async function bytesOfBase64(text: string): Promise<Buffer | null> {
  // It has just been taken out of its JSON.
  if (text.length > LONG_CHARS) await letOthers()
  if (text.includes('-') || text.includes('_')) return null
  if (text.length > LONG_CHARS) await letOthers()
  const bytes = Buffer.from(text, 'base64')
  const chars = text.length - (/={0,2}$/.exec(text.slice(-2))?.[0].length ?? 0)
  // A character alone at the end writes no byte: without this, one that is passed over would not be missed.
  const isCut = chars % CHARS_OF_GROUP === 1
  return !isCut && bytes.length === Math.floor((chars * 3) / CHARS_OF_GROUP) ? bytes : null
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
