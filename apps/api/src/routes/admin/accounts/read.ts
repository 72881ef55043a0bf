import { readAccount } from '../../../accounts/account-store.ts'
import { scopedRoute } from '../../../http/route.ts'
import { accountIdParams, accountJson } from '../../account/account-json.ts'
import { accountAnswers } from './account-fields.ts'

export const readAccountRoute = scopedRoute(
  'admin:read',
  {
    method: 'get',
    path: '/v1/admin/accounts/{id}',
    operationId: 'readAccount',
    tag: 'admin',
    summary: 'An account and what it has',
    params: accountIdParams,
    answers: accountAnswers,
    errors: ['not_found'],
  },
  async ({ context, params }) =>
    accountJson(await readAccount(context.db, params.id), context.config.currency),
)
