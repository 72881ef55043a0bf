import { originOf } from '../../../http/request-headers.ts'
import { accountRoute } from '../../../http/route.ts'
import { rotateAccountSecret } from '../../../webhooks/account-secret.ts'
import { accountSecretJson, accountSecretSchema } from './secret-json.ts'

export const rotateWebhookSecretRoute = accountRoute(
  'videos:write',
  {
    method: 'post',
    path: '/v1/webhook_secret/rotate',
    operationId: 'rotateWebhookSecret',
    tag: 'webhooks',
    summary: "Draw another secret for videos' own webhook_url",
    description: 'For 24 hours deliveries carry a signature of each, the new secret and the one before.',
    answers: { 200: { description: 'The new secret.', schema: accountSecretSchema } },
    // Of an Idempotency-Key that is too long.
    errors: ['invalid_value'],
  },
  async ({ context, key, request }) => {
    const { isRepeat } = originOf(request)
    return accountSecretJson(await rotateAccountSecret(context.db, key.accountId, { isRepeat }))
  },
)
