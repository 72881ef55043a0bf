import { z } from 'zod'
import { findAdminConnection, findConnection } from '../connection/find-connection.ts'
import { HttpClient } from '../connection/http-client.ts'
import { type Questions, terminalQuestions } from './confirm.ts'

/** What the operator's commands work with. */
export interface Operator {
  /** Calls with the admin key. Throws UsageError when there is none. */
  http(): Promise<HttpClient>
  /** The account that `--account` names, else the one that the data dir's own key belongs to. */
  accountId(flags: AccountFlag): Promise<string>
  /** Writes a line for the operator. */
  print(line: string): void
  /** Asked before what cannot be undone. */
  questions: Questions
}

export interface AccountFlag {
  account?: string
}

/** The flag of the commands that are about one account. */
export const ACCOUNT_OPTION = [
  '--account <id>',
  "the account (default: the one of the data dir's key)",
] as const

/** `notice` gets what a call waits for. */
export function createOperator(
  env: NodeJS.ProcessEnv,
  { print, notice }: { print(line: string): void; notice(line: string): void },
): Operator {
  return {
    http: async () => new HttpClient(await findAdminConnection(env), { notice }),
    accountId: async ({ account }) => {
      return account ?? (await accountOf(new HttpClient(await findConnection(env), { notice })))
    },
    print,
    questions: terminalQuestions,
  }
}

async function accountOf(http: HttpClient): Promise<string> {
  const { account_id } = await http.call(z.object({ account_id: z.string() }), '/key')
  return account_id
}
