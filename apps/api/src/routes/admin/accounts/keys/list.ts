import { z } from 'zod'
import { readAccount } from '../../../../accounts/account-store.ts'
import { pageQuery, requireCursorOf } from '../../../../http/pages.ts'
import { scopedRoute } from '../../../../http/route.ts'
import { listKeys } from '../../../../keys/key-store.ts'
import { accountIdParams } from '../../../account/account-json.ts'
import { keyPage, keyPageAnswers } from '../../keys/key-answers.ts'

export const listAccountKeysRoute = scopedRoute(
  'admin:read',
  {
    method: 'get',
    path: '/v1/admin/accounts/{id}/keys',
    operationId: 'listAccountKeys',
    tag: 'admin',
    summary: "An account's keys",
    description: 'Also expired and revoked ones.',
    params: accountIdParams,
    query: z.strictObject(pageQuery),
    answers: keyPageAnswers,
    errors: ['not_found'],
  },
  async ({ context, params, query }) => {
    const account = await readAccount(context.db, params.id)
    requireCursorOf('key', query.after)
    return keyPage(await listKeys(context.db, account.id, query), query.limit)
  },
)
