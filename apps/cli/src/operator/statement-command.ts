import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Operator } from './operator.ts'
import { type StatementFlags, showStatement } from './statement.ts'

/** Adds `sluice statement`: an account's money in one month. */
export function addStatementCommand(program: Command, operator: Operator, env: NodeJS.ProcessEnv): void {
  program
    .command('statement')
    .description("a month of an account's money: balances, credits, charges by model and tier")
    .argument('[month]', 'a UTC month such as 2026-11 (default: the one that is now)', month)
    .option('--account <id>', 'of this account, for the operator (default: your own)')
    .addOption(
      new Option('--format <format>', 'html: a page to print')
        .choices(['text', 'json', 'csv', 'html'])
        .default('text'),
    )
    .option('-o, --output <file>', 'where to write it')
    .action((asked: string | undefined, flags: StatementFlags) =>
      showStatement(operator, env, asked ?? new Date().toISOString().slice(0, 7), flags),
    )
}

function month(text: string): string {
  if (!/^20\d\d-(0[1-9]|1[0-2])$/.test(text))
    throw new InvalidArgumentError('It must be a month such as 2026-11.')
  return text
}
