import type { Context } from '../context.ts'
import { guardedFetch } from '../outgoing/guarded-fetch.ts'
import { FILE_FIELD, type InputReference, KeptImage, UploadedFile } from './input-reference.ts'
import { readInput } from './input-store.ts'
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

/** Gets the image a request names, from wherever it is, and judges it. Throws SluiceError. */
export async function openReference(context: Context, reference: InputReference): Promise<SourceImage> {
  if (reference instanceof UploadedFile) return openImage(reference.bytes)
  if (reference instanceof KeptImage) return openFitted(await readInput(context, reference.videoId))
  const url = typeof reference === 'string' ? reference : reference.image_url
  return openImage(/^data:/i.test(url) ? bytesOfDataUrl(url) : await fetchImage(context, url))
}

/** The bytes of `data:<type>;base64,<bytes>`. The type is not believed: the bytes say what they are. */
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
    field: FILE_FIELD,
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
