import { unixSeconds } from '@sluice/shared/clock'
import { z } from 'zod'
import type { AccountSecret } from '../../../webhooks/account-secret.ts'
import { previousSecretUntilField, secretField, unixTimeField } from '../webhook-fields.ts'

export const accountSecretSchema = z
  .object({
    object: z.literal('webhook_secret'),
    secret: secretField,
    created_at: unixTimeField,
    previous_secret_expires_at: previousSecretUntilField,
  })
  .meta({ id: 'WebhookSecret' })

export function accountSecretJson(own: AccountSecret): z.input<typeof accountSecretSchema> {
  return {
    object: 'webhook_secret',
    secret: own.secret,
    created_at: unixSeconds(own.created_at),
    previous_secret_expires_at: unixSeconds(own.previous_secret_until),
  }
}
