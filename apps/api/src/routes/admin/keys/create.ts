import { z } from 'zod'
import { scopedRoute } from '../../../http/route.ts'
import { OPERATOR_SCOPES } from '../../../keys/api-key.ts'
import { createKey } from '../../../keys/create-key.ts'
import { nameField } from '../fields.ts'
import { newKeyAnswers, newKeyJson } from './key-answers.ts'
import { expiresField, expiryOf } from './key-fields.ts'

const bodySchema = z.strictObject({
  name: nameField.optional(),
  scope: z
    .enum(OPERATOR_SCOPES)
    .meta({
      description:
        'admin: the calls below /v1/admin. admin:read: of these only those that change nothing. metrics:read: /metrics alone, for Prometheus. worker: a token for one GPU host.',
    }),
  expires_at: expiresField.optional(),
})

export const createOperatorKeyRoute = scopedRoute(
  'admin',
  {
    method: 'post',
    path: '/v1/admin/keys',
    operationId: 'createOperatorKey',
    tag: 'admin',
    summary: 'Make a key of the operator or a worker token',
    description: 'These belong to no account.',
    body: bodySchema,
    example: { name: 'gpu host 3', scope: 'worker' },
    answers: newKeyAnswers,
    errors: [],
  },
  async ({ context, key, body }) => {
    const newKey = await createKey(context, key.id, {
      accountId: null,
      scopes: [body.scope],
      kind: body.scope,
      name: body.name ?? '',
      expiresAt: expiryOf(context.clock, body.expires_at),
    })
    return newKeyJson(newKey)
  },
)
