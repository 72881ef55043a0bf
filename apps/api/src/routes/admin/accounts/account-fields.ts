import { z } from 'zod'
import { accountSchema } from '../../account/account-json.ts'
import { balanceLowField } from '../../account/expiring-credit-json.ts'
import { videosField } from '../fields.ts'

/** What may be set of an account besides its name. */
export const accountSettingFields = {
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
  promises: z
    .boolean()
    .optional()
    .meta({ description: 'Its videos may be promised a time (deliver_by, max_wait); default false.' }),
  balance_low: balanceLowField.optional(),
}

/** The settings that a body names. */
export function settingsOf<Body extends { balance_low?: bigint | null | undefined }>({
  balance_low,
  ...others
}: Body) {
  return { ...others, ...(balance_low === undefined ? {} : { balance_low_micros: balance_low }) }
}

export const accountAnswers = { 200: { description: 'The account.', schema: accountSchema } }
