import { SERVICE_TIERS } from '@sluice/shared/service-tier'
import { tableLines } from '../text-table.ts'
import { amountText, countText, percentText, priceText, timeText } from './numbers-text.ts'
import { gpusOf } from './plan.ts'
import { type PlanReport, priceFor, type Scenario, scenarioForMargin } from './report.ts'
import type { Quantiles } from './simulate.ts'
import type { Variant } from './what-if.ts'

const DAY_MS = 86_400_000

/** The report for a terminal. `marginWanted`: the share of the revenue that prices are to leave. */
export function reportText(
  report: PlanReport,
  { variants, marginWanted }: { variants: readonly Variant[]; marginWanted: number | null },
): string {
  const parts = [
    headText(report),
    scenariosText(report),
    ...(report.asPlanned.pools.length > 1 ? [poolsText(report)] : []),
    pricesText(report, marginWanted),
    ...(variants.length > 0 ? [variantsText(report, variants)] : []),
    notesText(report),
  ]
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`
}

function headText({ plan, arrivals, load, seed }: PlanReport): string {
  const { videos, tokens, meanSlots, peakSlots } = load
  const days = arrivals.spanMs / DAY_MS
  const source =
    plan.demand.kind === 'trace'
      ? `a trace of ${countText(videos)} videos in ${countText(days * 24)} h`
      : `${countText(videos)} videos of ${countText(days)} ${days === 1 ? 'day' : 'days'} (seed ${seed})`
  const aDay = `${countText(Number(tokens) / days / 1e6, 1)} million tokens a day`
  return `${source}; ${aDay}, which keep ${countText(meanSlots, 2)} slots busy on average and ${countText(peakSlots)} at the peak`
}

/** The plan's own pools, and the two ways to serve its demand, side by side. */
function scenariosText({ plan, isSearched, asPlanned, fromQueue, atOnce }: PlanReport): string {
  const scenarios = isSearched ? [asPlanned, fromQueue, atOnce] : [asPlanned]
  const row = (name: string, cell: (scenario: Scenario) => string) => [
    name,
    ...scenarios.map((scenario) => (scenario === null ? 'none' : cell(scenario))),
  ]
  const { currency } = plan
  const tiers = SERVICE_TIERS.filter((tier) => asPlanned.simulated.tiers[tier].videos > 0)
  return tableLines([
    ['', 'as planned', ...(isSearched ? ['from a queue', 'at once'] : [])],
    row('GPUs', ({ gpus }) => countText(gpus)),
    row('utilisation', ({ figures }) => percentText(figures.utilisation)),
    ...tiers.map((tier) =>
      row(`${tier}: wait p50 / p90 / p99`, ({ simulated }) => waitsText(simulated.tiers[tier].wait)),
    ),
    ...tiers
      .filter((tier) => scenarios.some((one) => (one?.simulated.tiers[tier].expired ?? 0) > 0))
      .map((tier) => row(`${tier}: expired`, ({ simulated }) => countText(simulated.tiers[tier].expired))),
    row('tokens a second', ({ tokensPerSecond }) => countText(tokensPerSecond)),
    row(`tokens for 1 ${currency}`, ({ tokensPerUnit }) => countText(tokensPerUnit)),
    row(`revenue a day, ${currency}`, ({ figures }) => amountText(figures.revenueMicros)),
    row(`cost a day, ${currency}`, ({ figures }) => amountText(figures.costMicros)),
    row('margin', ({ figures }) => percentText(figures.margin)),
    row('profit over cost', ({ figures }) => percentText(figures.profitOverCost)),
    row('price of a million tokens', ({ figures }) => priceText(figures.revenueMicrosPerMillion)),
    row('break-even price', ({ figures }) => priceText(figures.costMicrosPerMillion)),
    row('break-even utilisation', ({ figures }) => percentText(figures.breakEvenUtilisation)),
  ]).join('\n')
}

function waitsText({ p50Ms, p90Ms, p99Ms }: Quantiles): string {
  return [p50Ms, p90Ms, p99Ms].map(timeText).join(' / ')
}

function poolsText({ plan, asPlanned, fromQueue, atOnce }: PlanReport): string {
  const gpusIn = (scenario: Scenario | null, index: number) => {
    const pool = scenario?.pools[index]?.pool
    return pool === undefined ? 'none' : countText(gpusOf([pool]))
  }
  return tableLines([
    [
      'pool, as planned',
      'GPUs',
      'utilisation',
      `revenue, ${plan.currency}`,
      `cost, ${plan.currency}`,
      'margin',
      'cost of a million',
      'GPUs from a queue',
      'at once',
    ],
    ...asPlanned.pools.map(({ pool, figures }, index) => [
      pool.pool,
      countText(gpusOf([pool])),
      percentText(figures.utilisation),
      amountText(figures.revenueMicros),
      amountText(figures.costMicros),
      percentText(figures.margin),
      priceText(figures.costMicrosPerMillion),
      gpusIn(fromQueue, index),
      gpusIn(atOnce, index),
    ]),
  ]).join('\n')
}

/** What each class costs and would have to cost, at the tier standard. */
function pricesText(report: PlanReport, marginWanted: number | null): string {
  const { plan, asPlanned, fromQueue, atOnce, isSearched } = report
  const shown: [string, Scenario | null][] = [
    ['break-even as planned', asPlanned],
    ...(isSearched
      ? ([
          ['from a queue', fromQueue],
          ['at once', atOnce],
        ] as [string, Scenario | null][])
      : []),
  ]
  const { name, scenario: wanted } = scenarioForMargin(report)
  return tableLines([
    [
      `price of a million tokens, ${plan.currency}`,
      'now',
      ...shown.map(([title]) => title),
      ...(marginWanted === null ? [] : [`${name}, margin ${percentText(marginWanted)}`]),
    ],
    ...asPlanned.prices.map(({ model, resolution, microsPerMillion }, index) => [
      `${model} ${resolution}`,
      priceText(microsPerMillion),
      ...shown.map(([, scenario]) =>
        scenario === null ? 'none' : priceText(scenario.prices[index]?.breakEvenMicros ?? null),
      ),
      ...(marginWanted === null ? [] : [priceText(priceFor(wanted, index, marginWanted))]),
    ]),
  ]).join('\n')
}

function variantsText({ plan }: PlanReport, variants: readonly Variant[]): string {
  const names = [...new Set(variants.flatMap(({ changes }) => changes.map(({ name }) => name)))]
  const tiers = SERVICE_TIERS.filter((tier) => plan.mix.some((video) => video.tier === tier))
  return tableLines([
    [
      ...names,
      'GPUs',
      'utilisation',
      ...tiers.map((tier) => `${tier} wait p90`),
      `revenue, ${plan.currency}`,
      `cost, ${plan.currency}`,
      'margin',
      'break-even price',
    ],
    ...variants.map(({ changes, scenario }) => [
      ...names.map((name) => changes.find((change) => change.name === name)?.value ?? ''),
      `${countText(scenario.gpus)}${scenario.isOverloaded ? ' (too few)' : ''}`,
      percentText(scenario.figures.utilisation),
      ...tiers.map((tier) => timeText(scenario.simulated.tiers[tier].wait.p90Ms)),
      amountText(scenario.figures.revenueMicros),
      amountText(scenario.figures.costMicros),
      percentText(scenario.figures.margin),
      priceText(scenario.figures.costMicrosPerMillion),
    ]),
  ]).join('\n')
}

/** What the numbers do not say. */
function notesText({ plan, isSearched, asPlanned, fromQueue, atOnce }: PlanReport): string {
  const { waitMsMax } = plan
  const bounds = SERVICE_TIERS.filter((tier) => asPlanned.simulated.tiers[tier].videos > 0)
    .map((tier) => `${tier} ${timeText(waitMsMax[tier])}`)
    .join(', ')
  const unpriced = plan.pools.filter(({ slotPriceMicrosPerHour }) => slotPriceMicrosPerHour === null)
  const searched = [
    `from a queue: as few GPUs as let nine in ten videos wait no longer than ${bounds}, and none expire`,
    'at once: as few GPUs as let 99 in 100 videos of each tier wait no longer than a second',
  ]
  return [
    ...(isSearched ? searched : []),
    ...(asPlanned.isOverloaded
      ? ['as planned: too few GPUs, the demand of a day takes longer than a day']
      : []),
    ...(isSearched && (fromQueue === null || atOnce === null)
      ? ['none: no number of GPUs is enough; limits of accounts make their videos wait']
      : []),
    ...unpriced.map(({ pool }) => `the cost is not known: pool ${pool} has no price per hour`),
    ...plan.assumedPaces.map((what) => `the pace of ${what} is what the model says, nobody measured it`),
  ].join('\n')
}
