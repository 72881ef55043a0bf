import { accountRoute } from '../../http/route.ts'
import { monthList, monthListAnswers } from './statement-json.ts'

export const listStatementsRoute = accountRoute(
  'videos:read',
  {
    method: 'get',
    path: '/v1/statements',
    operationId: 'listStatements',
    tag: 'payments',
    summary: "The account's months",
    answers: monthListAnswers,
    errors: [],
  },
  async ({ context, key }) => monthList(context, key.accountId),
)
