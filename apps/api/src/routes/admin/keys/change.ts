import type { Clock } from '@sluice/shared/clock'
import { z } from 'zod'
import { scopedRoute } from '../../../http/route.ts'
import { changeKey, type KeyChanges } from '../../../keys/change-key.ts'
import { keyIdParams, keyJson, keySchema } from '../../account/key-json.ts'
import { nameField, requireKnownModels } from '../fields.ts'
import {
  budgetIntervalField,
  expiresField,
  expiryOf,
  modelsField,
  queuedMaxField,
  requestsPerMinuteField,
  runningMaxField,
  scopesField,
  tokenBudgetField,
} from './key-fields.ts'

const bodySchema = z.strictObject({
  name: nameField.nullable().optional(),
  scopes: scopesField.optional(),
  models: modelsField.nullable().optional(),
  token_budget: tokenBudgetField.nullable().optional(),
  budget_interval: budgetIntervalField.nullable().optional(),
  requests_per_minute: requestsPerMinuteField.nullable().optional(),
  queued_max: queuedMaxField.nullable().optional(),
  running_max: runningMaxField.nullable().optional(),
  expires_at: expiresField.nullable().optional(),
})

export const changeKeyRoute = scopedRoute(
  'admin',
  {
    method: 'patch',
    path: '/v1/admin/keys/{id}',
    operationId: 'changeKey',
    tag: 'admin',
    summary: 'Change a key',
    description:
      'What is left out stays as it is; null clears. It holds from the next request on, a budget within its running interval too. A revoked key cannot be changed, and the key that asks cannot take admin from itself.',
    params: keyIdParams,
    body: bodySchema,
    example: { token_budget: 20_000_000, running_max: 2, requests_per_minute: null },
    answers: { 200: { description: 'The key as it is now.', schema: keySchema } },
    errors: ['not_found', 'state_conflict'],
  },
  async ({ context, key, params, body }) => {
    const changes = changesOf(context.clock, body)
    requireKnownModels(context.config.catalogue, body.models ?? [], 'models')
    return keyJson(await changeKey(context, key.id, params.id, changes))
  },
)

/** What the body asks to change. Throws SluiceError for an expiry that has passed. */
function changesOf(
  clock: Clock,
  { name, token_budget, budget_interval, expires_at, ...rest }: z.output<typeof bodySchema>,
): KeyChanges {
  return {
    ...rest,
    ...(name === undefined ? {} : { name: name ?? '' }),
    ...(token_budget === undefined
      ? {}
      : { token_budget: token_budget === null ? null : BigInt(token_budget) }),
    ...(budget_interval === undefined ? {} : { budget_interval: budget_interval ?? 'none' }),
    ...(expires_at === undefined ? {} : { expires_at: expiryOf(clock, expires_at) }),
  }
}
