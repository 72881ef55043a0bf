import type { Context } from '../context.ts'
import { guardedFetch } from '../outgoing/guarded-fetch.ts'
import { ImageOfVideo, INPUT_IMAGE_FIELD, type InputImage, UploadedFile } from './input-image.ts'
import { readInputImage } from './input-store.ts'
import {
  IMAGE_BYTES_MAX,
  openFitted,
  openImage,
  refusal,
  type SourceImage,
  tooLarge,
} from './source-image.ts'

const FETCH_MS_MAX = 15_000
const REDIRECTS_MAX = 3

/**
 * Gets the input image that a request names, from wherever it is, and checks its head. Throws SluiceError
 * when it cannot be had, or is no image that is allowed.
 */
export async function openInputImage(context: Context, named: InputImage): Promise<SourceImage> {
  if (named instanceof UploadedFile) return openImage(named.bytes)
  if (named instanceof ImageOfVideo) return openFitted(await readInputImage(context, named.videoId))
  const url = typeof named === 'string' ? named : named.image_url
  return openImage(/^data:/i.test(url) ? bytesOfDataUrl(url) : await fetchImage(context, url))
}

/** The bytes of `data:<type>;base64,<bytes>`. The type is ignored: the bytes say what they are. */
function bytesOfDataUrl(url: string): Buffer {
  const comma = url.indexOf(',')
  const base64 = url.slice(comma + 1)
  if (
    comma === -1 ||
    !/^data:[^,]{0,100};base64$/i.test(url.slice(0, comma)) ||
    !/^[A-Za-z0-9+/]*={0,2}$/.test(base64)
  ) {
    throw refusal('a data URL without base64')
  }
  const bytes = Buffer.byteLength(base64, 'base64')
  if (bytes > IMAGE_BYTES_MAX) throw tooLarge(bytes)
  return Buffer.from(base64, 'base64')
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
