import { type Command, Option } from 'commander'
import { orNone, unixTime, wholeNumber } from '../arguments.ts'
import { YES_OPTION, type YesFlag } from './confirm.ts'
import { changeKey, createKey, type KeyFlags, listKeys, type NewKeyFlags, revokeKey } from './keys.ts'
import { ACCOUNT_OPTION, type AccountFlag, type Operator } from './operator.ts'

/** Adds `sluice keys`: the API keys of an account. */
export function addKeyCommands(program: Command, operator: Operator): void {
  const keys = program.command('keys').description("create, list, change and revoke an account's keys")
  keys
    .command('list')
    .description('show the keys, also expired and revoked ones')
    .option(...ACCOUNT_OPTION)
    .action((flags: AccountFlag) => listKeys(operator, flags))
  addCreate(keys, operator)
  addChange(keys, operator)
  keys
    .command('revoke')
    .description('revoke a key for good')
    .argument('<key-id>')
    .option(...YES_OPTION)
    .action((id: string, flags: YesFlag) => revokeKey(operator, id, flags))
}

function addCreate(keys: Command, operator: Operator): void {
  keys
    .command('create')
    .description('create a key; it is shown only once')
    .option(...ACCOUNT_OPTION)
    .option('--name <text>', 'what it is for')
    .option('--scope <scope...>', 'videos:read, videos:write, admin (default: both videos scopes)')
    .addOption(
      new Option('--operator <scope>', 'a key of no account instead: for you, for Prometheus, for a GPU host')
        .choices(['admin', 'admin:read', 'metrics:read', 'worker'])
        .conflicts(['account', 'scope', 'model', 'budget', 'interval', 'rpm', 'queued', 'running']),
    )
    .option('--model <id...>', 'the only models it may use')
    .option('--budget <tokens>', 'generated tokens it may submit per interval', wholeNumber)
    .addOption(intervalOption())
    .option('--rpm <n>', 'requests a minute', wholeNumber)
    .option('--queued <n>', 'videos it may have queued; more are refused', wholeNumber)
    .option('--running <n>', 'videos it may have running at once; more wait', wholeNumber)
    .option('--expires <time>', 'a day or time such as 2027-01-31', unixTime)
    .action((flags: NewKeyFlags) => createKey(operator, flags))
}

function addChange(keys: Command, operator: Operator): void {
  keys
    .command('change')
    .description('change a key; what is not named stays as it is')
    .argument('<key-id>')
    .option('--name <text>', 'what it is for')
    .option('--scope <scope...>', 'videos:read, videos:write, admin')
    .option('--model <id...>', 'the only models it may use, or none for all')
    .option('--budget <tokens>', 'generated tokens it may submit per interval, or none', orNone(wholeNumber))
    .addOption(intervalOption())
    .option('--rpm <n>', 'requests a minute, or none', orNone(wholeNumber))
    .option('--queued <n>', 'videos it may have queued, or none', orNone(wholeNumber))
    .option('--running <n>', 'videos it may have running at once, or none', orNone(wholeNumber))
    .option('--expires <time>', 'a day or time such as 2027-01-31, or none', orNone(unixTime))
    .action((id: string, flags: KeyFlags) => changeKey(operator, id, flags))
}

function intervalOption(): Option {
  return new Option('--interval <interval>', 'when the budget starts anew').choices(['day', '30d', 'none'])
}
