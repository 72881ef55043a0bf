import { randomUUID } from 'node:crypto'
import { moneySchema } from '@sluice/shared/public-video'
import { z } from 'zod'
import { isConfirmed, requireConfirmable, type YesFlag } from './confirm.ts'
import type { AccountFlag, Operator } from './operator.ts'

const accountSchema = z.object({
  id: z.string(),
  name: z.string(),
  balance: moneySchema,
  paid: moneySchema,
  trial: moneySchema,
  held: moneySchema,
})
const movedSchema = moneySchema.extend({ account: accountSchema })

/** Prints what an account has. */
export async function showCredits(operator: Operator, flags: AccountFlag): Promise<void> {
  const http = await operator.http()
  const path = accountPath(await operator.accountId(flags))
  operator.print(balanceLine(await http.call(accountSchema, path)))
}

export interface Credit {
  /** A decimal number. */
  amount: string
  kind: 'paid' | 'trial'
  /** Undefined = every call moves money. */
  idempotencyKey: string | undefined
}

/** Adds paid money or trial credit to an account. */
export async function addCredits(operator: Operator, flags: AccountFlag, credit: Credit): Promise<void> {
  const { amount, kind, idempotencyKey = randomUUID() } = credit
  const http = await operator.http()
  const path = accountPath(await operator.accountId(flags))
  const moved = await http.call(movedSchema, `${path}/credit`, {
    method: 'POST',
    body: { amount, kind, idempotency_key: idempotencyKey },
  })
  operator.print(`added ${moved.amount} ${moved.currency} (${kind})`)
  operator.print(balanceLine(moved.account))
}

/** Takes the whole unused paid balance off an account, to be paid back. */
export async function refundCredits(
  operator: Operator,
  flags: AccountFlag & YesFlag,
  idempotencyKey: string = randomUUID(),
): Promise<void> {
  requireConfirmable(operator.questions, flags, 'credits refund')
  const http = await operator.http()
  const path = accountPath(await operator.accountId(flags))
  const { id, name, paid } = await http.call(accountSchema, path)
  const what = `Take ${paid.amount} ${paid.currency} off ${id} ${JSON.stringify(name)}, to pay it back?`
  if (!(await isConfirmed(operator.questions, flags, what))) throw new Error('nothing was refunded')
  const moved = await http.call(movedSchema, `${path}/refund`, {
    method: 'POST',
    body: { idempotency_key: idempotencyKey },
  })
  operator.print(`to be paid back: ${moved.amount} ${moved.currency}`)
  operator.print(balanceLine(moved.account))
}

function accountPath(accountId: string): string {
  return `/admin/accounts/${encodeURIComponent(accountId)}`
}

function balanceLine({ id, name, balance, paid, trial, held }: z.infer<typeof accountSchema>): string {
  const parts = `${paid.amount} paid, ${trial.amount} trial`
  const spendable = `${balance.amount} ${balance.currency} to spend (${parts})`
  return `${id}  ${JSON.stringify(name)}  ${spendable}, ${held.amount} held`
}
