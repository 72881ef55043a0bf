import { z } from 'zod'
import { findAdminConnection, findConnection } from '../connection/find-connection.ts'
import { HttpClient } from '../connection/http-client.ts'

/** What the operator's commands work with. */
export interface Operator {
  /** Calls with the admin key. Throws UsageError when there is none. */
  http(): Promise<HttpClient>
  /** The account that `--account` names, else the one that the data dir's own key belongs to. */
  accountId(flags: AccountFlag): Promise<string>
  /** Writes a line for the operator. */
  print(line: string): void
}

export interface AccountFlag {
  account?: string
}

/** The flag of the commands that are about one account. */
export const ACCOUNT_OPTION = [
  '--account <id>',
  "the account (default: the one of the data dir's key)",
] as const

export function createOperator(env: NodeJS.ProcessEnv, print: (line: string) => void): Operator {
  return {
    http: async () => new HttpClient(await findAdminConnection(env)),
    accountId: async ({ account }) => account ?? (await accountOfOwnKey(env)),
    print,
  }
}

async function accountOfOwnKey(env: NodeJS.ProcessEnv): Promise<string> {
  const http = new HttpClient(await findConnection(env))
  const { account_id } = await http.call(z.object({ account_id: z.string() }), '/key')
  return account_id
}
