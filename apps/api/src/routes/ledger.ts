import { z } from 'zod'
import { readAccount } from '../accounts/account-store.ts'
import { pageJson, pageQuery, pageSchema, requireCursorOf } from '../http/pages.ts'
import { accountRoute, scopedRoute } from '../http/route.ts'
import { listTransfers } from '../ledger/list-transfers.ts'
import type { Services } from '../services.ts'
import { accountIdParams } from './account-json.ts'
import { ledgerTransferJson, ledgerTransferSchema } from './transfer-json.ts'

const querySchema = z.strictObject(pageQuery)
const answers = {
  200: {
    description: 'One page, newest first.',
    schema: pageSchema(ledgerTransferSchema, 'LedgerTransferList'),
  },
}

export const readLedger = accountRoute(
  'videos:read',
  {
    method: 'get',
    path: '/v1/ledger',
    operationId: 'readLedger',
    tag: 'account',
    summary: "Every move of the account's money",
    query: querySchema,
    answers,
    errors: ['not_found'],
  },
  async ({ context, key, query, response }) => {
    response.json(await pageOf(context, key.accountId, query))
  },
)

export const readAccountLedger = scopedRoute(
  'admin',
  {
    method: 'get',
    path: '/v1/admin/accounts/{id}/ledger',
    operationId: 'readAccountLedger',
    tag: 'admin',
    summary: "Every move of an account's money",
    params: accountIdParams,
    query: querySchema,
    answers,
    errors: ['not_found'],
  },
  async ({ context, params, query, response }) => {
    const account = await readAccount(context.db, params.id)
    response.json(await pageOf(context, account.id, query))
  },
)

async function pageOf(context: Services, accountId: string, query: z.output<typeof querySchema>) {
  const { currency } = context.config
  requireCursorOf('txfr', query.after)
  const rows = await listTransfers(
    context.db,
    { accountId, currency },
    { after: query.after, limit: query.limit },
  )
  return pageJson(
    rows,
    query.limit,
    (row) => row.id,
    (row) => ledgerTransferJson(row, currency),
  )
}
