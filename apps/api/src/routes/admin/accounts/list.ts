import { z } from 'zod'
import { listAccounts } from '../../../accounts/account-store.ts'
import { pageOfRows, pageQuery, pageSchema, requireCursorOf } from '../../../http/pages.ts'
import { scopedRoute } from '../../../http/route.ts'
import { accountJson, accountSchema } from '../../account/account-json.ts'

export const listAccountsRoute = scopedRoute(
  'admin:read',
  {
    method: 'get',
    path: '/v1/admin/accounts',
    operationId: 'listAccounts',
    tag: 'admin',
    summary: 'The accounts, in pages',
    query: z.strictObject(pageQuery),
    answers: {
      200: { description: 'One page, newest first.', schema: pageSchema(accountSchema, 'AccountList') },
    },
    errors: ['not_found'],
  },
  async ({ context, query }) => {
    requireCursorOf('acct', query.after)
    const accounts = await listAccounts(context.db, query)
    return pageOfRows(accounts, query.limit, (account) => accountJson(account, context.config.currency))
  },
)
