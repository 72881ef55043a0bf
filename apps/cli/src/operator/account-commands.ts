import { type Command, Option } from 'commander'
import { orNone, positiveNumber, wholeNumber } from '../arguments.ts'
import { type AccountSettingFlags, changeAccount, listAccounts, openAccount } from './accounts.ts'
import { ACCOUNT_OPTION, type AccountFlag, type Operator } from './operator.ts'

/** Adds `sluice accounts`: who may use the service, and what of it. */
export function addAccountCommands(program: Command, operator: Operator): void {
  const accounts = program.command('accounts').description('list, open and change accounts')
  accounts
    .command('list')
    .description('show the accounts')
    .action(() => listAccounts(operator))
  withSettings(
    accounts
      .command('open')
      .description('open an account, without money and without a key')
      .requiredOption('--name <text>', 'whose it is'),
  ).action((flags: AccountSettingFlags) => openAccount(operator, flags))
  withSettings(
    accounts
      .command('change')
      .description('change an account; what is not named stays as it is')
      .option(...ACCOUNT_OPTION)
      .option('--name <text>', 'whose it is'),
  ).action((flags: AccountSettingFlags & AccountFlag) => changeAccount(operator, flags))
}

function withSettings(command: Command): Command {
  return command
    .option('--weight <n>', 'its share of the GPUs relative to others; 100 is usual', positiveNumber)
    .option('--queued <n>', 'videos it may have queued; more are refused', wholeNumber)
    .option('--unfinished <n>', 'queued and in progress together, or none', orNone(wholeNumber))
    .option('--running <n>', 'videos it may have running at once, or none; more wait', orNone(wholeNumber))
    .addOption(
      new Option('--promises <on|off>', 'whether its videos may be promised a time').choices(['on', 'off']),
    )
}
