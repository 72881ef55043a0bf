import { z } from 'zod'
import { pageQuery, requireCursorOf } from '../../../http/pages.ts'
import { scopedRoute } from '../../../http/route.ts'
import { listKeys } from '../../../keys/key-store.ts'
import { keyPage, keyPageAnswers } from './key-answers.ts'

export const listKeysRoute = scopedRoute(
  'admin:read',
  {
    method: 'get',
    path: '/v1/admin/keys',
    operationId: 'listKeys',
    tag: 'admin',
    summary: 'Every key there is',
    description: 'Of all accounts, admin keys and worker tokens; also expired and revoked ones.',
    query: z.strictObject(pageQuery),
    answers: keyPageAnswers,
    errors: ['not_found'],
  },
  async ({ context, query }) => {
    requireCursorOf('key', query.after)
    return keyPage(await listKeys(context.db, null, query), query.limit)
  },
)
