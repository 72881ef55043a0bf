import type { Command } from 'commander'
import { moneyAmount } from '../arguments.ts'
import { YES_OPTION, type YesFlag } from './confirm.ts'
import { addCredits, refundCredits, showCredits } from './credits.ts'
import { ACCOUNT_OPTION, type AccountFlag, type Operator } from './operator.ts'

interface OnceFlag {
  once?: string
}

const ONCE_OPTION = ['--once <key>', 'repeated with the same key, nothing more is moved'] as const

/** Adds `sluice credits`: the money of an account. */
export function addCreditCommands(program: Command, operator: Operator): void {
  const credits = program.command('credits').description('show, add and refund the money of an account')
  credits
    .command('show')
    .description('what the account has')
    .option(...ACCOUNT_OPTION)
    .action((flags: AccountFlag) => showCredits(operator, flags))
  credits
    .command('add')
    .description('add money that the customer paid')
    .argument('<amount>', 'a decimal number, e.g. 25 or 12.50', moneyAmount)
    .option(...ACCOUNT_OPTION)
    .option('--trial', 'trial credit instead: spent first, never refunded')
    .option(...ONCE_OPTION)
    .action((amount: string, flags: AccountFlag & OnceFlag & { trial?: boolean }) =>
      addCredits(operator, flags, {
        amount,
        kind: flags.trial === true ? 'trial' : 'paid',
        idempotencyKey: flags.once,
      }),
    )
  credits
    .command('refund')
    .description('take the unused paid balance off, to pay it back')
    .option(...ACCOUNT_OPTION)
    .option(...ONCE_OPTION)
    .option(...YES_OPTION)
    .action((flags: AccountFlag & OnceFlag & YesFlag) => refundCredits(operator, flags, flags.once))
}
