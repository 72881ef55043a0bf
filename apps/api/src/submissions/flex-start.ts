import { isWithinMaximum, msUntilWithinMaximum } from '@sluice/gate/flex/flex-price'
import type { WaitsFor } from '@sluice/shared/public-video'
import { invalidValue, SluiceError } from '../errors.ts'
import type { FlexMarket } from '../prices/flex-market.ts'
import type { Priced } from '../prices/price.ts'
import { type CreateRequest, expiresSecondsOf, serviceTierOf } from './create-request.ts'

/** When a video may be dispatched. */
export interface Start {
  waitsFor: WaitsFor | null
  /** Milliseconds until its own time. */
  delayMs: number
  /** When time and price allow it, since the Unix epoch; null when nobody knows when its price comes. */
  atMs: number | null
}

const AT_ONCE: Start = { waitsFor: null, delayMs: 0, atMs: null }

/** Throws SluiceError `invalid_value` when the request has fields of flex in another tier. */
export function requireFlexFields(request: CreateRequest): void {
  if (serviceTierOf(request) === 'flex') return
  for (const field of ['max_price', 'not_before'] as const) {
    if (request[field] === undefined) continue
    throw invalidValue(
      field,
      request[field],
      `nothing with service_tier ${serviceTierOf(request)}: it goes with flex`,
    )
  }
}

/**
 * When a video may be dispatched that is submitted now. Throws SluiceError `invalid_value` when it would have
 * expired by then. `market`: null unless it is a flex video. Pure.
 */
export function startOf(request: CreateRequest, priced: Priced, market: FlexMarket | null): Start {
  if (market === null || serviceTierOf(request) !== 'flex') return AT_ONCE
  const expiresMs = expiresSecondsOf(request) * 1_000
  const { atMs } = market
  const delayMs = Math.max(0, (request.not_before ?? 0) * 1_000 - atMs)
  if (delayMs >= expiresMs) {
    const before = Math.floor((atMs + expiresMs) / 1_000)
    throw invalidValue(
      'not_before',
      request.not_before,
      `a time before ${before}, when the video expires (execution_expires_after)`,
    )
  }
  const max = priced.maxPriceMicros === null ? null : priced.multiplierBps
  const then = { atMs: atMs + delayMs, utilisation: market.utilisation }
  const untilPriceMs = msUntilWithinMaximum(market.schedule, max, then)
  if (untilPriceMs !== null && delayMs + untilPriceMs >= expiresMs) throw tooLate(request)
  const isPriceHigher = !isWithinMaximum(max, priced.multiplierBpsNow)
  const waitsFor = delayMs > 0 ? 'not_before' : isPriceHigher ? 'price' : null
  return { waitsFor, delayMs, atMs: untilPriceMs === null ? null : atMs + delayMs + untilPriceMs }
}

function tooLate({ max_price }: CreateRequest): SluiceError {
  return new SluiceError(
    'max_price_too_small',
    `max_price is ${max_price}: flex does not cost as little before the video expires (execution_expires_after). Raise either.`,
    'max_price',
  )
}
