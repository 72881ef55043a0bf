import type { Clock } from '@sluice/shared/clock'
import { NO_FACTS, sumFacts } from '@sluice/shared/economics/facts'
import { type Figures, figuresOf } from '@sluice/shared/economics/figures'
import { formatMicros } from '@sluice/shared/money'
import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import { SnapshotCache } from '@sluice/shared/snapshot-cache'
import type { Logger } from 'pino'
import type { Config } from '../config/config.ts'
import type { Database, DatabasePool } from '../db/database.ts'
import { multiplierNow, readFlexMarket } from '../prices/flex-market.ts'
import { priceAt } from '../prices/flex-tariff.ts'
import { type PricesInForce, readPricesInForce } from '../prices/price-store.ts'
import { type PoolNow, readFleetNow } from '../workers/read-fleet-now.ts'
import { classCosts, type MeasuredPace } from './class-costs.ts'
import { readPoolDays } from './pool-days.ts'
import { type PricedClass, type PriceWarning, priceWarnings } from './price-warnings.ts'

/** A pool as it is now, what it made and cost in the last day, and what it makes of each model and class. */
export interface LivePool extends PoolNow {
  /** Of the last 24 whole hours (UTC) and the one that has begun. */
  lastDay: Figures
  classes: PricedClass[]
}

/** The pools now, and which of them are sold below their cost. */
export interface LivePools {
  pools: LivePool[]
  warnings: PriceWarning[]
}

type LiveSettings = Pick<Config, 'catalogue' | 'currency' | 'tierMultiplierBps' | 'timings'>

const HOUR_MS = 3_600_000
const DAY_HOURS = 24
/** However often it is asked for. */
const KEPT_MS_MIN = 1_000
const KEPT_MS_MAX = 60_000

/**
 * Reads the pools at most once a second, for everybody who shows them, so that all show the same. Logs a
 * pool or price that is newly below cost.
 */
export class LivePoolReader {
  readonly #db: DatabasePool
  readonly #config: LiveSettings
  readonly #log: Logger
  readonly #clock: Clock
  readonly #cache = new SnapshotCache<LivePools>({ keptMsMin: KEPT_MS_MIN, keptMsMax: KEPT_MS_MAX })
  #warnings: readonly PriceWarning[] = []

  constructor(db: DatabasePool, config: LiveSettings, parts: { log: Logger; clock: Clock }) {
    this.#db = db
    this.#config = config
    this.#log = parts.log
    this.#clock = parts.clock
  }

  /** As read within the last second, or now. Throws when the database is away. */
  read(): Promise<LivePools> {
    return this.#cache.get(() => this.#readNow())
  }

  /** As they are now. Throws when the database is away. */
  readAnew(): Promise<LivePools> {
    return this.#cache.readAnew(() => this.#readNow())
  }

  /** What the newest reading found. Reads nothing, so that whoever is asked often costs nothing. */
  get latestWarnings(): readonly PriceWarning[] {
    return this.#warnings
  }

  /** Reads now and then, though nobody asks, until the function that it returns is called. */
  watch(everyMs: number, onError: (error: Error) => void): () => void {
    const timer = setInterval(() => {
      this.read().catch(onError)
    }, everyMs)
    timer.unref()
    return () => clearInterval(timer)
  }

  async #readNow(): Promise<LivePools> {
    const { catalogue, currency, tierMultiplierBps, timings } = this.#config
    const from = new Date((Math.floor(this.#clock.now() / HOUR_MS) - DAY_HOURS) * HOUR_MS)
    const fleet = await readFleetNow(this.#db, timings.leaseMs)
    const days = await readPoolDays(this.#db, { from, to: null }, ['pool'])
    const paces = await readPaces(this.#db)
    const prices = await readPricesInForce(this.#db, currency)
    const flex = multiplierNow(await readFlexMarket(this.#db, tierMultiplierBps.flex))
    const multipliers = { ...tierMultiplierBps, flex }
    const pools = fleet.map((pool): LivePool => {
      const facts = days.find((day) => day.pool === pool.pool)?.facts
      const classes = classCosts(pool, paces.get(pool.pool) ?? [], catalogue).map((one) => ({
        ...one,
        priceMicrosPerMillion: pricesOf(one, prices, multipliers),
      }))
      return { ...pool, lastDay: figuresOf(facts === undefined ? NO_FACTS : sumFacts([facts])), classes }
    })
    const warnings = priceWarnings(pools, currency)
    this.#note(warnings)
    return { pools, warnings }
  }

  /** Those that were not there before are logged: their figures change with every reading. */
  #note(warnings: readonly PriceWarning[]): void {
    const known = new Set(this.#warnings.map(nameOf))
    for (const warning of warnings.filter((found) => !known.has(nameOf(found)))) {
      const { pool, sold, problem } = warning
      const price = formatMicros(warning.priceMicrosPerMillion)
      const cost = formatMicros(warning.costMicrosPerMillion)
      this.#log.warn({ pool, ...sold, price, cost }, `price below cost: ${problem}`)
    }
    this.#warnings = warnings
  }
}

function nameOf({ pool, sold }: PriceWarning): string {
  return `${pool} ${sold === null ? '' : `${sold.model} ${sold.resolution} ${sold.tier}`}`
}

function pricesOf(
  { model, resolution }: { model: string; resolution: string },
  prices: PricesInForce,
  multiplierBps: Record<ServiceTier, number>,
): Record<ServiceTier, bigint | null> {
  const price = prices.of(model, resolution)
  const of = (tier: ServiceTier) => (price === null ? null : priceAt(price, multiplierBps[tier]))
  return Object.fromEntries(SERVICE_TIERS.map((tier) => [tier, of(tier)])) as Record<
    ServiceTier,
    bigint | null
  >
}

/** What was measured, by pool. */
async function readPaces(db: Database): Promise<ReadonlyMap<string, MeasuredPace[]>> {
  const { rows } = await db.query<MeasuredPace>({
    name: 'live-paces',
    text: `select pool, capability, width, height, num_frames, step_ms, overhead_ms, samples
      from pace
      order by pool, capability, width, height, num_frames`,
  })
  return Map.groupBy(rows, ({ pool }) => pool)
}
