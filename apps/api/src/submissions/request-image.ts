import type { Context } from '../context.ts'
import { KeptImage } from '../inputs/input-reference.ts'
import { openReference } from '../inputs/open-reference.ts'
import type { SourceImage } from '../inputs/source-image.ts'
import { type AccountKey, requireModel } from '../keys/authenticate.ts'
import type { Video } from '../videos/video.ts'
import type { CreateRequest } from './create-request.ts'
import { generationOf } from './generation-of.ts'
import { offerTo } from './offer.ts'

const ANY_SHAPE = { width: 1, height: 1 }

/**
 * The image a request names, judged; null when it names none. Nothing is fetched or decoded for a request that is refused
 * whatever the image. Throws SluiceError.
 */
export async function openRequestImage(
  context: Context,
  key: AccountKey,
  request: CreateRequest,
): Promise<SourceImage | null> {
  if (request.input_reference === undefined) return null
  const { generation } = generationOf(request, offerTo(context, key), 0, ANY_SHAPE)
  requireModel(key, generation.model)
  return openReference(context, request.input_reference)
}

/** The fields by which another request is made from the same image as this video; none for a video of text alone. */
export function sameImage(source: Video): Pick<CreateRequest, 'input_reference' | 'i2v_condition'> {
  const { reference_sha256, i2v_condition } = source.request
  return reference_sha256 === undefined ? {} : { input_reference: new KeptImage(source.id), i2v_condition }
}
