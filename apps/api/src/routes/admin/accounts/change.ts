import { z } from 'zod'
import { changeAccount } from '../../../accounts/change-account.ts'
import { scopedRoute } from '../../../http/route.ts'
import { accountIdParams, accountJson } from '../../account/account-json.ts'
import { nameField } from '../fields.ts'
import { accountAnswers, accountSettingFields, settingsOf } from './account-fields.ts'

export const changeAccountRoute = scopedRoute(
  'admin',
  {
    method: 'patch',
    path: '/v1/admin/accounts/{id}',
    operationId: 'changeAccount',
    tag: 'admin',
    summary: 'Change an account',
    description: 'What is left out stays as it is.',
    params: accountIdParams,
    body: z.strictObject({ name: nameField.optional(), ...accountSettingFields }),
    example: { weight: 200 },
    answers: accountAnswers,
    errors: ['not_found'],
  },
  async ({ context, key, params, body }) =>
    accountJson(await changeAccount(context, key.id, params.id, settingsOf(body)), context.config.currency),
)
