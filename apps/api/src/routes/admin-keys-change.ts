import { isId } from '@sluice/shared/ids'
import { z } from 'zod'
import { recordChange } from '../audit/audit.ts'
import { transaction } from '../db/database.ts'
import { scopedRoute } from '../http/route.ts'
import { changeKey, type KeyChanges } from '../keys/change-key.ts'
import type { StoredKey } from '../keys/key-store.ts'
import { nameField, requireKnownModels } from './admin-fields.ts'
import {
  budgetIntervalField,
  dateOf,
  expiresField,
  modelsField,
  queuedMaxField,
  requestsPerMinuteField,
  runningMaxField,
  scopesField,
  tokenBudgetField,
} from './key-fields.ts'
import { keyIdParams, keyJson, keySchema, noSuchKey } from './key-json.ts'

const changeSchema = z.strictObject({
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

export const changeAdminKey = scopedRoute(
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
    body: changeSchema,
    example: { token_budget: 20_000_000, running_max: 2, requests_per_minute: null },
    answers: { 200: { description: 'The key as it is now.', schema: keySchema } },
    errors: ['not_found', 'state_conflict'],
  },
  async ({ context, key, params, body, response }) => {
    requireKnownModels(context.config.catalogue, body.models ?? [], 'models')
    const changed = await transaction(context.db, async (db) => {
      const found = isId('key', params.id) ? await changeKey(db, params.id, changesOf(body), key.id) : null
      if (found === null) throw noSuchKey()
      const details = differenceOf(found.before, found.after)
      if (details !== null)
        await recordChange(db, { keyId: key.id, action: 'key.changed', subject: params.id, details })
      return found.after
    })
    // A limit on what runs counts from the gate's next look on.
    context.wakeGate()
    response.json(keyJson(changed))
  },
)

function changesOf({
  name,
  token_budget,
  budget_interval,
  expires_at,
  ...rest
}: z.output<typeof changeSchema>): KeyChanges {
  return {
    ...rest,
    ...(name === undefined ? {} : { name: name ?? '' }),
    ...(token_budget === undefined
      ? {}
      : { token_budget: token_budget === null ? null : BigInt(token_budget) }),
    ...(budget_interval === undefined ? {} : { budget_interval: budget_interval ?? 'none' }),
    ...(expires_at === undefined ? {} : { expires_at: expires_at === null ? null : dateOf(expires_at) }),
  }
}

/** The fields that are others now, as they were and as they are; null when all are the same. */
function differenceOf(before: StoredKey, after: StoredKey): { before: object; after: object } | null {
  const [was, is] = [keyJson(before), keyJson(after)]
  const changed = Object.keys(is).filter(
    (field) => !isSame(was[field as keyof typeof was], is[field as keyof typeof is]),
  )
  if (changed.length === 0) return null
  const only = (key: object) =>
    Object.fromEntries(Object.entries(key).filter(([field]) => changed.includes(field)))
  return { before: only(was), after: only(is) }
}

function isSame(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}
