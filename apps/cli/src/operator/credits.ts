import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import type { Connection } from '../connection/find-connection.ts'
import { callApi } from './operator-client.ts'

const moneySchema = z.object({ amount: z.string(), currency: z.string() })
const accountSchema = z.object({
  id: z.string(),
  name: z.string(),
  balance: moneySchema,
  paid: moneySchema,
  trial: moneySchema,
  held: moneySchema,
})
const movedSchema = z.object({ amount: z.string(), currency: z.string(), account: accountSchema })

/** Prints what an account has. */
export async function showCredits(
  admin: Connection,
  accountId: string,
  print: (line: string) => void,
): Promise<void> {
  print(
    balanceLine(
      await callApi(admin, accountSchema, 'GET', `/admin/accounts/${encodeURIComponent(accountId)}`),
    ),
  )
}

/** Adds paid money or trial credit to an account. */
export async function addCredits(
  admin: Connection,
  accountId: string,
  credit: { amount: string; kind: 'paid' | 'trial'; idempotencyKey: string | undefined },
  print: (line: string) => void,
): Promise<void> {
  const { amount, currency, account } = await callApi(
    admin,
    movedSchema,
    'POST',
    `/admin/accounts/${encodeURIComponent(accountId)}/credit`,
    { amount: credit.amount, kind: credit.kind, idempotency_key: credit.idempotencyKey ?? randomUUID() },
  )
  print(`added ${amount} ${currency} (${credit.kind})`)
  print(balanceLine(account))
}

/** Takes the whole unused paid balance off an account, to be paid back. */
export async function refundCredits(
  admin: Connection,
  accountId: string,
  idempotencyKey: string | undefined,
  print: (line: string) => void,
): Promise<void> {
  const { amount, currency, account } = await callApi(
    admin,
    movedSchema,
    'POST',
    `/admin/accounts/${encodeURIComponent(accountId)}/refund`,
    { idempotency_key: idempotencyKey ?? randomUUID() },
  )
  print(`to be paid back: ${amount} ${currency}`)
  print(balanceLine(account))
}

function balanceLine({ id, name, balance, paid, trial, held }: z.infer<typeof accountSchema>): string {
  return `${id}  ${JSON.stringify(name)}  ${balance.amount} ${balance.currency} to spend (${paid.amount} paid, ${trial.amount} trial), ${held.amount} held`
}
