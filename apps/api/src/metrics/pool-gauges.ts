import { SERVICE_TIERS } from '@sluice/shared/service-tier'
import { Gauge, type Registry } from 'prom-client'
import type { LivePool, LivePools } from '../economics/live-pools.ts'
import type { PricedClass } from '../economics/price-warnings.ts'

const inUnits = (micros: bigint) => Number(micros) / 1_000_000

function createGauges(registry: Registry) {
  const gauge = <Label extends string>(name: string, help: string, labelNames: Label[]) =>
    new Gauge({ name, help, labelNames, registers: [registry] })
  return {
    poolUtilisation: gauge(
      'sluice_pool_utilisation_ratio',
      'Busy of available GPU time of the pools now, in the last 24 hours.',
      ['pool'],
    ),
    poolMargin: gauge(
      'sluice_pool_margin_ratio',
      '(revenue - cost) / revenue of the pools now, in the last 24 hours.',
      ['pool'],
    ),
    poolCost: gauge(
      'sluice_pool_cost_per_million',
      'What a million charged tokens cost in the last 24 hours, in units of the currency.',
      ['pool', 'currency'],
    ),
    poolRevenue: gauge(
      'sluice_pool_revenue_per_million',
      'What a million charged tokens brought in the last 24 hours, in units of the currency.',
      ['pool', 'currency'],
    ),
    classPace: gauge(
      'sluice_slot_tokens_per_second',
      'Tokens that a busy slot makes, by the pace measured there.',
      ['pool', 'model', 'resolution'],
    ),
    classCost: gauge(
      'sluice_cost_per_million',
      'What a million tokens cost there while the slot is busy, in units of the currency.',
      ['pool', 'model', 'resolution', 'currency'],
    ),
    price: gauge(
      'sluice_price_per_million',
      'What a million tokens are sold at, of classes that a pool makes, in units of the currency.',
      ['model', 'resolution', 'tier', 'currency'],
    ),
    priceBelowCost: gauge(
      'sluice_price_below_cost',
      '1 for a price that is below what the pool costs; without a model: what the pool earned in 24 hours.',
      ['pool', 'model', 'resolution', 'tier'],
    ),
  }
}

/** What the pools make, cost and earn, as metrics. What is not known has no line, rather than 0. */
export class PoolGauges {
  readonly #currency: string
  readonly #gauges: ReturnType<typeof createGauges>

  constructor(registry: Registry, currency: string) {
    this.#currency = currency
    this.#gauges = createGauges(registry)
  }

  publish({ pools, warnings }: LivePools): void {
    for (const gauge of Object.values(this.#gauges)) gauge.reset()
    for (const pool of pools) {
      this.#publishDay(pool)
      for (const one of pool.classes) this.#publishClass(pool, one)
    }
    for (const { pool, sold } of warnings)
      this.#gauges.priceBelowCost.set({ pool, ...(sold ?? { model: '', resolution: '', tier: '' }) }, 1)
  }

  #publishDay({ pool, lastDay }: LivePool): void {
    const currency = this.#currency
    const { poolUtilisation, poolMargin, poolCost, poolRevenue } = this.#gauges
    const { utilisation, margin, costMicrosPerMillion: cost, revenueMicrosPerMillion: revenue } = lastDay
    if (utilisation !== null) poolUtilisation.set({ pool }, utilisation)
    if (margin !== null) poolMargin.set({ pool }, margin)
    if (cost !== null) poolCost.set({ pool, currency }, inUnits(cost))
    if (revenue !== null) poolRevenue.set({ pool, currency }, inUnits(revenue))
  }

  #publishClass({ pool }: LivePool, one: PricedClass): void {
    const currency = this.#currency
    const { classPace, classCost, price } = this.#gauges
    const { model, resolution, tokensPerSecond, costMicrosPerMillion: cost, priceMicrosPerMillion } = one
    if (tokensPerSecond !== null) classPace.set({ pool, model, resolution }, tokensPerSecond)
    if (cost !== null) classCost.set({ pool, model, resolution, currency }, inUnits(cost))
    for (const tier of SERVICE_TIERS) {
      const micros = priceMicrosPerMillion[tier]
      if (micros !== null) price.set({ model, resolution, tier, currency }, inUnits(micros))
    }
  }
}
