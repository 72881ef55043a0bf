import { z } from 'zod'
import { findConnection } from '../connection/find-connection.ts'
import { HttpClient, readBody } from '../connection/http-client.ts'
import { requireWritable, writeOutput } from '../output-file.ts'
import type { AccountFlag, Operator } from './operator.ts'

const statementSchema = z.object({
  id: z.string(),
  account_id: z.string(),
  account_name: z.string(),
  currency: z.string(),
  is_final: z.boolean(),
  opening_balance: z.string(),
  closing_balance: z.string(),
  movements: z.array(z.object({ kind: z.string(), transfers: z.number(), amount: z.string() })),
  charges: z.array(
    z.object({
      model: z.string(),
      service_tier: z.string(),
      videos: z.number(),
      generated_tokens: z.number(),
      cost: z.string(),
    }),
  ),
})

/** How a statement is asked for. */
export interface StatementFlags extends AccountFlag {
  format: 'text' | 'json' | 'csv' | 'html'
  output?: string
}

/**
 * Prints an account's statement of a month, or writes it to a file. With an account the operator asks;
 * without one, whoever has the data dir's key asks for their own. Throws UsageError before it asks when the
 * file could not be written.
 */
export async function showStatement(
  operator: Operator,
  env: NodeJS.ProcessEnv,
  month: string,
  flags: StatementFlags,
): Promise<void> {
  const { account, format } = flags
  const file = flags.output === undefined ? null : { option: '--output', path: flags.output }
  if (file !== null) await requireWritable(file)
  const http = account === undefined ? new HttpClient(await findConnection(env)) : await operator.http()
  const query = new URLSearchParams({ format: format === 'text' ? 'json' : format })
  const path =
    account === undefined
      ? `/statements/${encodeURIComponent(month)}?${query}`
      : `/admin/accounts/${encodeURIComponent(account)}/statement?month=${encodeURIComponent(month)}&${query}`
  const answer = await http.send(path)
  const text =
    format === 'text' ? textOf(await readBody(answer, statementSchema)) : (await answer.text()).trimEnd()
  if (file === null) operator.print(text)
  else await writeOutput(file, `${text}\n`)
}

function textOf(statement: z.infer<typeof statementSchema>): string {
  const { movements, charges } = statement
  const rows: [string, string][] = [
    ['opening balance', statement.opening_balance],
    ...movements.map(({ kind, transfers, amount }): [string, string] => [
      `${kind.replaceAll('_', ' ')} (${transfers})`,
      amount,
    ]),
    ...charges.map(({ model, service_tier, videos, generated_tokens, cost }): [string, string] => [
      `${model}, ${service_tier}: ${videos} ${videos === 1 ? 'video' : 'videos'}, ${generated_tokens} tokens`,
      cost === '0' ? cost : `-${cost}`,
    ]),
    ['closing balance', statement.closing_balance],
  ]
  const width = Math.max(...rows.map(([what]) => what.length))
  const head = `${statement.id}${statement.is_final ? '' : ' so far'}  ${statement.account_id}  ${JSON.stringify(statement.account_name)}`
  return [
    head,
    ...rows.map(([what, amount]) => `${what.padEnd(width)}  ${amount} ${statement.currency}`),
  ].join('\n')
}
