import { type Command, InvalidArgumentError, Option } from 'commander'
import { findAdminConnection, findConnection } from '../connection/find-connection.ts'
import { addCredits, refundCredits, showCredits } from './credits.ts'
import { changeKey, type KeyFlags, listKeys, makeKey, NONE, revokeKey } from './keys.ts'
import { accountOf } from './operator-client.ts'

const ACCOUNT = ['--account <id>', "the account (default: the one of the data dir's key)"] as const

/** Adds `sluice keys` and `sluice credits`: what an operator does most, with the admin key of the data dir or SLUICE_ADMIN_KEY. */
export function addOperatorCommands(
  program: Command,
  env: NodeJS.ProcessEnv,
  print: (line: string) => void,
): void {
  const admin = () => findAdminConnection(env)
  const account = (flags: { account?: string }) => accountOf(flags.account, () => findConnection(env))

  const keys = program.command('keys').description("make, list, change and revoke an account's keys")
  keys
    .command('list')
    .description('show the keys, also expired and revoked ones')
    .option(...ACCOUNT)
    .action(async (flags: { account?: string }) => listKeys(await admin(), await account(flags), print))
  keys
    .command('create')
    .description('make a key; it is shown once')
    .option(...ACCOUNT)
    .option('--name <text>', 'what it is for')
    .option('--scope <scope...>', 'videos:read, videos:write, admin (default: both videos scopes)')
    .option('--model <id...>', 'the only models it may ask for')
    .option('--budget <tokens>', 'generated tokens it may submit per interval', count)
    .addOption(
      new Option('--interval <interval>', 'when the budget starts anew').choices(['day', '30d', 'none']),
    )
    .option('--rpm <n>', 'requests a minute', count)
    .option('--queued <n>', 'videos it may have queued; more are refused', count)
    .option('--running <n>', 'videos it may have running at once; more wait', count)
    .option('--expires <time>', 'a day or time such as 2027-01-31', unixTime)
    .action(async (flags: KeyFlags & { account?: string }) =>
      makeKey(await admin(), await account(flags), flags, print),
    )
  keys
    .command('change')
    .description('change a key; what is not named stays as it is')
    .argument('<key-id>')
    .option('--name <text>', 'what it is for')
    .option('--scope <scope...>', 'videos:read, videos:write, admin')
    .option('--model <id...>', 'the only models it may ask for, or none for all')
    .option('--budget <tokens>', 'generated tokens it may submit per interval, or none', orNone(count))
    .addOption(
      new Option('--interval <interval>', 'when the budget starts anew').choices(['day', '30d', 'none']),
    )
    .option('--rpm <n>', 'requests a minute, or none', orNone(count))
    .option('--queued <n>', 'videos it may have queued, or none', orNone(count))
    .option('--running <n>', 'videos it may have running at once, or none', orNone(count))
    .option('--expires <time>', 'a day or time such as 2027-01-31, or none', orNone(unixTime))
    .action(async (id: string, flags: KeyFlags) => changeKey(await admin(), id, flags, print))
  keys
    .command('revoke')
    .description('revoke a key for good')
    .argument('<key-id>')
    .action(async (id: string) => revokeKey(await admin(), id, print))

  const credits = program.command('credits').description('show, add and refund the money of an account')
  const idempotency = ['--once <key>', 'the same key again moves nothing more'] as const
  credits
    .command('show')
    .description('what the account has')
    .option(...ACCOUNT)
    .action(async (flags: { account?: string }) => showCredits(await admin(), await account(flags), print))
  credits
    .command('add')
    .description('add money the customer paid')
    .argument('<amount>', 'a decimal number, e.g. 25 or 12.50')
    .option(...ACCOUNT)
    .option('--trial', 'trial credit instead: spent first, never refunded')
    .option(...idempotency)
    .action(async (amount: string, flags: { account?: string; trial?: boolean; once?: string }) =>
      addCredits(
        await admin(),
        await account(flags),
        { amount, kind: flags.trial === true ? 'trial' : 'paid', idempotencyKey: flags.once },
        print,
      ),
    )
  credits
    .command('refund')
    .description('take the unused paid balance off, to pay it back')
    .option(...ACCOUNT)
    .option(...idempotency)
    .action(async (flags: { account?: string; once?: string }) =>
      refundCredits(await admin(), await account(flags), flags.once, print),
    )
}

function orNone<Value>(parse: (text: string) => Value): (text: string) => Value | typeof NONE {
  return (text) => (text === NONE ? NONE : parse(text))
}

function count(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.')
  return Number(text)
}

function unixTime(text: string): number {
  const ms = Date.parse(text)
  if (Number.isNaN(ms))
    throw new InvalidArgumentError('It must be a day or time such as 2027-01-31 or 2027-01-31T12:00:00Z.')
  return Math.floor(ms / 1_000)
}
