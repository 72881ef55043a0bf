import { type Facts, NO_FACTS, sumFacts } from '@sluice/shared/economics/facts'
import { type Figures, figuresOf } from '@sluice/shared/economics/figures'
import { divideRounded } from '@sluice/shared/economics/money-rates'
import { type Arrivals, arrivalsOf } from './arrivals.ts'
import { findCapacity, isOverloaded, keepsBound } from './capacity.ts'
import { type Load, likelySlots, loadOf } from './load.ts'
import { classKey, type Made, madeBy, sumMade } from './made.ts'
import { gpusOf, type Plan, type PlannedPool, type PlannedPrice } from './plan.ts'
import { kindsOf, type PoolTimes, type Simulated, simulatePlan, simulateUnless } from './simulate.ts'
import { AT_ONCE, type WaitBound } from './wait-bound.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const BPS = 10_000n
const MILLION = 1_000_000n

/** What comes of a plan: on its own pools, and on as many GPUs as two ways to serve its demand need. */
export interface PlanReport {
  plan: Plan
  seed: number
  arrivals: Pick<Arrivals, 'spanMs' | 'firstHour'>
  load: Load
  /** Whether it was looked for how many GPUs are needed. */
  isSearched: boolean
  asPlanned: Scenario
  /** As few GPUs as keep the wait bounds of the plan; null = no number of them does. */
  fromQueue: Scenario | null
  /** As few GPUs as let nobody wait. */
  atOnce: Scenario | null
}

/** What came of a demand on some pools. Money and tokens are those of a day. */
export interface Scenario {
  simulated: Simulated
  gpus: number
  /** The demand of a day takes longer than a day. */
  isOverloaded: boolean
  figures: Figures
  /** Charged tokens a second, around the clock. */
  tokensPerSecond: number
  /** Charged tokens for a unit of the currency; null where the cost is not known, or nothing. */
  tokensPerUnit: bigint | null
  pools: { pool: PlannedPool; figures: Figures }[]
  prices: PriceNeeded[]
}

/** What a million tokens of a class cost, where each class bears the device time that it takes. */
interface PriceNeeded extends PlannedPrice {
  tokens: bigint
  /** Of the tier standard, at which the class earns what it costs; null where the cost is not known. */
  breakEvenMicros: bigint | null
}

export interface Asked {
  seed: number
  days?: number | undefined
  /** False: only what comes of the plan's own pools. */
  isSearched?: boolean
  /** Told what is simulated, since that may take a while. */
  notice?: (line: string) => void
}

/** What comes of the plan. */
export function reportOf(
  plan: Plan,
  { seed, days, isSearched = true, notice = () => {} }: Asked,
): PlanReport {
  const kinds = kindsOf(plan)
  const arrivals = arrivalsOf(plan, kinds, { seed, days })
  const load = loadOf(arrivals, plan.pools)
  const say = (pools: readonly PlannedPool[]) =>
    notice(`simulating ${load.videos} videos on ${gpusOf(pools)} GPUs`)
  const needed = (bound: WaitBound) => {
    const expected = {
      fewest: Math.ceil(load.meanSlots * 0.99),
      likely: likelySlots(load, bound),
      // Of more, no account could occupy all that it would ask for.
      most: Math.ceil((load.peakSlots * 100) / plan.accountSharePercent) + 2 * plan.pools.length,
    }
    const found = findCapacity(plan.pools, expected, (pools) => {
      say(pools)
      const breakOff = { bound, videosOfTier: load.videosOfTier }
      const simulated = simulateUnless(plan, pools, { kinds, arrivals, breakOff })
      return simulated !== null && keepsBound(simulated, bound) ? simulated : null
    })
    return found === null ? null : scenarioOf(plan, found)
  }
  say(plan.pools)
  const asPlanned = simulatePlan(plan, plan.pools, { kinds, arrivals })
  return {
    plan,
    seed,
    arrivals,
    load,
    isSearched,
    asPlanned: scenarioOf(plan, asPlanned),
    fromQueue: isSearched ? needed({ share: 0.9, waitMsMax: plan.waitMsMax }) : null,
    atOnce: isSearched ? needed(AT_ONCE) : null,
  }
}

/** Tells what comes of a plan's own pools alone; what differs in prices alone is not simulated again. */
export function scenarioReader({ seed, days, notice = () => {} }: Asked): (plan: Plan) => Scenario {
  const known = new Map<Plan['demand'], Map<string, Simulated>>()
  return (plan) => {
    const ofDemand = known.get(plan.demand) ?? new Map<string, Simulated>()
    known.set(plan.demand, ofDemand)
    // Flex goes to the cheapest of several pools.
    const isOnePool = plan.pools.length === 1
    const slots = plan.pools
      .map((pool) => `${pool.slots} ${isOnePool ? '' : pool.slotPriceMicrosPerHour}`)
      .join(', ')
    let simulated = ofDemand.get(slots)
    if (simulated === undefined) {
      const kinds = kindsOf(plan)
      const arrivals = arrivalsOf(plan, kinds, { seed, days })
      notice(`simulating ${gpusOf(plan.pools)} GPUs`)
      simulated = simulatePlan(plan, plan.pools, { kinds, arrivals })
      ofDemand.set(slots, simulated)
    }
    return scenarioOf(plan, simulated)
  }
}

