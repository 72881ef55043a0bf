import { z } from 'zod'
import { readAccount } from '../../../accounts/account-store.ts'
import { pageQuery } from '../../../http/pages.ts'
import { scopedRoute } from '../../../http/route.ts'
import { accountIdParams } from '../../account/account-json.ts'
import { transferPage, transferPageAnswers } from '../../account/transfer-json.ts'

export const readAccountLedgerRoute = scopedRoute(
  'admin:read',
  {
    method: 'get',
    path: '/v1/admin/accounts/{id}/ledger',
    operationId: 'readAccountLedger',
    tag: 'admin',
    summary: "Every move of an account's money",
    params: accountIdParams,
    query: z.strictObject(pageQuery),
    answers: transferPageAnswers,
    errors: ['not_found'],
  },
  async ({ context, params, query }) => {
    const account = await readAccount(context.db, params.id)
    return transferPage(context, account.id, query)
  },
)
