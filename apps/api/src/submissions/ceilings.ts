import { formatMicros, parseMicros } from '@sluice/shared/money'
import { SluiceError } from '../errors.ts'
import type { Priced } from '../prices/price.ts'
import type { CreateRequest } from './create-request.ts'

/** The request's own ceiling that a video of this price would break, or null. */
export function exceededCeiling(
  request: Pick<CreateRequest, 'max_tokens' | 'max_cost'>,
  priced: Pick<Priced, 'tokens' | 'costMicros'>,
): 'max_tokens' | 'max_cost' | null {
  if (request.max_tokens !== undefined && priced.tokens > BigInt(request.max_tokens)) return 'max_tokens'
  const ceilingMicros = request.max_cost === undefined ? null : parseMicros(request.max_cost)
  return ceilingMicros !== null && priced.costMicros > ceilingMicros ? 'max_cost' : null
}

/** Throws SluiceError when the video would break a ceiling of its request. */
export function checkCeilings(
  request: Pick<CreateRequest, 'max_tokens' | 'max_cost'>,
  priced: Pick<Priced, 'tokens' | 'costMicros'>,
  currency: string,
): void {
  const remedy = 'Raise it, or ask for fewer frames, steps or pixels.'
  const exceeded = exceededCeiling(request, priced)
  if (exceeded === 'max_tokens') {
    throw new SluiceError(
      'max_tokens_too_small',
      `max_tokens is ${request.max_tokens}: this video generates ${priced.tokens} tokens. ${remedy}`,
      exceeded,
    )
  }
  if (exceeded === 'max_cost') {
    const cost = `${formatMicros(priced.costMicros)} ${currency}`
    throw new SluiceError(
      'max_cost_too_small',
      `max_cost is ${request.max_cost}: this video costs ${cost}. ${remedy}`,
      exceeded,
    )
  }
}
