import { z } from 'zod'
import { readAccount } from '../../../../accounts/account-store.ts'
import { scopedRoute } from '../../../../http/route.ts'
import type { KeyLimits } from '../../../../keys/api-key.ts'
import { createKey } from '../../../../keys/create-key.ts'
import { accountIdParams } from '../../../account/account-json.ts'
import { nameField, requireKnownModels } from '../../fields.ts'
import { newKeyAnswers, newKeyJson } from '../../keys/key-answers.ts'
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
} from '../../keys/key-fields.ts'

const bodySchema = z.strictObject({
  name: nameField.optional(),
  scopes: scopesField.default(['videos:read', 'videos:write']),
  models: modelsField.optional(),
  token_budget: tokenBudgetField.optional(),
  budget_interval: budgetIntervalField.default('none'),
  requests_per_minute: requestsPerMinuteField.optional(),
  queued_max: queuedMaxField.optional(),
  running_max: runningMaxField.optional(),
  expires_at: expiresField.optional(),
})

export const createAccountKeyRoute = scopedRoute(
  'admin',
  {
    method: 'post',
    path: '/v1/admin/accounts/{id}/keys',
    operationId: 'createAccountKey',
    tag: 'admin',
    summary: 'Make a key for an account',
    params: accountIdParams,
    body: bodySchema,
    example: { name: 'web shop', token_budget: 10_000_000, budget_interval: 'day', requests_per_minute: 60 },
    answers: newKeyAnswers,
    errors: ['not_found'],
  },
  async ({ context, key, params, body }) => {
    const expiresAt = expiryOf(context.clock, body.expires_at)
    const account = await readAccount(context.db, params.id)
    requireKnownModels(context.config.catalogue, body.models ?? [], 'models')
    const newKey = await createKey(context, key.id, {
      accountId: account.id,
      scopes: body.scopes,
      kind: body.scopes.includes('admin') ? 'admin' : 'account',
      name: body.name ?? '',
      expiresAt,
      limits: requestedLimits(body),
    })
    return newKeyJson(newKey)
  },
)

function requestedLimits(body: z.output<typeof bodySchema>): KeyLimits {
  return {
    models: body.models ?? null,
    tokenBudget: body.token_budget === undefined ? null : BigInt(body.token_budget),
    budgetInterval: body.budget_interval,
    requestsPerMinute: body.requests_per_minute ?? null,
    queuedMax: body.queued_max ?? null,
    runningMax: body.running_max ?? null,
  }
}
