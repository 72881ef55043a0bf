import type { Context } from '../context.ts'
import { invalidValue } from '../errors.ts'
import { openInputImage } from '../inputs/open-input-image.ts'
import type { SourceImage } from '../inputs/source-image.ts'
import { type AccountKey, requireModel } from '../keys/authenticate.ts'
import { checkOutgoingUrl } from '../outgoing/guarded-fetch.ts'
import type { CreateRequest } from './create-request.ts'
import { requireFlexFields } from './flex-start.ts'
import {
  generationOf,
  offeredModels,
  type SizedGeneration,
  type UnsizedGeneration,
  withSize,
} from './generation-of.ts'
import { checkAskedTime } from './promised-time.ts'

/**
 * A request that is allowed, whatever it costs: what will be generated, and the input image it starts from.
 */
export interface JudgedRequest extends SizedGeneration {
  /** Null: the video is made from text alone. */
  image: SourceImage | null
}

/**
 * Checks everything of a request that does not depend on money or on what is queued. The input image comes
 * last: nothing is fetched or decoded for a request that is refused whatever the image. `beforeImage` may
 * refuse it too. Throws SluiceError.
 */
export async function judgeRequest(
  context: Context,
  key: AccountKey,
  request: CreateRequest,
  beforeImage: (unsized: UnsizedGeneration) => Promise<void> = async () => {},
): Promise<JudgedRequest> {
  if (request.refine_prompt === true && context.config.refiner === null) {
    throw invalidValue('refine_prompt', true, 'false, since this service has no refiner (SLUICE_REFINER_URL)')
  }
  requireFlexFields(request)
  if (request.webhook_url !== undefined) {
    await checkOutgoingUrl(request.webhook_url, 'webhook_url', {
      allowHosts: context.config.webhookAllowHosts,
    })
  }
  checkAskedTime(request, context.clock.now())
  const unsized = generationOf(request, offeredModels(context, key), context.randomSeed())
  requireModel(key, unsized.generation.model)
  await beforeImage(unsized)
  const { input_reference: named } = request
  const image = named === undefined ? null : await openInputImage(context, key.accountId, named)
  return { ...withSize(unsized, image), image }
}
