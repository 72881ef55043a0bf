import { z } from 'zod'
import { accountRoute } from '../../http/route.ts'
import { formatField, statementAnswers, statementReply } from './statement-json.ts'

export const readStatementRoute = accountRoute(
  'videos:read',
  {
    method: 'get',
    path: '/v1/statements/{id}',
    operationId: 'readStatement',
    tag: 'payments',
    summary: "A month of the account's money: balances, credits, charges by model and tier",
    params: z.object({ id: z.string().meta({ description: 'The UTC month.', example: '2026-11' }) }),
    query: z.strictObject({ format: formatField }),
    answers: statementAnswers,
    errors: ['invalid_value'],
  },
  async ({ context, key, params, query, request }) =>
    statementReply(
      context,
      { accountId: key.accountId, month: params.id, format: query.format, field: 'id' },
      request,
    ),
)
