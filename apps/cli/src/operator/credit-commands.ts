import { type Command, Option } from 'commander'
import { moneyAmount, unixTime } from '../arguments.ts'
import { YES_OPTION, type YesFlag } from './confirm.ts'
import { addCredits, refundCredits, setBalanceLow, showCredits } from './credits.ts'
import { ACCOUNT_OPTION, type AccountFlag, type Operator } from './operator.ts'

interface OnceFlag {
  once?: string
}

interface CreditFlags {
  promotional?: boolean
  trial?: boolean
  expires?: number
}

const ONCE_OPTION = ['--once <key>', 'repeated with the same key, nothing more is moved'] as const

/** Adds `sluice credits`: the money of an account. */
export function addCreditCommands(program: Command, operator: Operator): void {
  const credits = program.command('credits').description('show, add and refund the money of an account')
  credits
    .command('show')
    .description('what the account has, and what of it expires')
    .option(...ACCOUNT_OPTION)
    .action((flags: AccountFlag) => showCredits(operator, flags))
  credits
    .command('add')
    .description('add money that the customer paid')
    .argument('<amount>', 'a decimal number, e.g. 25 or 12.50', moneyAmount)
    .option(...ACCOUNT_OPTION)
    .option('--promotional', 'credit that nobody paid for: never refunded')
    .addOption(new Option('--trial', 'an older name of --promotional').hideHelp())
    .option('--expires <time>', 'a day or time such as 2027-01-31: what is left then is taken off', unixTime)
    .option(...ONCE_OPTION)
    .action((amount: string, flags: AccountFlag & OnceFlag & CreditFlags) =>
      addCredits(operator, flags, {
        amount,
        kind: flags.promotional === true || flags.trial === true ? 'promotional' : 'paid',
        expiresAt: flags.expires,
        idempotencyKey: flags.once,
      }),
    )
  credits
    .command('alert')
    .description('send balance.low to the webhooks when the balance falls below an amount')
    .argument('<amount>', 'a decimal number, or none', (text) => (text === 'none' ? null : moneyAmount(text)))
    .option(...ACCOUNT_OPTION)
    .action((amount: string | null, flags: AccountFlag) => setBalanceLow(operator, flags, amount))
  credits
    .command('refund')
    .description('take the unused paid balance off, to pay it back')
    .option(...ACCOUNT_OPTION)
    .option(...ONCE_OPTION)
    .option(...YES_OPTION)
    .action((flags: AccountFlag & OnceFlag & YesFlag) => refundCredits(operator, flags, flags.once))
}
