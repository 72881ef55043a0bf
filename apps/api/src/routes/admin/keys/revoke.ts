import { scopedRoute } from '../../../http/route.ts'
import { revokeKey } from '../../../keys/revoke-key.ts'
import { keyIdParams, keyJson, keySchema } from '../../account/key-json.ts'

export const revokeKeyRoute = scopedRoute(
  'admin',
  {
    method: 'delete',
    path: '/v1/admin/keys/{id}',
    operationId: 'revokeKey',
    tag: 'admin',
    summary: 'Revoke a key',
    description:
      'From the next request on, for good. Its videos go on. The key that asks cannot revoke itself.',
    params: keyIdParams,
    answers: { 200: { description: 'The key, revoked.', schema: keySchema } },
    errors: ['not_found', 'state_conflict'],
  },
  async ({ context, key, params }) => keyJson(await revokeKey(context, key.id, params.id)),
)
