import { accountRoute } from '../http/route.ts'
import { readAccountSecret, rotateAccountSecret } from '../webhooks/account-secret.ts'
import { accountSecretJson, accountSecretSchema } from './webhook-json.ts'

export const readWebhookSecret = accountRoute(
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
  async ({ context, key, response }) => {
    response.json(accountSecretJson(await readAccountSecret(context.db, key.accountId)))
  },
)

export const rotateWebhookSecret = accountRoute(
  'videos:write',
  {
    method: 'post',
    path: '/v1/webhook_secret/rotate',
    operationId: 'rotateWebhookSecret',
    tag: 'webhooks',
    summary: "Draw another secret for videos' own webhook_url",
    description: 'For 24 hours deliveries carry a signature of each, the new secret and the one before.',
    answers: { 200: { description: 'The new secret.', schema: accountSecretSchema } },
    errors: [],
  },
  async ({ context, key, response }) => {
    response.json(accountSecretJson(await rotateAccountSecret(context.db, key.accountId)))
  },
)
