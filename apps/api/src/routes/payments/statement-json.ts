import { unixSeconds } from '@sluice/shared/clock'
import { formatMicros } from '@sluice/shared/money'
import type { Request } from 'express'
import { z } from 'zod'
import { readAccount } from '../../accounts/account-store.ts'
import {
  listMonths,
  type MonthSummary,
  monthName,
  monthOf,
  readStatement,
  STATEMENT_KINDS,
  type Statement,
} from '../../accounts/statement.ts'
import { invalidValue } from '../../errors.ts'
import { csvReply } from '../../http/csv.ts'
import { JsonReply, type RawReply } from '../../http/reply.ts'
import type { Services } from '../../services.ts'
import { statementPage } from './statement-page.ts'

const FORMATS = ['json', 'csv', 'html'] as const

export const formatField = z
  .enum(FORMATS)
  .optional()
  .meta({ description: 'html: a page to print. Without it, what Accept prefers.' })

const amount = (description: string, example: string) => z.string().meta({ description, example })
const summaryFields = {
  id: z.string().meta({ description: 'The UTC month.', example: '2026-11' }),
  object: z.literal('statement'),
  from: z.int(),
  to: z.int(),
  currency: z.string(),
  is_final: z.boolean().meta({ description: 'False until a quarter of an hour after the month.' }),
  opening_balance: amount('What the account had when the month began, with what was held.', '12.5'),
  closing_balance: amount('What it had when the month ended, or has now.', '37.41684'),
}

export const statementSchema = z
  .object({
    ...summaryFields,
    account_id: z.string(),
    account_name: z.string().meta({ example: 'a studio' }),
    movements: z
      .array(z.object({ kind: z.enum(STATEMENT_KINDS), transfers: z.int(), amount: amount('Signed.', '25') }))
      .meta({
        description:
          'By kind: top_up is paid credit, trial_grant promotional credit, rebate what missed promises gave back, reversal and reinstatement what refunds and disputes of payments took and gave again.',
      }),
    charges: z
      .array(
        z.object({
          model: z.string(),
          service_tier: z.string(),
          videos: z.int().meta({ description: 'That were charged.' }),
          generated_tokens: z.int(),
          cost: amount('Exact, before rebates.', '0.08316'),
        }),
      )
      .meta({ description: 'Of videos that ended in the month.' }),
    transfers: z
      .array(
        z.object({
          id: z.string().meta({ example: 'txfr_01m84f0j8df20bh2fw7sqrp04k' }),
          kind: z.enum(STATEMENT_KINDS),
          amount: z.string(),
          created_at: z.int(),
        }),
      )
      .meta({ description: 'What no video moved, oldest first: at most 1,000. The ledger has all.' }),
  })
  .meta({
    id: 'Statement',
    description: 'opening_balance + movements - charges = closing_balance, to the micro-unit.',
  })

export const statementAnswers = {
  200: {
    description: 'JSON, or CSV, or a page to print when asked for.',
    schema: statementSchema,
    contentTypes: ['text/csv', 'text/html'],
  },
} as const

export const monthListAnswers = {
  200: {
    description: 'Newest first, from the first month in which money moved.',
    schema: z
      .object({
        object: z.literal('list'),
        data: z.array(
          z
            .object({
              ...summaryFields,
              moved: amount('What came in and went out beside charges.', '25'),
              charged: amount('For videos.', '0.08316'),
            })
            .meta({ id: 'StatementSummary' }),
        ),
      })
      .meta({ id: 'StatementList' }),
  },
} as const

/** The list of an account's statements. */
export async function monthList({ db, config }: Services, accountId: string) {
  const months = await listMonths(db, accountId)
  return {
    object: 'list' as const,
    data: months.map((month) => ({
      ...summaryJson(month, monthOf(monthName(month.from))?.to ?? month.from, config.currency),
      moved: formatMicros(month.movedMicros),
      charged: formatMicros(month.chargedMicros),
    })),
  }
}

/**
 * An account's statement of a month such as `2026-11`, in the form that the request asks for. Throws
 * SluiceError for an unknown account, for what is no month, and for one that has not begun.
 */
