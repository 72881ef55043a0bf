import { accountRoute } from '../../../http/route.ts'
import { readAccountSecret } from '../../../webhooks/account-secret.ts'
import { accountSecretJson, accountSecretSchema } from './secret-json.ts'

export const readWebhookSecretRoute = accountRoute(
  'videos:write',
  {
    method: 'get',
    path: '/v1/webhook_secret',
    operationId: 'readWebhookSecret',
    tag: 'webhooks',
    summary: "The secret that signs deliveries to videos' own webhook_url",
    description: 'One for the account. Endpoints have secrets of their own.',
    answers: { 200: { description: 'The secret.', schema: accountSecretSchema } },
    errors: [],
  },
  async ({ context, key }) => accountSecretJson(await readAccountSecret(context.db, key.accountId)),
)
