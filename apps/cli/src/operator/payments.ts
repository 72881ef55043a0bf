import { moneySchema } from '@sluice/shared/public-video'
import { z } from 'zod'
import { isConfirmed, requireConfirmable, type YesFlag } from './confirm.ts'
import type { AccountFlag, Operator } from './operator.ts'

const paymentSchema = z.object({
  id: z.string(),
  session: z.string(),
  intent: z.string().nullable(),
  account_id: z.string().nullable(),
  reference: z.string().nullable(),
  status: z.string(),
  problem: z.string().nullable(),
  paid: moneySchema,
  credited: moneySchema,
  taken_back: moneySchema,
  refunded: moneySchema,
  owed: moneySchema,
  waived: moneySchema,
  is_live: z.boolean(),
  created_at: z.number(),
})
type Payment = z.infer<typeof paymentSchema>
const pageSchema = z.object({
  data: z.array(paymentSchema),
  last_id: z.string().nullable(),
  has_more: z.boolean(),
})

/** Prints payments, newest first, one a line. */
export async function listPayments(
  operator: Operator,
  filter: AccountFlag & { status?: string },
): Promise<void> {
  const http = await operator.http()
  const query = new URLSearchParams({ limit: '100' })
  if (filter.account !== undefined) query.set('account_id', filter.account)
  if (filter.status !== undefined) query.set('status', filter.status)
  for (;;) {
    const page = await http.call(pageSchema, `/admin/payments?${query}`)
    for (const payment of page.data) operator.print(paymentLine(payment))
    if (!page.has_more) return
    query.set('after', page.last_id ?? '')
  }
}

/** Credits a payment that nobody was credited for; `amount` is of the ledger's currency. */
export async function creditPayment(
  operator: Operator,
  paymentId: string,
  { account, amount }: { account: string; amount?: string },
): Promise<void> {
  const http = await operator.http()
  const body = { account_id: account, ...(amount === undefined ? {} : { amount }) }
  const path = `${paymentPath(paymentId)}/credit`
  const payment = await http.call(paymentSchema, path, { method: 'POST', body })
  operator.print(paymentLine(payment))
  if (payment.intent === null) {
    operator.print(
      `Refunds and disputes do not name ${payment.id}, so they take nothing back by themselves: if it is paid back, take what is unused off with \`sluice credits refund\`.`,
    )
  }
}

/** Puts a payment aside that is for no account. */
export async function dismissPayment(operator: Operator, paymentId: string): Promise<void> {
  const http = await operator.http()
  const path = `${paymentPath(paymentId)}/dismiss`
  operator.print(paymentLine(await http.call(paymentSchema, path, { method: 'POST' })))
}

/** Gives up what is still owed of a payment. */
export async function waivePayment(operator: Operator, paymentId: string, flags: YesFlag): Promise<void> {
  requireConfirmable(operator.questions, flags, 'payments waive')
  const what = `Give up what is still owed of ${paymentId}?`
  if (!(await isConfirmed(operator.questions, flags, what))) throw new Error('nothing was waived')
  const http = await operator.http()
  const path = `${paymentPath(paymentId)}/waive`
  operator.print(paymentLine(await http.call(paymentSchema, path, { method: 'POST' })))
}

function paymentPath(paymentId: string): string {
  return `/admin/payments/${encodeURIComponent(paymentId)}`
}

function paymentLine(payment: Payment): string {
  const { id, status, problem, account_id: account, reference, paid, credited } = payment
  const moved = (['taken_back', 'refunded', 'owed', 'waived'] as const)
    .filter((field) => payment[field].amount !== '0')
    .map((field) => `${payment[field].amount} ${field.replace('_', ' ')}`)
  const facts = [
    new Date(payment.created_at * 1_000).toISOString().slice(0, 16).replace('T', ' '),
    problem === null ? status : `${status} (${problem.replaceAll('_', ' ')})`,
    account ?? (reference === null ? 'for nobody' : `for ${JSON.stringify(reference)}`),
    `${paid.amount} ${paid.currency} paid`,
    credited.amount === '0' ? null : `${credited.amount} ${credited.currency} credited`,
    ...moved,
    payment.is_live ? null : 'test mode',
    payment.session,
  ]
  return [id, ...facts.filter((fact) => fact !== null)].join('  ')
}
