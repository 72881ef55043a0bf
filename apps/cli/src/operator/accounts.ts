import { moneySchema } from '@sluice/shared/public-video'
import { z } from 'zod'
import { NONE } from '../arguments.ts'
import type { AccountFlag, Operator } from './operator.ts'

const accountSchema = z.object({
  id: z.string(),
  name: z.string(),
  weight: z.number(),
  queued_max: z.number(),
  unfinished_max: z.number().nullable(),
  running_max: z.number().nullable(),
  promises: z.boolean().optional(),
  balance: moneySchema,
  queued: z.number(),
  in_progress: z.number(),
})
type Account = z.infer<typeof accountSchema>
const pageSchema = z.object({
  data: z.array(accountSchema),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
})

/** What an operator sets of an account. */
export interface AccountSettingFlags {
  name?: string
  weight?: number
  queued?: number
  unfinished?: number | typeof NONE
  running?: number | typeof NONE
  promises?: 'on' | 'off'
}

/** Prints the accounts, newest first, one a line. */
export async function listAccounts(operator: Operator): Promise<void> {
  const http = await operator.http()
  for (let after = ''; ; ) {
    const page = await http.call(pageSchema, `/admin/accounts?limit=100${after}`)
    for (const account of page.data) operator.print(accountLine(account))
    if (!page.has_more) return
    after = `&after=${encodeURIComponent(page.last_id ?? '')}`
  }
}

/** Opens an account without money and without a key, and prints it. */
export async function openAccount(operator: Operator, flags: AccountSettingFlags): Promise<void> {
  const http = await operator.http()
  const body = fieldsOf(flags)
  operator.print(accountLine(await http.call(accountSchema, '/admin/accounts', { method: 'POST', body })))
}

/** Changes what the flags name, leaves the rest, and prints the account as it is now. */
export async function changeAccount(
  operator: Operator,
  flags: AccountSettingFlags & AccountFlag,
): Promise<void> {
  const http = await operator.http()
  const path = `/admin/accounts/${encodeURIComponent(await operator.accountId(flags))}`
  const body = fieldsOf(flags)
  operator.print(accountLine(await http.call(accountSchema, path, { method: 'PATCH', body })))
}

function fieldsOf(flags: AccountSettingFlags): Record<string, unknown> {
  const limit = (flag: number | typeof NONE | undefined) => (flag === NONE ? null : flag)
  return {
    name: flags.name,
    weight: flags.weight,
    queued_max: flags.queued,
    unfinished_max: limit(flags.unfinished),
    running_max: limit(flags.running),
    promises: flags.promises === undefined ? undefined : flags.promises === 'on',
  }
}

function accountLine(account: Account): string {
  const { balance } = account
  const facts = [
    JSON.stringify(account.name),
    `${balance.amount} ${balance.currency} to spend`,
    `${account.queued} queued, ${account.in_progress} in progress`,
    account.weight === 100 ? null : `weight ${account.weight}`,
    `at most ${account.queued_max} queued`,
    account.unfinished_max === null ? null : `at most ${account.unfinished_max} unfinished`,
    account.running_max === null ? null : `at most ${account.running_max} running`,
    account.promises === true ? 'promised times' : null,
  ]
  return [account.id, ...facts.filter((fact) => fact !== null)].join('  ')
}
