import { z } from 'zod'
import { updateAccount } from '../../accounts/account-store.ts'
import { accountRoute } from '../../http/route.ts'
import { creditsJson, creditsSchema } from './credits.ts'
import { balanceLowField } from './expiring-credit-json.ts'

export const changeAlertsRoute = accountRoute(
  'videos:write',
  {
    method: 'patch',
    path: '/v1/credits',
    operationId: 'changeCreditAlerts',
    tag: 'account',
    summary: 'Set the balance below which balance.low is sent',
    description: 'To the webhook endpoints that ask for it, once each time the balance falls below it.',
    body: z.strictObject({ balance_low: balanceLowField }),
    example: { balance_low: '5' },
    answers: { 200: { description: 'Balances.', schema: creditsSchema } },
    errors: [],
  },
  async ({ context, key, body }) => {
    await updateAccount(context.db, key.accountId, { balance_low_micros: body.balance_low })
    return creditsJson(context, key.accountId)
  },
)
