import { formatMicros } from '@sluice/shared/money'
import { SERVICE_TIERS } from '@sluice/shared/service-tier'
import { gpusOf } from './plan.ts'
import { type PlanReport, priceFor, type Scenario, scenarioForMargin } from './report.ts'
import type { Quantiles } from './simulate.ts'
import type { Variant } from './what-if.ts'

/** The report for a program: money as decimal texts, times in seconds, what is not known null. */
export function reportJson(
  report: PlanReport,
  { variants, marginWanted }: { variants: readonly Variant[]; marginWanted: number | null },
): object {
  const { plan, seed, arrivals, load, asPlanned, fromQueue, atOnce, isSearched } = report
  const scenario = (one: Scenario | null) => (one === null ? null : scenarioJson(one))
  return {
    object: 'plan_report',
    currency: plan.currency,
    simulated: {
      seconds: arrivals.spanMs / 1_000,
      first_hour: arrivals.firstHour,
      seed: plan.demand.kind === 'trace' ? null : seed,
      videos: load.videos,
      generated_tokens: Number(load.tokens),
    },
    mean_slots: rounded(load.meanSlots),
    peak_slots: load.peakSlots,
    wait_seconds_max: bySeconds(plan.waitMsMax),
    searched: isSearched,
    as_planned: scenarioJson(asPlanned),
    from_queue: scenario(fromQueue),
    at_once: scenario(atOnce),
    ...(marginWanted === null ? {} : { prices_for_margin: marginJson(report, marginWanted) }),
    what_if: variants.map(({ changes, scenario: changed }) => ({
      changes: Object.fromEntries(changes.map(({ name, value }) => [name, value])),
      ...scenarioJson(changed),
    })),
    assumed_paces: plan.assumedPaces,
  }
}

/** Prices are null when no number of GPUs serves the demand in that way. */
function marginJson(report: PlanReport, marginWanted: number): object {
  const { name, scenario } = scenarioForMargin(report)
  return {
    margin: marginWanted,
    scenario: name === 'from a queue' ? 'from_queue' : 'as_planned',
    prices: report.asPlanned.prices.map(({ model, resolution }, index) => ({
      model,
      class: resolution,
      per_million: money(priceFor(scenario, index, marginWanted)),
    })),
  }
}

function scenarioJson(scenario: Scenario): object {
  const { simulated, figures } = scenario
  return {
    gpus: scenario.gpus,
    overloaded: scenario.isOverloaded,
    utilisation: figures.utilisation,
    tiers: Object.fromEntries(
      SERVICE_TIERS.map((tier) => {
        const { videos, expired, yields, wait, turnaround } = simulated.tiers[tier]
        return [
          tier,
          { videos, expired, yields, wait_seconds: quantiles(wait), total_seconds: quantiles(turnaround) },
        ]
      }),
    ),
    ...figuresJson(figures),
    tokens_per_second: rounded(scenario.tokensPerSecond),
    tokens_per_currency_unit: scenario.tokensPerUnit === null ? null : Number(scenario.tokensPerUnit),
    pools: scenario.pools.map(({ pool, figures: ofPool }) => ({
      pool: pool.pool,
      gpus: gpusOf([pool]),
      slots: pool.slots,
      utilisation: ofPool.utilisation,
      switches: Number(ofPool.switches),
      ...figuresJson(ofPool),
    })),
    prices: scenario.prices.map((price) => ({
      model: price.model,
      class: price.resolution,
      per_million: money(price.microsPerMillion),
      break_even_per_million: money(price.breakEvenMicros),
      generated_tokens_a_day: Number(price.tokens),
    })),
  }
}

function figuresJson(figures: Scenario['figures']): object {
  return {
    generated_tokens_a_day: Number(figures.chargedTokens),
    revenue_a_day: money(figures.revenueMicros),
    cost_a_day: money(figures.costMicros),
    margin: figures.margin,
    profit_over_cost: figures.profitOverCost,
    revenue_per_million: money(figures.revenueMicrosPerMillion),
    break_even_per_million: money(figures.costMicrosPerMillion),
    break_even_utilisation: figures.breakEvenUtilisation,
  }
}

function quantiles({ p50Ms, p90Ms, p99Ms, longestMs }: Quantiles): object {
  const seconds = (ms: number | null) => (ms === null ? null : rounded(ms / 1_000))
  return { p50: seconds(p50Ms), p90: seconds(p90Ms), p99: seconds(p99Ms), longest: seconds(longestMs) }
}

function bySeconds(ms: Readonly<Record<string, number>>): object {
  return Object.fromEntries(Object.entries(ms).map(([tier, value]) => [tier, value / 1_000]))
}

function money(micros: bigint | null): string | null {
  return micros === null ? null : formatMicros(micros)
}

function rounded(value: number): number {
  return Math.round(value * 1_000) / 1_000
}
