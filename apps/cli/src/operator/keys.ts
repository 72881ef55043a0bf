import { z } from 'zod'
import { NONE } from '../arguments.ts'
import { isConfirmed, requireConfirmable, type YesFlag } from './confirm.ts'
import { minuteOf } from './minute-of.ts'
import type { AccountFlag, Operator } from './operator.ts'

const keySchema = z.object({
  id: z.string(),
  name: z.string(),
  prefix: z.string(),
  scopes: z.array(z.string()),
  models: z.array(z.string()).nullable(),
  token_budget: z.number().nullable(),
  budget_interval: z.string(),
  requests_per_minute: z.number().nullable(),
  queued_max: z.number().nullable(),
  running_max: z.number().nullable(),
  expires_at: z.number().nullable(),
  revoked_at: z.number().nullable(),
})
type Key = z.infer<typeof keySchema>
const pageSchema = z.object({
  data: z.array(keySchema),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
})

/** The flags of `sluice keys create` and `sluice keys change`. */
export interface KeyFlags {
  name?: string
  scope?: string[]
  model?: string[]
  budget?: number | typeof NONE
  interval?: string
  rpm?: number | typeof NONE
  queued?: number | typeof NONE
  running?: number | typeof NONE
  expires?: number | typeof NONE
}

/** Prints an account's keys, newest first, one a line. */
export async function listKeys(operator: Operator, flags: AccountFlag): Promise<void> {
  const http = await operator.http()
  const path = accountKeysPath(await operator.accountId(flags))
  for (let after = ''; ; ) {
    const page = await http.call(pageSchema, `${path}?limit=100${after}`)
    for (const key of page.data) operator.print(keyLine(key))
    if (!page.has_more) return
    after = `&after=${encodeURIComponent(page.last_id ?? '')}`
  }
}

/** The flags of `sluice keys create`. */
export interface NewKeyFlags extends KeyFlags, AccountFlag {
  /** The scope of a key of the operator; undefined = a key for an account. */
  operator?: string
}

/** Creates a key for an account, or one of the operator, and prints it, this once. */
export async function createKey(operator: Operator, flags: NewKeyFlags): Promise<void> {
  const http = await operator.http()
  const isOfOperator = flags.operator !== undefined
  const path = isOfOperator ? '/admin/keys' : accountKeysPath(await operator.accountId(flags))
  const created = await http.call(keySchema.extend({ key: z.string() }), path, {
    method: 'POST',
    body: { ...fieldsOf(flags), ...(isOfOperator ? { scope: flags.operator } : {}) },
  })
  operator.print(keyLine(created))
  operator.print(created.key)
}

/** Changes what the flags name, leaves the rest, and prints the key as it is now. */
export async function changeKey(operator: Operator, keyId: string, flags: KeyFlags): Promise<void> {
  const http = await operator.http()
  const changed = await http.call(keySchema, keyPath(keyId), { method: 'PATCH', body: fieldsOf(flags) })
  operator.print(keyLine(changed))
}

/** Revokes a key for good. */
export async function revokeKey(operator: Operator, keyId: string, flags: YesFlag): Promise<void> {
  requireConfirmable(operator.questions, flags, 'keys revoke')
  const what = `Revoke ${keyId}, so that every call with it is refused?`
  if (!(await isConfirmed(operator.questions, flags, what))) throw new Error('no key was revoked')
  const http = await operator.http()
  operator.print(keyLine(await http.call(keySchema, keyPath(keyId), { method: 'DELETE' })))
}

function accountKeysPath(accountId: string): string {
  return `/admin/accounts/${encodeURIComponent(accountId)}/keys`
}

function keyPath(keyId: string): string {
  return `/admin/keys/${encodeURIComponent(keyId)}`
}

function fieldsOf(flags: KeyFlags): Record<string, unknown> {
  const limit = <Value>(flag: Value | typeof NONE) => (flag === NONE ? null : flag)
  return {
    name: flags.name,
    scopes: flags.scope,
    models: flags.model?.join() === NONE ? null : flags.model,
    token_budget: limit(flags.budget),
    budget_interval: flags.interval,
    requests_per_minute: limit(flags.rpm),
    queued_max: limit(flags.queued),
    running_max: limit(flags.running),
    expires_at: limit(flags.expires),
  }
}

function keyLine(key: Key): string {
  const facts = [
    key.name === '' ? null : JSON.stringify(key.name),
    key.scopes.join(' '),
    key.models === null ? null : `models ${key.models.join(' ')}`,
    key.token_budget === null
      ? null
      : `${key.token_budget} tokens${key.budget_interval === 'none' ? '' : ` per ${key.budget_interval}`}`,
    key.requests_per_minute === null ? null : `${key.requests_per_minute} requests a minute`,
    key.queued_max === null ? null : `at most ${key.queued_max} queued`,
    key.running_max === null ? null : `at most ${key.running_max} running`,
    key.expires_at === null ? null : `expires ${minuteOf(key.expires_at)}`,
    key.revoked_at === null ? null : `revoked ${minuteOf(key.revoked_at)}`,
  ]
  return [`${key.id}  ${key.prefix}...`, ...facts.filter((fact) => fact !== null)].join('  ')
}
