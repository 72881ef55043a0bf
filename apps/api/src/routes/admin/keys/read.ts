import { scopedRoute } from '../../../http/route.ts'
import { readBudget } from '../../../keys/budget.ts'
import { readKey } from '../../../keys/key-store.ts'
import { budgetJson, budgetSchema, keyIdParams, keyJson, keySchema } from '../../account/key-json.ts'

export const readAdminKeyRoute = scopedRoute(
  'admin:read',
  {
    method: 'get',
    path: '/v1/admin/keys/{id}',
    operationId: 'readAdminKey',
    tag: 'admin',
    summary: 'A key and its budget',
    params: keyIdParams,
    answers: {
      200: {
        description: 'The key.',
        schema: keySchema.extend({ budget: budgetSchema.nullable() }).meta({ id: 'KeyWithBudget' }),
      },
    },
    errors: ['not_found'],
  },
  async ({ context, params }) => {
    const key = await readKey(context.db, params.id)
    return { ...keyJson(key), budget: budgetJson(key, await readBudget(context.db, key.id)) }
  },
)
