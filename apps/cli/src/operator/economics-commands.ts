import { type Command, Option } from 'commander'
import { decimalNumber, moneyAmount } from '../arguments.ts'
import { type EconomicsFlags, showEconomics } from './economics.ts'
import type { Operator } from './operator.ts'
import { type PriceListFlags, showPriceList } from './price-list.ts'

/** Adds `sluice economics` and `sluice price-list`: what GPUs made and cost, and what to ask for it. */
export function addEconomicsCommands(program: Command, operator: Operator): void {
  program
    .command('economics')
    .description('what the pools make, cost and earn, and what is sold below cost')
    .addOption(
      new Option('--by <group>', 'what a row of the range is')
        .choices(['pool', 'day', 'pool_day', 'total'])
        .default('pool'),
    )
    .option('--from <time>', 'a UTC day or time (default: the beginning of the day 30 days ago)')
    .option('--to <time>', 'up to this UTC day or time (default: now)')
    .option('--json', 'as GET /v1/admin/economics answers')
    .action((flags: EconomicsFlags) => showEconomics(operator, flags))
  program
    .command('price-list')
    .description('what to ask for a million tokens, by what the GPUs cost and make')
    .requiredOption('--utilisation <percent>', 'for how much of the time the GPUs are busy', decimalNumber)
    .requiredOption('--margin <percent>', 'what of the price is to be left', decimalNumber)
    .option('--cost-per-hour <amount>', 'of a slot, instead of the pools that are there', moneyAmount)
    .option('--tokens-per-second <n>', 'that such a slot makes while it is busy', decimalNumber)
    .action((flags: PriceListFlags) => showPriceList(operator, flags))
}
