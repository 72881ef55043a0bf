import { type Command, Option } from 'commander'
import { moneyAmount } from '../arguments.ts'
import { YES_OPTION, type YesFlag } from './confirm.ts'
import type { AccountFlag, Operator } from './operator.ts'
import { creditPayment, dismissPayment, listPayments, waivePayment } from './payments.ts'

const STATUSES = ['pending', 'credited', 'unassigned', 'dismissed', 'failed']

/** Adds `sluice payments`: what was paid through a provider. */
export function addPaymentCommands(program: Command, operator: Operator): void {
  const payments = program.command('payments').description('show payments, and decide about those for nobody')
  payments
    .command('list')
    .description('show payments, newest first')
    .option('--account <id>', 'of this account alone')
    .addOption(new Option('--status <status>', 'in this status alone').choices(STATUSES))
    .action((flags: AccountFlag & { status?: string }) => listPayments(operator, flags))
  payments
    .command('credit')
    .description('credit a payment that nobody was credited for')
    .argument('<payment-id>')
    .requiredOption('--account <id>', 'whom it is for')
    .option('--amount <amount>', "of the ledger's currency (default: what was paid)", moneyAmount)
    .action((id: string, flags: { account: string; amount?: string }) => creditPayment(operator, id, flags))
  payments
    .command('dismiss')
    .description('put a payment aside that is for no account')
    .argument('<payment-id>')
    .action((id: string) => dismissPayment(operator, id))
  payments
    .command('waive')
    .description('give up what is still owed of a payment')
    .argument('<payment-id>')
    .option(...YES_OPTION)
    .action((id: string, flags: YesFlag) => waivePayment(operator, id, flags))
}
