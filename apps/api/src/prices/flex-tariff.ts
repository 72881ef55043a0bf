import { highestMultiplier, lowestMultiplier } from '@sluice/gate/flex/flex-price'
import { formatMicros } from '@sluice/shared/money'
import { SluiceError } from '../errors.ts'
import { type FlexMarket, multiplierNow } from './flex-market.ts'

/** No tier costs more than a hundred times the price of its class. */
export const MULTIPLIER_BPS_MAX = 1_000_000

/**
 * What a flex video is priced by: what is in force when it is dispatched, at most its maximum; without one,
 * at most the highest price that the schedule comes to. Throws SluiceError `max_price_too_small` when no
 * price of the schedule is within the maximum. Pure.
 */
export function flexTariff(
  market: FlexMarket,
  {
    priceMicrosPerMillion,
    maxPriceMicros,
    currency,
  }: { priceMicrosPerMillion: bigint; maxPriceMicros: bigint | null; currency: string },
) {
  const { schedule } = market
  const multiplierBpsNow = multiplierNow(market)
  const tariff = { priceMicrosPerMillion, multiplierBpsNow, maxPriceMicros }
  if (maxPriceMicros === null) return { ...tariff, multiplierBps: highestMultiplier(schedule) }
  const multiplierBps = multiplierWithin(maxPriceMicros, priceMicrosPerMillion)
  const lowestBps = lowestMultiplier(schedule)
  if (multiplierBps >= lowestBps) return { ...tariff, multiplierBps }
  const lowest = formatMicros(priceAt(priceMicrosPerMillion, lowestBps))
  throw new SluiceError(
    'max_price_too_small',
    `max_price is ${formatMicros(maxPriceMicros)}: flex costs at least ${lowest} ${currency} per million tokens here. Raise it, or leave it out.`,
    'max_price',
  )
}

/** The highest factor at which a million tokens cost no more than `maxPriceMicros`. */
function multiplierWithin(maxPriceMicros: bigint, priceMicros: bigint): number {
  if (priceMicros === 0n) return MULTIPLIER_BPS_MAX
  const bps = (maxPriceMicros * 10_000n) / priceMicros
  return bps > BigInt(MULTIPLIER_BPS_MAX) ? MULTIPLIER_BPS_MAX : Number(bps)
}

/** What a million tokens cost at a factor, rounded up to the micro-unit. */
export function priceAt(priceMicrosPerMillion: bigint, multiplierBps: number): bigint {
  return (priceMicrosPerMillion * BigInt(multiplierBps) + 9_999n) / 10_000n
}
