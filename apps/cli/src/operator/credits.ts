import { randomUUID } from 'node:crypto'
import { moneySchema } from '@sluice/shared/public-video'
import { z } from 'zod'
import { isConfirmed, requireConfirmable, type YesFlag } from './confirm.ts'
import { minuteOf } from './minute-of.ts'
import type { AccountFlag, Operator } from './operator.ts'

const accountSchema = z.object({
  id: z.string(),
  name: z.string(),
  balance: moneySchema,
  paid: moneySchema,
  trial: moneySchema,
  held: moneySchema,
  balance_low: moneySchema.nullable(),
})
const movedSchema = moneySchema.extend({ account: accountSchema, credit_id: z.string().nullable() })
const creditSchema = z.object({
  id: z.string(),
  kind: z.enum(['paid', 'promotional']),
  granted: moneySchema,
  left: moneySchema,
  expires_at: z.int(),
})
const creditPageSchema = z.object({
  data: z.array(creditSchema),
  has_more: z.boolean(),
  last_id: z.string().nullable(),
})
type ExpiringCredit = z.infer<typeof creditSchema>
const refundSchema = movedSchema.omit({ credit_id: true }).extend({
  // A service of the version before names none.
  payments: z
    .array(moneySchema.extend({ payment_id: z.string(), intent: z.string().nullable() }))
    .default([]),
})

/** Prints what an account has, and what of it expires, in the order in which it is spent. */
export async function showCredits(operator: Operator, flags: AccountFlag): Promise<void> {
  const http = await operator.http()
  const path = accountPath(await operator.accountId(flags))
  const account = await http.call(accountSchema, path)
  operator.print(balanceLine(account))
  const { balance_low: low } = account
  if (low !== null) operator.print(`  balance.low below ${low.amount} ${low.currency}`)
  for (const credit of inSpendingOrder(await leftCredits(http, path))) operator.print(creditLine(credit))
}

async function leftCredits(
  http: Awaited<ReturnType<Operator['http']>>,
  path: string,
): Promise<ExpiringCredit[]> {
  const credits: ExpiringCredit[] = []
  for (let after = ''; ; ) {
    const page = await http.call(creditPageSchema, `${path}/credits?limit=100${after}`)
    credits.push(...page.data.filter(({ left }) => left.amount !== '0'))
    if (!page.has_more || page.last_id === null) return credits
    after = `&after=${page.last_id}`
  }
}

/** As they are spent: see ledger/purse.ts of the API. */
function inSpendingOrder(credits: readonly ExpiringCredit[]): ExpiringCredit[] {
  const isPaid = ({ kind }: ExpiringCredit) => Number(kind === 'paid')
  return credits.toSorted(
    (one, other) =>
      one.expires_at - other.expires_at || isPaid(one) - isPaid(other) || (one.id < other.id ? -1 : 1),
  )
}

function creditLine({ id, kind, granted, left, expires_at }: ExpiringCredit): string {
  const amounts = `${left.amount} of ${granted.amount} ${left.currency}`
  return `  ${id}  ${amounts} (${kind})  expires ${minuteOf(expires_at)}`
}

export interface Credit {
  /** A decimal number. */
  amount: string
  kind: 'paid' | 'promotional'
  /** In Unix seconds; undefined = it never expires. */
  expiresAt: number | undefined
  /** Undefined = every call moves money. */
  idempotencyKey: string | undefined
}

/** Adds paid money or promotional credit to an account. */
export async function addCredits(operator: Operator, flags: AccountFlag, credit: Credit): Promise<void> {
  const { amount, kind, expiresAt, idempotencyKey = randomUUID() } = credit
  const http = await operator.http()
  const path = accountPath(await operator.accountId(flags))
  const moved = await http.call(movedSchema, `${path}/credit`, {
    method: 'POST',
    body: { amount, kind, expires_at: expiresAt, idempotency_key: idempotencyKey },
  })
  const expiry = expiresAt === undefined ? '' : `, expires ${minuteOf(expiresAt)}: ${moved.credit_id}`
  operator.print(`added ${moved.amount} ${moved.currency} (${kind})${expiry}`)
  operator.print(balanceLine(moved.account))
}

/** Sets the balance below which `balance.low` is sent; null = never. */
export async function setBalanceLow(
  operator: Operator,
  flags: AccountFlag,
  amount: string | null,
): Promise<void> {
  const http = await operator.http()
  const path = accountPath(await operator.accountId(flags))
  const account = await http.call(accountSchema, path, { method: 'PATCH', body: { balance_low: amount } })
  const { balance_low: low } = account
  operator.print(low === null ? 'balance.low is not sent' : `balance.low below ${low.amount} ${low.currency}`)
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
  const moved = await http.call(refundSchema, `${path}/refund`, {
    method: 'POST',
    body: { idempotency_key: idempotencyKey },
  })
  operator.print(`to be paid back: ${moved.amount} ${moved.currency}`)
  for (const { payment_id, intent, amount, currency } of moved.payments) {
    operator.print(`of it, refund ${amount} ${currency} of ${payment_id} at the provider (${intent})`)
  }
  operator.print(balanceLine(moved.account))
}

function accountPath(accountId: string): string {
  return `/admin/accounts/${encodeURIComponent(accountId)}`
}

function balanceLine({ id, name, balance, paid, trial, held }: z.infer<typeof accountSchema>): string {
  const parts = `${paid.amount} paid, ${trial.amount} promotional`
  const spendable = `${balance.amount} ${balance.currency} to spend (${parts})`
  return `${id}  ${JSON.stringify(name)}  ${spendable}, ${held.amount} held`
}
