import { z } from 'zod'
import { changeAccount, listAccounts, readAccount } from '../accounts/account-store.ts'
import { openAccount } from '../accounts/create-account.ts'
import { recordChange } from '../audit/audit.ts'
import { transaction } from '../db/database.ts'
import { pageJson, pageQuery, pageSchema, requireCursorOf } from '../http/pages.ts'
import { scopedRoute } from '../http/route.ts'
import { accountIdParams, accountJson, accountSchema } from './account-json.ts'
import { nameField, videosField } from './admin-fields.ts'

const settings = {
  name: nameField,
  weight: z
    .int()
    .min(1)
    .max(10_000)
    .optional()
    .meta({ description: 'Share of the GPUs relative to other accounts; 100 is usual.' }),
  queued_max: videosField.optional(),
  unfinished_max: videosField
    .nullable()
    .optional()
    .meta({ description: 'Queued and in progress together; more are refused. Null = no limit.' }),
  running_max: videosField
    .nullable()
    .optional()
    .meta({ description: 'Running at once, over all its keys; more wait queued. Null = no limit.' }),
}
const createSchema = z.strictObject(settings)
const changeSchema = z.strictObject({ ...settings, name: nameField.optional() })
const answers = { 200: { description: 'The account.', schema: accountSchema } }

const settingsOf = (body: z.output<typeof changeSchema>) => ({
  name: body.name,
  weight: body.weight,
  queuedMax: body.queued_max,
  unfinishedMax: body.unfinished_max,
  runningMax: body.running_max,
})

export const createAdminAccount = scopedRoute(
  'admin',
  {
    method: 'post',
    path: '/v1/admin/accounts',
    operationId: 'createAccount',
    tag: 'admin',
    summary: 'Open an account',
    description: 'It begins without money and without a key.',
    body: createSchema,
    example: { name: 'a studio', weight: 100, queued_max: 1000 },
    answers,
    errors: [],
  },
  async ({ context, key, body, response }) => {
    const { currency } = context.config
    const account = await transaction(context.db, async (db) => {
      const accountId = await openAccount(db, { ...settingsOf(body), name: body.name }, currency)
      await recordChange(db, {
        keyId: key.id,
        action: 'account.created',
        subject: accountId,
        details: { ...body },
      })
      return readAccount(db, accountId)
    })
    response.json(accountJson(account, currency))
  },
)

export const listAdminAccounts = scopedRoute(
  'admin',
  {
    method: 'get',
    path: '/v1/admin/accounts',
    operationId: 'listAccounts',
    tag: 'admin',
    summary: 'The accounts, in pages',
    query: z.strictObject(pageQuery),
    answers: {
      200: { description: 'One page, newest first.', schema: pageSchema(accountSchema, 'AccountList') },
    },
    errors: ['not_found'],
  },
  async ({ context, query, response }) => {
    requireCursorOf('acct', query.after)
    const rows = await listAccounts(context.db, query)
    const { currency } = context.config
    response.json(
      pageJson(
        rows,
        query.limit,
        (row) => row.id,
        (row) => accountJson(row, currency),
      ),
    )
  },
)

export const readAdminAccount = scopedRoute(
  'admin',
  {
    method: 'get',
    path: '/v1/admin/accounts/{id}',
    operationId: 'readAccount',
    tag: 'admin',
    summary: 'An account and what it has',
    params: accountIdParams,
    answers,
    errors: ['not_found'],
  },
  async ({ context, params, response }) => {
    response.json(accountJson(await readAccount(context.db, params.id), context.config.currency))
  },
)

export const changeAdminAccount = scopedRoute(
  'admin',
  {
    method: 'patch',
    path: '/v1/admin/accounts/{id}',
    operationId: 'changeAccount',
    tag: 'admin',
    summary: 'Change an account',
    description: 'What is left out stays as it is.',
    params: accountIdParams,
    body: changeSchema,
    example: { weight: 200 },
    answers,
    errors: ['not_found'],
  },
  async ({ context, key, params, body, response }) => {
    const account = await transaction(context.db, async (db) => {
      const { id } = await readAccount(db, params.id)
      if (Object.keys(body).length > 0) {
        await changeAccount(db, id, settingsOf(body))
        await recordChange(db, {
          keyId: key.id,
          action: 'account.changed',
          subject: id,
          details: { ...body },
        })
      }
      return readAccount(db, id)
    })
    // A weight and a limit count from the gate's next look on.
    context.wakeGate()
    response.json(accountJson(account, context.config.currency))
  },
)
