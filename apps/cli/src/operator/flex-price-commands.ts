import { type Command, InvalidArgumentError, Option } from 'commander'
import { type Step, setFlexPrices, showFlexPrices } from './flex-prices.ts'
import type { Operator } from './operator.ts'

/** Adds `sluice flex-prices`: what flex costs, by hour or by utilisation. */
export function addFlexPriceCommands(program: Command, operator: Operator): void {
  const prices = program.command('flex-prices').description('show and set what flex costs')
  prices
    .command('show')
    .description('the schedule, and the prices by it now')
    .action(() => showFlexPrices(operator))
  prices
    .command('set')
    .description('set the schedule: factors on the price of each class, from now on')
    .argument('<from=factor...>', 'steps such as 0=0.3 7=0.6 22=0.3; the first from 0', stepsOf)
    .addOption(
      new Option('--by <what>', 'what steps begin at: an hour of the day (UTC), or percent of utilisation')
        .choices(['hour', 'utilisation'])
        .default('hour'),
    )
    .action((steps: readonly Step[], { by }: { by: string }) => setFlexPrices(operator, by, steps))
}

/** Parses one step and adds it to those before it. */
function stepsOf(text: string, before: readonly Step[] = []): readonly Step[] {
  const [, from, multiplier] = /^(\d{1,3})=(\d{1,3}(?:\.\d{1,4})?)$/.exec(text) ?? []
  if (from === undefined || multiplier === undefined)
    throw new InvalidArgumentError('It must be a step such as 7=0.6: from 7 on, 0.6 of the price.')
  return [...before, { from: Number(from), multiplier }]
}
