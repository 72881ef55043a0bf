import { z } from 'zod'
import { openAccount } from '../../../accounts/open-account.ts'
import { scopedRoute } from '../../../http/route.ts'
import { accountJson } from '../../account/account-json.ts'
import { nameField } from '../fields.ts'
import { accountAnswers, accountSettingFields, settingsOf } from './account-fields.ts'

export const createAccountRoute = scopedRoute(
  'admin',
  {
    method: 'post',
    path: '/v1/admin/accounts',
    operationId: 'createAccount',
    tag: 'admin',
    summary: 'Open an account',
    description: 'It begins without money and without a key.',
    body: z.strictObject({ name: nameField, ...accountSettingFields }),
    example: { name: 'a studio', weight: 100, queued_max: 1000 },
    answers: accountAnswers,
    errors: [],
  },
  async ({ context, key, body }) =>
    accountJson(await openAccount(context, key.id, settingsOf(body)), context.config.currency),
)
