import { unixSeconds } from '@sluice/shared/clock'
import { formatMicros } from '@sluice/shared/money'
import { z } from 'zod'
import {
  readUsage,
  USAGE_GROUPS,
  type UsageCounts,
  type UsageGroup,
  type UsageRow,
} from '../../accounts/usage.ts'
import { csvReply, wantsCsv } from '../../http/csv.ts'
import { JsonReply } from '../../http/reply.ts'
import { accountRoute } from '../../http/route.ts'
import { rangeOf, reportFields } from '../../http/time-range.ts'

const querySchema = z.strictObject({ ...reportFields, group_by: z.enum(USAGE_GROUPS).default('day') })

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
    method: 'get',
    path: '/v1/usage',
    operationId: 'readUsage',
    tag: 'account',
    summary: 'Videos, tokens and cost by day, key or model',
    description:
      'Counts videos when they end, as the ledger charges then: the costs are the sums of the ledger.',
    query: querySchema,
    answers: {
      200: { description: 'JSON, or CSV when asked for.', schema: usageSchema, contentTypes: ['text/csv'] },
    },
    errors: [],
  },
  async ({ context, key, query, request }) => {
    const { from, to, isUntilNow } = rangeOf(query, context.clock.now())
    const { currency } = context.config
    const group = query.group_by
    const usage = await readUsage(context.db, key.accountId, { from, to: isUntilNow ? null : to }, group)
    if (wantsCsv(request, query.format))
      return csvReply(`usage-by-${group}.csv`, usageLines(usage.rows, group, currency))
    const report: z.input<typeof usageSchema> = {
      object: 'usage',
      from: unixSeconds(from),
      to: unixSeconds(to),
      group_by: group,
      currency,
      data: usage.rows.map((row) => ({ ...groupJson(row, group), ...countsJson(row) })),
      total: countsJson(usage.total),
    }
    return new JsonReply(report, { headers: { vary: 'Accept' } })
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

function usageLines(rows: readonly UsageRow[], group: UsageGroup, currency: string): (string | number)[][] {
  const names = group === 'key' ? ['key_id', 'key_name'] : [group]
  const header = [
    ...names,
    'videos',
    'completed',
    'failed',
    'cancelled',
    'generated_tokens',
    'cost',
    'currency',
  ]
  const lines = rows.map((row) => [
    ...Object.values(groupJson(row, group)),
    ...Object.values(countsJson(row)),
    currency,
  ])
  return [header, ...lines]
}
