import { z } from 'zod'
import { pageQuery } from '../../http/pages.ts'
import { accountRoute } from '../../http/route.ts'
import { transferPage, transferPageAnswers } from './transfer-json.ts'

export const readLedgerRoute = accountRoute(
  'videos:read',
  {
    method: 'get',
    path: '/v1/ledger',
    operationId: 'readLedger',
    tag: 'account',
    summary: "Every move of the account's money",
    query: z.strictObject(pageQuery),
    answers: transferPageAnswers,
    errors: ['not_found'],
  },
  async ({ context, key, query }) => transferPage(context, key.accountId, query),
)
