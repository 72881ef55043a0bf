import { SERVICE_TIERS, type ServiceTier } from '@sluice/shared/service-tier'
import { amountText, countText, percentText, timeText } from './numbers-text.ts'
import type { PlanReport, Scenario } from './report.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const STEP_MS = 10 * 60_000

const SIZE = { width: 960, height: 640 }
const LEFT = 64
const RIGHT = 736
const UPPER = { top: 128, bottom: 362 }
const LOWER = { top: 420, bottom: 580 }

const COLOURS = {
  paper: '#ffffff',
  text: '#1d2430',
  faint: '#5c6675',
  grid: '#e3e7ec',
  demand: '#c5ccd6',
  planned: '#5c6675',
  fromQueue: '#0f766e',
  atOnce: '#b45309',
  priority: '#b45309',
  standard: '#2563a8',
  flex: '#9cc0e4',
} as const

/** A point of a chart: milliseconds from its left edge, and a value. */
type Point = readonly [atMs: number, value: number]

/**
 * The report as a picture (SVG): what is asked for through the day beside the GPUs that serve it at once and
 * from a queue, and below it what waits.
 */
export function chartSvg(report: PlanReport): string {
  const served = report.fromQueue ?? report.asPlanned
  const isDay = report.plan.demand.kind === 'hours'
  const axis = { spanMs: isDay ? DAY_MS : report.arrivals.spanMs, isDay }
  const parts = [
    `<rect width="${SIZE.width}" height="${SIZE.height}" fill="${COLOURS.paper}"/>`,
    ...headParts(report),
    ...upperPart(report, served, axis),
    ...lowerPart(report, served, axis),
  ]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${SIZE.width} ${SIZE.height}" width="${SIZE.width}" height="${SIZE.height}" role="img" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif" font-size="13">
<title>${escaped(titleOf(report))}</title>
${parts.join('\n')}
</svg>
`
}

function titleOf({ asPlanned, fromQueue, atOnce }: PlanReport): string {
  if (fromQueue === null || atOnce === null)
    return `${gpusText(asPlanned)} are ${percentText(asPlanned.figures.utilisation)} busy`
  return `${gpusText(fromQueue)} serve from a queue what takes ${countText(atOnce.gpus)} at once`
}

function gpusText({ gpus }: Scenario): string {
  return gpus === 1 ? '1 GPU' : `${countText(gpus)} GPUs`
}

function headParts(report: PlanReport): string[] {
  const { asPlanned, fromQueue, atOnce, plan } = report
  const money = ([name, scenario]: readonly [string, Scenario | null]) => {
    if (scenario === null) return []
    const { figures } = scenario
    const margin = figures.margin === null ? '' : `, margin ${percentText(figures.margin)}`
    const cost =
      figures.costMicros === null ? '' : `, ${amountText(figures.costMicros)} ${plan.currency} a day`
    return `${name} ${gpusText(scenario)}, ${percentText(figures.utilisation)} busy${cost}${margin}`
  }
  const lines = (
    [
      ['From a queue:', fromQueue],
      ['At once:', atOnce],
      ['As planned:', asPlanned],
    ] as const
  ).flatMap(money)
  return [
    textAt(LEFT, 34, titleOf(report), { size: 20, weight: 600 }),
    ...lines.map((line, index) => textAt(LEFT, 56 + 17 * index, line, { fill: COLOURS.faint })),
  ]
}

interface Axis {
  spanMs: number
  isDay: boolean
}

/** What is asked for, what is busy, and how many GPUs there are. */
function upperPart(report: PlanReport, served: Scenario, axis: Axis): string[] {
  const demand = demandPoints(report, axis)
  const gpusPerSlot = served.gpus / Math.max(1, slotsOf(served))
  const asked = demand.map(([atMs, slots]) => [atMs, slots * gpusPerSlot] as const)
  const busy = samplePoints(report, served, axis, (sample) => {
    return served.pools.reduce((sum, { pool }) => sum + (sample.busy[pool.pool] ?? 0) * pool.gpusPerSlot, 0)
  })
  const lines = [
    { name: 'at once', scenario: report.atOnce, colour: COLOURS.atOnce },
    { name: 'from a queue', scenario: report.fromQueue, colour: COLOURS.fromQueue },
    { name: 'as planned', scenario: report.asPlanned, colour: COLOURS.planned },
  ].flatMap(({ scenario, ...line }) => (scenario === null ? [] : { ...line, gpus: scenario.gpus }))
  const highest = Math.max(...asked.map(heightOf), ...busy.map(heightOf), ...lines.map(({ gpus }) => gpus))
  const scale = scaleOf(UPPER, axis.spanMs, highest)
  return [
    textAt(LEFT, UPPER.top - 10, 'GPUs', { fill: COLOURS.faint }),
    ...gridParts(UPPER, scale, axis),
    `<path d="${areaPath(asked, scale)}" fill="${COLOURS.demand}"/>`,
    `<path d="${linePath(busy, scale)}" fill="none" stroke="${COLOURS.fromQueue}" stroke-width="2"/>`,
    ...lines.map(
      ({ gpus, colour }) =>
        `<path d="M${LEFT} ${fixed(scale.y(gpus))}H${RIGHT}" stroke="${colour}" stroke-width="1.5" stroke-dasharray="6 4"/>`,
    ),
    ...spread(
      [
        ...lines.map(({ name, gpus, colour }) => ({
          y: scale.y(gpus),
          text: `${countText(gpus)} ${name}`,
          colour,
        })),
        {
          y: scale.y(busy.at(-1)?.[1] ?? 0),
          text: report.fromQueue === null ? 'busy as planned' : 'busy from a queue',
          colour: COLOURS.fromQueue,
        },
        { y: scale.y(0) - 18, text: 'asked for (grey)', colour: COLOURS.faint },
      ],
      { top: UPPER.top, bottom: UPPER.bottom },
    ),
  ]
}

/** What waits, tier above tier. */
function lowerPart(report: PlanReport, served: Scenario, axis: Axis): string[] {
  const tiers = SERVICE_TIERS.filter((tier) => served.simulated.tiers[tier].videos > 0)
  let below: Point[] | null = null
  const areas: { tier: ServiceTier; lower: Point[] | null; upper: Point[] }[] = []
  for (const tier of tiers) {
    const points = samplePoints(report, served, axis, ({ queued }) => queued[tier])
    const under: Point[] | null = below
    const upper = points.map(([atMs, value], index): Point => [atMs, value + (under?.[index]?.[1] ?? 0)])
    areas.push({ tier, lower: below, upper })
    below = upper
  }
  const scale = scaleOf(LOWER, axis.spanMs, Math.max(1, ...(below ?? []).map(heightOf)))
  return [
    textAt(
      LEFT,
      LOWER.top - 10,
      `Videos that wait, ${report.fromQueue === null ? 'as planned' : 'from a queue'}`,
      { fill: COLOURS.faint },
    ),
    ...gridParts(LOWER, scale, axis),
    ...areas.map(
      ({ tier, lower, upper }) =>
        `<path d="${areaPath(upper, scale, lower ?? undefined)}" fill="${COLOURS[tier]}"/>`,
    ),
    ...tiers.map((tier, index) => {
      const { p90Ms } = served.simulated.tiers[tier].wait
      const y = LOWER.top + 14 + 22 * index
      return [
        `<rect x="${RIGHT + 14}" y="${y - 10}" width="12" height="12" fill="${COLOURS[tier]}"/>`,
        textAt(RIGHT + 32, y, `${tier}, p90 ${timeText(p90Ms)}`, {}),
      ].join('')
    }),
    textAt(
      (LEFT + RIGHT) / 2,
      LOWER.bottom + 40,
      axis.isDay ? 'hour of the day' : 'hours from the beginning',
      { fill: COLOURS.faint, anchor: 'middle' },
    ),
  ]
}

function slotsOf({ pools }: Scenario): number {
  return pools.reduce((sum, { pool }) => sum + pool.slots, 0)
}

/** Slots that would be busy if nobody waited: the work that comes in each step of time. */
function demandPoints({ load, arrivals }: PlanReport, axis: Axis): Point[] {
  const steps = load.workMs.priority.map((_, step) => ({
    atMs: step * STEP_MS,
    value: SERVICE_TIERS.reduce((sum, tier) => sum + (load.workMs[tier][step] ?? 0), 0) / STEP_MS,
  }))
  return folded(steps, arrivals.firstHour, axis)
}

type Sample = Scenario['simulated']['backlog'][number]

function samplePoints(
  { arrivals }: PlanReport,
  { simulated }: Scenario,
  axis: Axis,
  valueIn: (sample: Sample) => number,
): Point[] {
  const samples = simulated.backlog
    .filter(({ atMs }) => atMs < arrivals.spanMs)
    .map((sample) => ({ atMs: sample.atMs, value: valueIn(sample) }))
  return folded(samples, arrivals.firstHour, axis)
}

/** The mean of each time of the day, from midnight on; of a trace, the values as they are. */
function folded(
  values: readonly { atMs: number; value: number }[],
  firstHour: number,
  { isDay, spanMs }: Axis,
): Point[] {
  // A trace of weeks has more steps than the picture has columns.
  const stepMs = isDay ? STEP_MS : Math.max(STEP_MS, spanMs / 400)
  const sums = new Map<number, { sum: number; count: number }>()
  for (const { atMs, value } of values) {
    const ofDay = isDay ? (atMs + firstHour * HOUR_MS) % DAY_MS : atMs
    const step = Math.floor(ofDay / stepMs)
    const known = sums.get(step) ?? { sum: 0, count: 0 }
    sums.set(step, { sum: known.sum + value, count: known.count + 1 })
  }
  return [...sums]
    .sort(([a], [b]) => a - b)
    .map(([step, { sum, count }]): Point => [step * stepMs, sum / count])
}

interface Scale {
  x(atMs: number): number
  y(value: number): number
  /** Values at which lines are drawn. */
  ticks: readonly number[]
  endMs: number
}

function scaleOf({ top, bottom }: { top: number; bottom: number }, spanMs: number, highest: number): Scale {
  const ticks = ticksTo(highest)
  const last = Math.max(highest * 1.02, ticks.at(-1) ?? 1)
  return {
    x: (atMs) => LEFT + ((RIGHT - LEFT) * atMs) / spanMs,
    y: (value) => bottom - ((bottom - top) * value) / last,
    ticks,
    endMs: spanMs,
  }
}

/** About four round numbers from 0 to the highest value. */
export function ticksTo(highest: number): number[] {
  const rough = Math.max(highest, 1e-9) / 4
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = Math.max(1, [1, 2, 5, 10].map((times) => times * power).find((one) => one >= rough) ?? power)
  return Array.from({ length: Math.floor(highest / step) + 1 }, (_, index) => index * step)
}

function gridParts(
  { bottom, top }: { top: number; bottom: number },
  scale: Scale,
  { spanMs, isDay }: Axis,
): string[] {
  const hours = spanMs / HOUR_MS
  const every = isDay ? 3 : (ticksTo(hours)[1] ?? 1)
  const marks = Array.from({ length: Math.floor(hours / every) + 1 }, (_, index) => index * every)
  return [
    ...scale.ticks.flatMap((tick) => [
      `<path d="M${LEFT} ${fixed(scale.y(tick))}H${RIGHT}" stroke="${COLOURS.grid}"/>`,
      textAt(LEFT - 8, scale.y(tick) + 4, countText(tick), { fill: COLOURS.faint, anchor: 'end' }),
    ]),
    ...marks.map((hour) =>
      textAt(scale.x(hour * HOUR_MS), bottom + 18, String(hour), { fill: COLOURS.faint, anchor: 'middle' }),
    ),
    `<path d="M${LEFT} ${top}V${bottom}H${RIGHT}" fill="none" stroke="${COLOURS.faint}"/>`,
  ]
}

/** Labels at the right edge, moved apart where they would lie on each other. */
function spread(
  labels: readonly { y: number; text: string; colour: string }[],
  { top, bottom }: { top: number; bottom: number },
): string[] {
  const apart = 17
  const sorted = labels.toSorted((a, b) => a.y - b.y)
  let free = top
  const placed = sorted.map((label, index) => {
    const below = sorted.length - 1 - index
    const y = Math.max(free, Math.min(label.y, bottom - below * apart))
    free = y + apart
    return { ...label, y }
  })
  return placed.map(({ y, text, colour }) => textAt(RIGHT + 14, y + 4, text, { fill: colour }))
}

function linePath(points: readonly Point[], scale: Scale): string {
  const last = points.at(-1)
  const all: Point[] = last === undefined ? [] : [...points, [scale.endMs, last[1]]]
  return all
    .map(
      ([atMs, value], index) => `${index === 0 ? 'M' : 'L'}${fixed(scale.x(atMs))} ${fixed(scale.y(value))}`,
    )
    .join('')
}

function areaPath(upper: readonly Point[], scale: Scale, lower?: readonly Point[]): string {
  const first = upper[0]?.[0] ?? 0
  const under: readonly Point[] = lower ?? [
    [first, 0],
    [scale.endMs, 0],
  ]
  const end = lower?.at(-1)
  const closed = end === undefined ? under : [...under, [scale.endMs, end[1]] as const]
  const back = closed
    .toReversed()
    .map(([atMs, value]) => `L${fixed(scale.x(atMs))} ${fixed(scale.y(value))}`)
    .join('')
  return `${linePath(upper, scale)}${back}Z`
}

function heightOf([, value]: Point): number {
  return value
}

function textAt(
  x: number,
  y: number,
  text: string,
  look: { fill?: string; size?: number; weight?: number; anchor?: 'middle' | 'end' },
): string {
  const { fill = COLOURS.text, size, weight, anchor } = look
  const more = [
    size === undefined ? '' : ` font-size="${size}"`,
    weight === undefined ? '' : ` font-weight="${weight}"`,
    anchor === undefined ? '' : ` text-anchor="${anchor}"`,
  ].join('')
  return `<text x="${fixed(x)}" y="${fixed(y)}" fill="${fill}"${more}>${escaped(text)}</text>`
}

function fixed(value: number): string {
  return String(Math.round(value * 10) / 10)
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
