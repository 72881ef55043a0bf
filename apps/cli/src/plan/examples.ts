import { divideRounded, margin, profitOverCost, ratio } from '@sluice/shared/economics/money-rates'
import { costMicros, formatMicros } from '@sluice/shared/money'

/** A number that was worked out by hand, and the same by the arithmetic of plans and reports. */
export interface Example {
  question: string
  inputs: Readonly<Record<string, string>>
  result: string
  /** What it came to by hand. */
  expected: string
}

const ONE_TIMES_BPS = 10_000n
const DAY_SECONDS = 86_400n
const UNIT_MICROS = 1_000_000n
const THOUSAND = 1_000n
const BILLION = 1_000_000_000n

/** The examples of docs/plan.md, computed now. */
export function checkedExamples(): Example[] {
  return [
    revenueOfADay(),
    marginOfAMonth(),
    revenueOfAYear(),
    costOfAProfit(),
    tokensOfAMonth(),
    costByPace(),
  ]
}

function revenueOfADay(): Example {
  const tokens = 100n * BILLION
  const priceMicros = 16n * UNIT_MICROS
  return {
    question: 'revenue of a day',
    inputs: { 'tokens a day': grouped(tokens), 'price per million': formatMicros(priceMicros) },
    result: grouped(costMicros(tokens, priceMicros, ONE_TIMES_BPS) / UNIT_MICROS),
    expected: '1,600,000',
  }
}

function marginOfAMonth(): Example {
  const revenue = 45_000_000n * UNIT_MICROS
  const cost = 360_000_000n * UNIT_MICROS
  return {
    question: 'margin of a month',
    inputs: { revenue: grouped(revenue / UNIT_MICROS), cost: grouped(cost / UNIT_MICROS) },
    result: percent(margin(revenue, cost)),
    expected: '-700 %',
  }
}

function revenueOfAYear(): Example {
  const tokens = 1_000n * BILLION
  const priceMicros = 8n * UNIT_MICROS
  return {
    question: 'revenue of a year',
    inputs: { 'tokens a day': grouped(tokens), 'price per million': formatMicros(priceMicros), days: '365' },
    result: grouped((costMicros(tokens, priceMicros, ONE_TIMES_BPS) * 365n) / UNIT_MICROS),
    expected: '2,920,000,000',
  }
}

function costOfAProfit(): Example {
  const revenue = 562_000n * UNIT_MICROS
  const profit = 545n
  // revenue = cost * (1 + profit)
  const cost = divideRounded(revenue * 100n, 100n + profit)
  return {
    question: 'cost of a day',
    inputs: {
      'revenue a day': grouped(revenue / UNIT_MICROS),
      'profit over cost': percent(profitOverCost(revenue, cost)),
    },
    result: `${formatMicros(cost)}, or ${inThousands(cost)} thousand`,
    expected: '87131.782946, or 87.1 thousand',
  }
}

function tokensOfAMonth(): Example {
  const perSecond = 10n
  return {
    question: 'tokens of 30 days',
    inputs: { 'tokens a second': String(perSecond), days: '30' },
    result: grouped(perSecond * DAY_SECONDS * 30n),
    expected: '25,920,000',
  }
}

function costByPace(): Example {
  const cost = 10_000n * UNIT_MICROS
  // Both cost the same, so the cost of a token is as many times as high as its machine is slower.
  const times = (tokensAMinute: bigint) => ratio(cost * 100n * THOUSAND, cost * tokensAMinute)
  return {
    question: 'cost of a token',
    inputs: {
      cost: grouped(cost / UNIT_MICROS),
      'tokens a minute': '20,000 or 30,000',
      'against, for the same cost': '100,000',
    },
    result: `${times(20n * THOUSAND)} or ${times(30n * THOUSAND)} times as high`,
    expected: '5 or 3.333333 times as high',
  }
}

/** Micro-units in thousands of the unit, to one decimal. */
function inThousands(micros: bigint): string {
  return (Number(divideRounded(micros, 100n * UNIT_MICROS)) / 10).toFixed(1)
}

function grouped(value: bigint): string {
  return new Intl.NumberFormat('en-US').format(value)
}

function percent(value: number | null): string {
  return value === null
    ? 'unknown'
    : `${new Intl.NumberFormat('en-US', { maximumFractionDigits: 4 }).format(value * 100)} %`
}

/** The examples in lines: what was asked, of what, and what it comes to. */
export function examplesText(examples: readonly Example[]): string {
  const lines = examples.flatMap(({ question, inputs, result, expected }) => [
    `${question}: ${result}${result === expected ? '' : `, and not ${expected} as by hand`}`,
    `  from ${Object.entries(inputs)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')}`,
  ])
  return `${lines.join('\n')}\n`
}
