import { formatMicros } from '@sluice/shared/money'
import { z } from 'zod'
import { readUsage, USAGE_GROUPS, type UsageCounts, type UsageGroup, type UsageRow } from '../accounts/usage.ts'
import { invalidValue } from '../errors.ts'
import { accountRoute } from '../http/route.ts'
import { unixSeconds } from './video-json.ts'

const DAY_MS = 86_400_000
const DAYS_SHOWN = 30
const timeText = z.union([z.iso.date(), z.iso.datetime({ offset: true })])
const timeField = z
  .string()
  .refine(
    (value) => timeText.safeParse(value).success && Date.parse(value) >= 0,
    'a UTC day such as 2026-01-31, or a time such as 2026-01-31T12:00:00Z',
  )
  .transform((value) => new Date(value))
  .optional()

const querySchema = z.strictObject({
  from: timeField.meta({ description: 'A UTC day or a time; without it, the beginning of the day 30 days ago.', example: '2026-01-01' }),
  to: timeField.meta({ description: 'Up to this UTC day or time, itself not included; without it, now.', example: '2026-02-01' }),
  group_by: z.enum(USAGE_GROUPS).default('day'),
  format: z.enum(['json', 'csv']).optional().meta({ description: 'Without it, what Accept prefers.' }),
})

const countsSchema = z.object({
  videos: z.int().meta({ description: 'Videos that ended.' }),
  completed: z.int(),
  failed: z.int(),
  cancelled: z.int(),
  generated_tokens: z.int().meta({ description: 'Charged.' }),
  cost: z.string().meta({ description: 'Charged, exact.', example: '0.08316' }),
})

const usageSchema = z
  .object({
    object: z.literal('usage'),
    from: z.int(),
    to: z.int(),
    group_by: z.enum(USAGE_GROUPS),
    currency: z.string(),
    data: z.array(
      countsSchema.extend({
        day: z.string().optional().meta({ description: 'The UTC day they ended on.' }),
        key_id: z.string().optional(),
        key_name: z.string().optional(),
        model: z.string().optional(),
      }),
    ),
    total: countsSchema,
  })
  .meta({ id: 'UsageReport' })

export const readUsageRoute = accountRoute(
  'videos:read',
  {
    ...{
      method: 'get',
      path: '/v1/usage',
      operationId: 'readUsage',
      tag: 'account',
      summary: 'Videos, tokens and cost by day, key or model',
    },
    description: 'Counts videos when they end, as the ledger charges then: the costs are the sums of the ledger.',
    query: querySchema,
    answers: { 200: { description: 'JSON, or CSV when asked for.', schema: usageSchema, contentTypes: ['text/csv'] } },
    errors: [],
  },
  async ({ context, key, query, request, response }) => {
    const now = Date.now()
    const to = query.to ?? new Date(now)
    const from = query.from ?? new Date(Math.floor(Math.min(now, to.getTime()) / DAY_MS - DAYS_SHOWN) * DAY_MS)
    if (from > to) throw invalidValue('from', from.toISOString(), `a time before ${to.toISOString()}, which is to`)
    const { currency } = context.config
    const group = query.group_by
    const usage = await readUsage(context.db, key.accountId, { from, to }, group)
    const isCsv = (query.format ?? (request.accepts(['application/json', 'text/csv']) === 'text/csv' ? 'csv' : 'json')) === 'csv'
    response.vary('Accept')
    if (isCsv) {
      response
        .attachment(`usage-by-${group}.csv`)
        .type('text/csv')
        .send(usageCsv(usage.rows, group, currency))
      return
    }
    response.json({
      object: 'usage',
      from: unixSeconds(from),
      to: unixSeconds(to),
      group_by: group,
      currency,
      data: usage.rows.map((row) => ({ ...groupJson(row, group), ...countsJson(row) })),
      total: countsJson(usage.total),
    })
  },
)

function groupJson(row: UsageRow, group: UsageGroup): Record<string, string> {
  if (group === 'key') return { key_id: row.group, key_name: row.keyName ?? '' }
  return { [group]: row.group }
}

function countsJson(counts: UsageCounts): z.input<typeof countsSchema> {
  return {
    videos: Number(counts.videos),
    completed: Number(counts.completed),
    failed: Number(counts.failed),
    cancelled: Number(counts.cancelled),
    generated_tokens: Number(counts.tokens),
    cost: formatMicros(counts.costMicros),
  }
}

function usageCsv(rows: readonly UsageRow[], group: UsageGroup, currency: string): string {
  const names = group === 'key' ? ['key_id', 'key_name'] : [group]
  const header = [...names, 'videos', 'completed', 'failed', 'cancelled', 'generated_tokens', 'cost', 'currency']
  const lines = rows.map((row) => [...Object.values(groupJson(row, group)), ...Object.values(countsJson(row)), currency])
  return [header, ...lines].map((line) => `${line.map(csvField).join(',')}\r\n`).join('')
}

/** RFC 4180. Text that a spreadsheet would run as a formula begins with an apostrophe. */
function csvField(value: string | number): string {
  if (typeof value === 'number') return String(value)
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
