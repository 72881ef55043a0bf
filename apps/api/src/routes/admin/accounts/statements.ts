import { readAccount } from '../../../accounts/account-store.ts'
import { scopedRoute } from '../../../http/route.ts'
import { accountIdParams } from '../../account/account-json.ts'
import { monthList, monthListAnswers } from '../../payments/statement-json.ts'

export const listAccountStatementsRoute = scopedRoute(
  'admin:read',
  {
    method: 'get',
    path: '/v1/admin/accounts/{id}/statements',
    operationId: 'listAccountStatements',
    tag: 'admin',
    summary: "An account's months",
    params: accountIdParams,
    answers: monthListAnswers,
    errors: ['not_found'],
  },
  async ({ context, params }) => monthList(context, (await readAccount(context.db, params.id)).id),
)