export async function statementReply(
  { db, config, clock }: Services,
  asked: { accountId: string; month: string; format: (typeof FORMATS)[number] | undefined; field: string },
  request: Request,
): Promise<JsonReply<z.input<typeof statementSchema>> | RawReply> {
  const month = monthOf(asked.month)
  if (month === null || month.from.getTime() > clock.now())
    throw invalidValue(asked.field, asked.month, 'a UTC month that has begun, such as 2026-11')
  const account = await readAccount(db, asked.accountId)
  const statement = await readStatement(db, account.id, month)
  const format = asked.format ?? preferred(request)
  const { currency } = config
  if (format === 'csv') return csvReply(`statement-${asked.month}.csv`, statementLines(statement, currency))
  if (format === 'html')
    return statementPage(statement, { account, currency, issuer: new URL(config.http.publicUrl).host })
  return new JsonReply(statementJson(statement, account, currency), { headers: { vary: 'Accept' } })
}

function preferred(request: Request): (typeof FORMATS)[number] {
  const type = request.accepts(['application/json', 'text/csv', 'text/html'])
  if (type === 'text/html') return 'html'
  return type === 'text/csv' ? 'csv' : 'json'
}

function summaryJson(
  month: Pick<MonthSummary, 'from' | 'isFinal' | 'openingMicros' | 'closingMicros'>,
  to: Date,
  currency: string,
) {
  return {
    id: monthName(month.from),
    object: 'statement' as const,
    from: unixSeconds(month.from),
    to: unixSeconds(to),
    currency,
    is_final: month.isFinal,
    opening_balance: formatMicros(month.openingMicros),
    closing_balance: formatMicros(month.closingMicros),
  }
}

function statementJson(
  statement: Statement,
  account: { id: string; name: string },
  currency: string,
): z.input<typeof statementSchema> {
  return {
    ...summaryJson(statement, statement.to, currency),
    account_id: account.id,
    account_name: account.name,
    movements: statement.movements.map(({ kind, transfers, amountMicros }) => ({
      kind,
      transfers: Number(transfers),
      amount: formatMicros(amountMicros),
    })),
    charges: statement.charges.map(({ model, tier, videos, tokens, chargedMicros }) => ({
      model,
      service_tier: tier,
      videos: Number(videos),
      generated_tokens: Number(tokens),
      cost: formatMicros(chargedMicros),
    })),
    transfers: statement.lines.map(({ transferId, kind, amountMicros, createdAt }) => ({
      id: transferId,
      kind,
      amount: formatMicros(amountMicros),
      created_at: unixSeconds(createdAt),
    })),
  }
}

/** Lines of a file: the amounts above the closing balance add up to it. */
function statementLines(statement: Statement, currency: string): (string | number)[][] {
  const header = ['what', 'date', 'transfer', 'model', 'tier', 'count', 'tokens', 'amount', 'currency']
  const day = (date: Date) => date.toISOString().slice(0, 10)
  const balance = (what: string, date: Date, micros: bigint) => [
    ...[what, day(date), '', '', '', '', ''],
    ...[formatMicros(micros), currency],
  ]
  const listed = statement.lines.map(({ kind, transferId, createdAt, amountMicros }) => [
    ...[kind, createdAt.toISOString(), transferId, '', '', 1, ''],
    ...[formatMicros(amountMicros), currency],
  ])
  // Of a kind, what is not listed one by one.
  const others = statement.movements.flatMap(({ kind, transfers, amountMicros }) => {
    const lines = statement.lines.filter((line) => line.kind === kind)
    const rest = amountMicros - lines.reduce((sum, line) => sum + line.amountMicros, 0n)
    const count = Number(transfers) - lines.length
    return count === 0 ? [] : [[kind, '', '', '', '', count, '', formatMicros(rest), currency]]
  })
  const charges = statement.charges.map(({ model, tier, videos, tokens, chargedMicros }) => [
    ...['charge', '', '', model, tier, Number(videos), Number(tokens)],
    ...[formatMicros(-chargedMicros), currency],
  ])
  return [
    header,
    balance('opening_balance', statement.from, statement.openingMicros),
    ...listed,
    ...others,
    ...charges,
    balance('closing_balance', statement.to, statement.closingMicros),
  ]
}
