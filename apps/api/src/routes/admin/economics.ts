import { unixSeconds } from '@sluice/shared/clock'
import { z } from 'zod'
import { eachPoolDay } from '../../economics/pool-days.ts'
import { csvPiecesReply, wantsCsv } from '../../http/csv.ts'
import { jsonWithList } from '../../http/reply.ts'
import { scopedRoute } from '../../http/route.ts'
import { rangeOf, reportFields } from '../../http/time-range.ts'
import {
  ECONOMICS_GROUPS,
  economicsSchema,
  figuresJson,
  poolNowJson,
  SUMS_OF,
  warningJson,
} from './economics-json.ts'
import { csvHeader, csvRows, EconomicsRows, jsonRows } from './economics-rows.ts'

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
    const isCsv = wantsCsv(request, query.format)
    const rows = new EconomicsRows(group, isCsv ? csvRows(currency) : jsonRows())
    const [live] = await Promise.all([
      context.livePools.readAnew(),
      eachPoolDay(context.db, { range, by: SUMS_OF[group] }, (day) => rows.add(day)),
    ])
    const { pieces, total } = rows.end()
    if (isCsv) return csvPiecesReply(`economics-by-${group}.csv`, [Buffer.from(csvHeader(group)), ...pieces])
    const report: Omit<z.input<typeof economicsSchema>, 'data'> = {
      object: 'economics',
      from: unixSeconds(range.from),
      to: unixSeconds(range.to),
      group_by: group,
      currency,
      live: live.pools.map(poolNowJson),
      warnings: live.warnings.map(warningJson),
      total: figuresJson(total),
    }
    return jsonWithList(report, { name: 'data', pieces, headers: { vary: 'Accept' } })
  },
)