/** The figures of a simulation, as `/v1/admin/economics` would have them, for a day. */
function scenarioOf(plan: Plan, simulated: Simulated): Scenario {
  const { spanMs, endedAtMs, poolTimes } = simulated
  // Their slots are those of the simulation, their prices the plan's.
  const pools = simulated.pools.map((pool) => ({
    ...pool,
    slotPriceMicrosPerHour: plan.pools.find((one) => one.pool === pool.pool)?.slotPriceMicrosPerHour ?? null,
  }))
  const overloaded = isOverloaded(simulated)
  // What is left over at the end of the day is made while the next one is.
  const takesMs = overloaded ? Math.max(spanMs, endedAtMs) : spanMs
  const byPool = madeBy(plan, simulated.ended, ({ pool }) => pool)
  const facts = pools.map((pool) => {
    const times = poolTimes.get(pool.pool) ?? { busyMs: 0, switchedMs: 0, switches: 0 }
    return factsOf(pool, { made: byPool.get(pool.pool) ?? sumMade([]), times, takesMs })
  })
  const figures = figuresOf(sumFacts(facts))
  const { chargedTokens, costMicros } = figures
  return {
    simulated,
    gpus: gpusOf(pools),
    isOverloaded: overloaded,
    figures,
    tokensPerSecond: (Number(chargedTokens) * 1_000) / DAY_MS,
    tokensPerUnit:
      costMicros === null || costMicros === 0n ? null : divideRounded(chargedTokens * MILLION, costMicros),
    pools: pools.map((pool, index) => ({ pool, figures: figuresOf(facts[index] ?? NO_FACTS) })),
    prices: pricesNeeded(plan, { pools, ended: simulated.ended, takesMs }),
  }
}

/** What a pool made in a day, of what it made in `takesMs`. */
function factsOf(
  { slots, gpusPerSlot, slotPriceMicrosPerHour }: PlannedPool,
  { made, times, takesMs }: { made: Made; times: PoolTimes; takesMs: number },
): Facts {
  const ofDay = (value: number) => exactOfDay(BigInt(Math.round(value)), takesMs)
  const gpus = BigInt(gpusPerSlot)
  const availableMs = BigInt(slots) * BigInt(DAY_MS)
  return {
    ...NO_FACTS,
    completed: ofDay(made.completed),
    failed: ofDay(made.expired),
    revenue_micros: exactOfDay(made.revenueMicros, takesMs),
    charged_tokens: exactOfDay(made.tokens, takesMs),
    work_gpu_ms: ofDay(times.busyMs) * gpus,
    busy_gpu_ms: ofDay(times.busyMs) * gpus,
    switching_gpu_ms: ofDay(times.switchedMs) * gpus,
    switches: ofDay(times.switches),
    available_gpu_ms: availableMs * gpus,
    unpriced_gpu_ms: slotPriceMicrosPerHour === null ? availableMs * gpus : 0n,
    cost_micros_per_hour_ms: (slotPriceMicrosPerHour ?? 0n) * availableMs,
  }
}

function exactOfDay(value: bigint, takesMs: number): bigint {
  return divideRounded(value * BigInt(DAY_MS), BigInt(Math.round(takesMs)))
}

/** What each class would have to cost: it bears of each pool's cost the part that its device time is. */
function pricesNeeded(
  plan: Plan,
  { pools, ended, takesMs }: { pools: readonly PlannedPool[]; ended: Simulated['ended']; takesMs: number },
): PriceNeeded[] {
  const { prices, mix } = plan
  return prices
    .filter((price) => mix.some((video) => classKey(video) === classKey(price)))
    .map((price) => {
      const ofClass = ended.filter(({ video }) => classKey(video) === classKey(price))
      const { tokens, weightedTokens } = sumMade(madeBy(plan, ofClass, () => '').values())
      const costs = pools.map((pool) => costBorne(pool, { ended, ofClass, takesMs }))
      const cost = costs.reduce((sum, one) => (sum === null || one === null ? null : sum + one), 0n)
      return {
        ...price,
        tokens: exactOfDay(tokens, takesMs),
        breakEvenMicros:
          cost === null || weightedTokens === 0n ? null : divideRounded(cost * MILLION * BPS, weightedTokens),
      }
    })
}

/** The part of a pool's cost that videos of a class bear; null = what the pool costs is not known. */
function costBorne(
  { pool, slots, slotPriceMicrosPerHour }: PlannedPool,
  { ended, ofClass, takesMs }: Record<'ended' | 'ofClass', Simulated['ended']> & { takesMs: number },
): bigint | null {
  const busyMs = (groups: Simulated['ended']) =>
    groups.reduce((sum, group) => sum + (group.pool === pool ? group.busyMs : 0), 0)
  const part = busyMs(ofClass)
  if (part === 0) return 0n
  if (slotPriceMicrosPerHour === null) return null
  const costMicros = (Number(slotPriceMicrosPerHour) * slots * takesMs) / HOUR_MS
  return BigInt(Math.round((costMicros * part) / busyMs(ended)))
}

/** The scenario whose costs prices for a margin are to bear; null as `PlanReport` has it. */
export function scenarioForMargin({ isSearched, asPlanned, fromQueue }: PlanReport): {
  name: 'from a queue' | 'as planned'
  scenario: Scenario | null
} {
  return isSearched
    ? { name: 'from a queue', scenario: fromQueue }
    : { name: 'as planned', scenario: asPlanned }
}

/** The price at which this share of the revenue is left. */
export function priceFor(scenario: Scenario | null, index: number, marginWanted: number): bigint | null {
  const breakEven = scenario?.prices[index]?.breakEvenMicros ?? null
  return breakEven === null ? null : BigInt(Math.ceil(Number(breakEven) / (1 - marginWanted)))
}
