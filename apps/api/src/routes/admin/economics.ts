import { unixSeconds } from '@sluice/shared/clock'
import { z } from 'zod'
import { readPoolDays } from '../../economics/pool-days.ts'
import { csvReply, wantsCsv } from '../../http/csv.ts'
import { JsonReply } from '../../http/reply.ts'
import { scopedRoute } from '../../http/route.ts'
import { rangeOf, reportFields } from '../../http/time-range.ts'
import { inSlices } from '../../in-slices.ts'
import {
  csvLines,
  ECONOMICS_GROUPS,
  economicsSchema,
  figuresJson,
  figuresOfDays,
  poolNowJson,
  SUMS_OF,
  warningJson,
} from './economics-json.ts'

export const readEconomicsRoute = scopedRoute(
  'admin:read',
  {
    method: 'get',
    path: '/v1/admin/economics',
    operationId: 'readEconomics',
    tag: 'admin',
    summary: 'What the GPUs made and cost, by pool and day',
    description:
      'Tokens and revenue count when a video ends, as the ledger charges then: the revenue is the sum of the ledger. GPU time and cost count by the clock. What is not known is null, never 0.',
    query: z.strictObject({ ...reportFields, group_by: z.enum(ECONOMICS_GROUPS).default('pool') }),
    answers: {
      200: {
        description: 'JSON, or CSV when asked for.',
        schema: economicsSchema,
        contentTypes: ['text/csv'],
      },
    },
    errors: [],
  },
  async ({ context, query, request }) => {
    const range = rangeOf(query, context.clock.now())
    const group = query.group_by
    const { currency } = context.config
    const [days, live] = await Promise.all([
      readPoolDays(context.db, range, SUMS_OF[group]),
      context.livePools.readAnew(),
    ])
    const { rows, total } = await figuresOfDays(days, group)
    if (wantsCsv(request, query.format))
      return csvReply(`economics-by-${group}.csv`, await csvLines(rows, group, currency))
    const report: z.input<typeof economicsSchema> = {
      object: 'economics',
      from: unixSeconds(range.from),
      to: unixSeconds(range.to),
      group_by: group,
      currency,
      live: live.pools.map(poolNowJson),
      warnings: live.warnings.map(warningJson),
      data: await inSlices(rows, ({ names, figures }) => ({ ...names, ...figuresJson(figures) })),
      total: figuresJson(total),
    }
    return new JsonReply(report, { headers: { vary: 'Accept' } })
  },
)
