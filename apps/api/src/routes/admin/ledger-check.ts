import { z } from 'zod'
import { scopedRoute } from '../../http/route.ts'
import { checkLedger } from '../../ledger/check.ts'

export const checkLedgerRoute = scopedRoute(
  'admin:read',
  {
    method: 'get',
    path: '/v1/admin/ledger/check',
    operationId: 'checkLedger',
    tag: 'admin',
    summary: 'Recompute every invariant of the ledger',
    answers: {
      200: {
        description: 'Which invariants are broken, and by how many rows.',
        schema: z
          .object({
            ok: z.boolean(),
            transfers: z.int(),
            entries: z.int(),
            violations: z.record(z.string(), z.int()),
          })
          .meta({ id: 'LedgerCheck' }),
      },
    },
    errors: [],
  },
  async ({ context }) => {
    const check = await checkLedger(context.db)
    return {
      ok: check.ok,
      transfers: Number(check.transfers),
      entries: Number(check.entries),
      violations: Object.fromEntries(
        Object.entries(check.violations).map(([name, count]) => [name, Number(count)]),
      ),
    }
  },
)
