import { isId } from '@sluice/shared/ids'
import { z } from 'zod'
import { readAccount } from '../accounts/account-store.ts'
import { recordChange } from '../audit/audit.ts'
import { transaction } from '../db/database.ts'
import { SluiceError } from '../errors.ts'
import { pageJson, pageQuery, pageSchema, requireCursorOf } from '../http/pages.ts'
import { scopedRoute } from '../http/route.ts'
import { createKey, type KeySettings, NO_LIMITS } from '../keys/api-key.ts'
import { readBudget } from '../keys/budget.ts'
import { listKeys, readKey, revokeKey, type StoredKey } from '../keys/key-store.ts'
import type { Services } from '../services.ts'
import { accountIdParams } from './account-json.ts'
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
import { budgetJson, budgetSchema, keyIdParams, keyJson, keySchema, noSuchKey } from './key-json.ts'

const accountKeySchema = z.strictObject({
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

const operatorKeySchema = z.strictObject({
  name: nameField.optional(),
  scope: z
    .enum(['admin', 'worker'])
    .meta({ description: 'admin: the calls below /v1/admin. worker: a token for one GPU host.' }),
  expires_at: expiresField.optional(),
})

const newKeySchema = keySchema
  .extend({ key: z.string().meta({ description: 'The secret. Shown this once.' }) })
  .meta({ id: 'NewKey' })
const newAnswers = { 200: { description: 'The key with its secret.', schema: newKeySchema } }
const listAnswers = {
  200: { description: 'One page, newest first.', schema: pageSchema(keySchema, 'KeyList') },
}

/** Makes a key and notes it in one transaction. */
async function addKey(
  context: Services,
  adminKeyId: string,
  settings: KeySettings & { kind: Parameters<typeof createKey>[1]['kind'] },
) {
  return transaction(context.db, async (db) => {
    if (settings.accountId !== null) await readAccount(db, settings.accountId)
    const { id, secret } = await createKey(db, settings)
    const stored = await readKey(db, id)
    if (stored === null) throw new Error(`key ${id} vanished`)
    const { object: _object, id: _id, revoked_at: _revokedAt, ...details } = keyJson(stored)
    await recordChange(db, { keyId: adminKeyId, action: 'key.created', subject: id, details })
    return { ...keyJson(stored), key: secret }
  })
}

export const createAccountKey = scopedRoute(
  'admin',
  {
    method: 'post',
    path: '/v1/admin/accounts/{id}/keys',
    operationId: 'createAccountKey',
    tag: 'admin',
    summary: 'Make a key for an account',
    params: accountIdParams,
    body: accountKeySchema,
    example: { name: 'web shop', token_budget: 10_000_000, budget_interval: 'day', requests_per_minute: 60 },
    answers: newAnswers,
    errors: ['not_found'],
  },
  async ({ context, key, params, body, response }) => {
    const account = await readAccount(context.db, params.id)
    requireKnownModels(context.config.catalogue, body.models ?? [], 'models')
    response.json(
      await addKey(context, key.id, {
        accountId: account.id,
        scopes: body.scopes,
        kind: body.scopes.includes('admin') ? 'admin' : 'account',
        name: body.name ?? '',
        expiresAt: body.expires_at === undefined ? null : dateOf(body.expires_at),
        limits: {
          models: body.models ?? null,
          tokenBudget: body.token_budget === undefined ? null : BigInt(body.token_budget),
          budgetInterval: body.budget_interval,
          requestsPerMinute: body.requests_per_minute ?? null,
          queuedMax: body.queued_max ?? null,
          runningMax: body.running_max ?? null,
        },
      }),
    )
  },
)

export const createOperatorKey = scopedRoute(
  'admin',
  {
    method: 'post',
    path: '/v1/admin/keys',
    operationId: 'createOperatorKey',
    tag: 'admin',
    summary: 'Make an admin key or a worker token',
    description: 'These belong to no account.',
    body: operatorKeySchema,
    example: { name: 'gpu host 3', scope: 'worker' },
    answers: newAnswers,
    errors: [],
  },
  async ({ context, key, body, response }) => {
    response.json(
      await addKey(context, key.id, {
        accountId: null,
        scopes: [body.scope],
        kind: body.scope,
        name: body.name ?? '',
        expiresAt: body.expires_at === undefined ? null : dateOf(body.expires_at),
        limits: NO_LIMITS,
      }),
    )
  },
)

export const listAccountKeys = scopedRoute(
  'admin',
  {
    method: 'get',
    path: '/v1/admin/accounts/{id}/keys',
    operationId: 'listAccountKeys',
    tag: 'admin',
    summary: "An account's keys",
    description: 'Also expired and revoked ones.',
    params: accountIdParams,
    query: z.strictObject(pageQuery),
    answers: listAnswers,
    errors: ['not_found'],
  },
  async ({ context, params, query, response }) => {
    const account = await readAccount(context.db, params.id)
    requireCursorOf('key', query.after)
    response.json(keyPage(await listKeys(context.db, account.id, query), query.limit))
  },
)

export const listAllKeys = scopedRoute(
  'admin',
  {
    method: 'get',
    path: '/v1/admin/keys',
    operationId: 'listKeys',
    tag: 'admin',
    summary: 'Every key there is',
    description: 'Of all accounts, admin keys and worker tokens; also expired and revoked ones.',
    query: z.strictObject(pageQuery),
    answers: listAnswers,
    errors: ['not_found'],
  },
  async ({ context, query, response }) => {
    requireCursorOf('key', query.after)
    response.json(keyPage(await listKeys(context.db, null, query), query.limit))
  },
)

export const readAdminKey = scopedRoute(
  'admin',
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
  async ({ context, params, response }) => {
    const key = isId('key', params.id) ? await readKey(context.db, params.id) : null
    if (key === null) throw noSuchKey()
    response.json({ ...keyJson(key), budget: budgetJson(key, await readBudget(context.db, key.id)) })
  },
)

export const revokeAdminKey = scopedRoute(
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
  async ({ context, key, params, response }) => {
    if (params.id === key.id) {
      throw new SluiceError(
        'state_conflict',
        'This is the key you ask with: revoke it with another admin key.',
        'key_id',
      )
    }
    const revoked = await transaction(context.db, async (db) => {
      const found = isId('key', params.id) ? await revokeKey(db, params.id) : null
      if (found === null) throw noSuchKey()
      if (found.isNew) {
        const details = { account_id: found.key.account_id, name: found.key.name, prefix: found.key.prefix }
        await recordChange(db, { keyId: key.id, action: 'key.revoked', subject: found.key.id, details })
      }
      return found.key
    })
    response.json(keyJson(revoked))
  },
)

function keyPage(rows: readonly StoredKey[], limit: number) {
  return pageJson(rows, limit, (row) => row.id, keyJson)
}
