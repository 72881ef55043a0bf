import { z } from 'zod'
import { monthName } from '../../../accounts/statement.ts'
import { scopedRoute } from '../../../http/route.ts'
import { text } from '../../../text-field.ts'
import { accountIdParams } from '../../account/account-json.ts'
import { formatField, statementAnswers, statementReply } from '../../payments/statement-json.ts'

export const readAccountStatementRoute = scopedRoute(
  'admin:read',
  {
    method: 'get',
    path: '/v1/admin/accounts/{id}/statement',
    operationId: 'readAccountStatement',
    tag: 'admin',
    summary: "A month of an account's money",
    params: accountIdParams,
    query: z.strictObject({
      month: text(20)
        .optional()
        .meta({ description: 'The UTC month; without it, the one that is now.', example: '2026-11' }),
      format: formatField,
    }),
    answers: statementAnswers,
    errors: ['not_found', 'invalid_value'],
  },
  async ({ context, params, query, request }) => {
    const month = query.month ?? monthName(new Date(context.clock.now()))
    const asked = { accountId: params.id, month, format: query.format, field: 'month' }
    return statementReply(context, asked, request)
  },
)
