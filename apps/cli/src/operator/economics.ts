import { SERVICE_TIERS } from '@sluice/shared/service-tier'
import { z } from 'zod'
import { tableLines } from '../text-table.ts'
import type { Operator } from './operator.ts'

const ratio = z.number().nullable()
const amount = z.string().nullable()

const figuresSchema = z.looseObject({
  day: z.string().optional(),
  pool: z.string().nullable().optional(),
  completed: z.number(),
  generated_tokens: z.number(),
  charged_tokens: z.number(),
  wasted_tokens: z.number(),
  utilisation: ratio,
  gpu_cost: amount,
  revenue: z.string(),
  cost_per_million: amount,
  revenue_per_million: amount,
  margin: ratio,
  break_even_utilisation: ratio,
})
const classSchema = z.looseObject({
  model: z.string(),
  resolution: z.string(),
  tokens_per_second: ratio,
  cost_per_million: amount,
  price_per_million: z.record(z.enum(SERVICE_TIERS), amount),
})
const liveSchema = z.looseObject({
  pool: z.string(),
  workers: z.number(),
  slots: z.number(),
  busy_slots: z.number(),
  cost_per_hour: amount,
  last_day: figuresSchema,
  classes: z.array(classSchema),
})
const economicsSchema = z.looseObject({
  group_by: z.string(),
  currency: z.string(),
  live: z.array(liveSchema),
  warnings: z.array(z.looseObject({ problem: z.string() })),
  data: z.array(figuresSchema),
  total: figuresSchema,
})
type Figures = z.infer<typeof figuresSchema>
export type Economics = z.infer<typeof economicsSchema>

export interface EconomicsFlags {
  by: 'pool' | 'day' | 'pool_day' | 'total'
  from?: string
  to?: string
  json?: true
}

/** Asks the service what its pools made and cost. */
export async function readEconomics(
  operator: Operator,
  { by, from, to }: Omit<EconomicsFlags, 'json'>,
): Promise<Economics> {
  const http = await operator.http()
  const query = new URLSearchParams({ group_by: by })
  if (from !== undefined) query.set('from', from)
  if (to !== undefined) query.set('to', to)
  return http.call(economicsSchema, `/admin/economics?${query}`)
}

/** Prints the pools now, what they made and cost, and what is sold below cost. */
export async function showEconomics(operator: Operator, flags: EconomicsFlags): Promise<void> {
  const economics = await readEconomics(operator, flags)
  if (flags.json === true) operator.print(JSON.stringify(economics, null, 2))
  else for (const line of economicsLines(economics)) operator.print(line)
}

/** The tables: the pools now and in the last day, what each makes, and the figures of the range. */
function economicsLines({ currency, live, warnings, data, total }: Economics): string[] {
  const pools = live.map(({ pool, workers, slots, busy_slots, cost_per_hour, last_day }) => [
    pool,
    String(workers),
    `${busy_slots}/${slots}`,
    cost_per_hour ?? '-',
    ...figureCells(last_day),
  ])
  const classes = live.flatMap(({ pool, classes }) =>
    classes.map(({ model, resolution, tokens_per_second, cost_per_million, price_per_million }) => [
      `${pool}  ${model} ${resolution}`,
      tokens_per_second === null ? '-' : tokens_per_second.toFixed(1),
      cost_per_million ?? '-',
      ...SERVICE_TIERS.map((tier) => price_per_million[tier] ?? '-'),
    ]),
  )
  const ranges = [...data, ...(data.length === 1 ? [] : [{ ...total, pool: 'all', day: undefined }])]
  return [
    `The pools now, and in the last 24 hours (${currency}, per million charged tokens)`,
    ...tableLines([['pool', 'workers', 'busy', 'an hour', ...FIGURE_NAMES], ...pools]),
    '',
    `What a busy slot makes, and what that costs and is sold at (${currency} per million tokens)`,
    ...tableLines([['pool, model', 'tokens/s', 'cost', ...SERVICE_TIERS], ...classes]),
    '',
    `The range that was asked for (${currency}, per million charged tokens)`,
    ...tableLines([['', ...FIGURE_NAMES], ...ranges.map((row) => [nameOf(row), ...figureCells(row)])]),
    ...(warnings.length === 0 ? [] : ['']),
    ...warnings.map(({ problem }) => `below cost: ${problem}`),
  ]
}

const FIGURE_NAMES = [
  'tokens',
  'wasted',
  'used',
  'cost',
  'revenue',
  'cost/M',
  'revenue/M',
  'margin',
  'break even',
]

/** As the API has them; shares in percent, and what is not known as a dash. */
function figureCells(figures: Figures): string[] {
  return [
    String(figures.charged_tokens),
    String(figures.wasted_tokens),
    percent(figures.utilisation),
    figures.gpu_cost ?? '-',
    figures.revenue,
    figures.cost_per_million ?? '-',
    figures.revenue_per_million ?? '-',
    percent(figures.margin),
    percent(figures.break_even_utilisation),
  ]
}

function nameOf({ day, pool }: Figures): string {
  const ofPool = pool === undefined ? [] : [pool ?? 'no pool']
  return [...(day === undefined ? [] : [day]), ...ofPool].join(' ') || 'all'
}

function percent(share: number | null): string {
  return share === null ? '-' : `${(share * 100).toFixed(1)} %`
}
