import { unixSeconds } from '@sluice/shared/clock'
import { z } from 'zod'
import { scopedRoute } from '../../http/route.ts'
import { CHECK_BEGINNINGS, checkLedger } from '../../ledger/check.ts'

export const checkLedgerRoute = scopedRoute(
  'admin:read',
  {
    method: 'get',
    path: '/v1/admin/ledger/check',
    operationId: 'checkLedger',
    tag: 'admin',
    summary: 'Recompute every invariant of the ledger',
    description:
      'Goes on from what the check before has proven, and compares every balance. From the beginning it looks at everything there is, page by page beside the other calls, which takes minutes after millions of videos.',
    query: z.strictObject({
      since: z
        .enum(CHECK_BEGINNINGS)
        .default('proven')
        .meta({ description: 'What to begin at: what was proven last, or the first transfer ever.' }),
    }),
    isLong: true,
    answers: {
      200: {
        description: 'Which invariants are broken, and by how many rows.',
        schema: z
          .object({
            ok: z.boolean(),
            proven_at: z
              .int()
              .nullable()
              .meta({ description: 'What it began at was proven then; null: the first transfer ever.' }),
            transfers: z.int().meta({ description: 'How many were looked at.' }),
            entries: z.int().meta({ description: 'How many were looked at.' }),
            violations: z.record(z.string(), z.int()),
          })
          .meta({ id: 'LedgerCheck' }),
      },
    },
    errors: [],
  },
  async ({ context, query }) => {
    const check = await checkLedger(context.db, { since: query.since })
    return {
      ok: check.ok,
      proven_at: unixSeconds(check.provenAt),
      transfers: Number(check.transfers),
      entries: Number(check.entries),
      violations: Object.fromEntries(
        Object.entries(check.violations).map(([name, count]) => [name, Number(count)]),
      ),
    }
  },
)
