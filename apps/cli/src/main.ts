import { readFileSync } from 'node:fs'
import { hideSecrets } from '@sluice/shared/hide-secrets'
import { SettingError, SettingErrors } from '@sluice/shared/settings'
import { Command, CommanderError } from 'commander'
import { UsageError } from './connection/find-connection.ts'
import { doctor } from './doctor/doctor.ts'
import { USAGE_EXIT } from './exit-codes.ts'
import { addAccountCommands } from './operator/account-commands.ts'
import { addCreditCommands } from './operator/credit-commands.ts'
import { addEconomicsCommands } from './operator/economics-commands.ts'
import { addFlexPriceCommands } from './operator/flex-price-commands.ts'
import { addKeyCommands } from './operator/key-commands.ts'
import { createOperator } from './operator/operator.ts'
import { addPaymentCommands } from './operator/payment-commands.ts'
import { addStatementCommand } from './operator/statement-command.ts'
import { addPlanCommand } from './plan/plan-command.ts'
import { endWithNpx } from './processes/end-with-npx.ts'
import { runUp } from './up/run-up.ts'
import { runWorker } from './up/run-worker.ts'
import type { Terminal } from './videos/terminal.ts'
import { addVideoCommands } from './videos/video-commands.ts'

const EXAMPLES = `
Examples:
  npm start                                                   install what is missing, then start everything
  npx sluice generate "a paper boat in the rain" -o boat.mp4  make a video
  npx sluice generate "a fox" -o fox.mp4 --size 1024x576 --steps 30 --max-cost 100
  npx sluice quote "a fox" --size 1024x576 --max-cost 0.5     what it would cost, and what 0.5 would buy
  npx sluice watch video_01h...                               see how far it is
  npx sluice accounts change --account acct_01h... --promises on
  npx sluice keys create --name shop --budget 10000000 --interval day
  npx sluice credits add 25 --account acct_01h...
  npx sluice economics                                        what the GPUs make, cost and earn
  npx sluice price-list --utilisation 60 --margin 40          what to ask for a million tokens
  npx sluice plan --example > plan.json                       a plan, for: npx sluice plan plan.json
  npx sluice doctor                                           check every part, and say what to do

Settings come from the environment; SLUICE_DATA_DIR (./.sluice) is where everything is kept.`

// A launcher that was killed cannot stop us any more, so its end is the signal.
process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'))
process.channel?.unref()
endWithNpx(process.env)

// A reader that left (`| head`) is no failure; a full disk below the results is one.
let unwritten: Error | null = null
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') unwritten ??= error
})
process.stderr.on('error', () => {})

const hide = hideSecrets(process.env)
const terminal: Terminal = {
  write: (text) => void process.stdout.write(text),
  notice: (line) => void process.stderr.write(`sluice: ${hide(line)}\n`),
  isTTY: process.stdout.isTTY === true && process.env.TERM !== 'dumb',
  get columns() {
    return process.stdout.columns ?? 80
  },
}
const print = (line: string) => terminal.write(`${line}\n`)

async function main(): Promise<void> {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  const program = new Command('sluice')
    .description('A metered text-to-video service: run it, use it, operate it.')
    .version(version)
    .addHelpText('after', EXAMPLES)
    .showHelpAfterError('(see --help)')
    .exitOverride()
  addServiceCommands(program)
  addVideoCommands(program, process.env, terminal)
  addDoctorCommand(program)
  const operator = createOperator(process.env, { print, notice: terminal.notice })
  addPlanCommand(program, {
    env: process.env,
    write: terminal.write,
    notice: terminal.notice,
    http: () => operator.http(),
  })
  addAccountCommands(program, operator)
  addKeyCommands(program, operator)
  addCreditCommands(program, operator)
  addEconomicsCommands(program, operator)
  addFlexPriceCommands(program, operator)
  addPaymentCommands(program, operator)
  addStatementCommand(program, operator, process.env)
  await program.parseAsync(isKnown(program, process.argv.slice(2)) ? undefined : withoutHelp(process.argv))
}

/** False when the first word that is no option, or the one below a group of commands, is no command. */
function isKnown(program: Command, words: readonly string[]): boolean {
  let command = program
  for (const word of words) {
    if (word.startsWith('-') || command.commands.length === 0) return true
    if (word === 'help' && command === program) continue
    const next = command.commands.find((candidate) => candidate.name() === word)
    if (next === undefined) return false
    command = next
  }
  return true
}

/** Commander shows help for an unknown command as if all were well; without the word it names it. */
function withoutHelp(argv: readonly string[]): string[] {
  return argv.filter((word, index) => !['--help', '-h'].includes(word) && !(word === 'help' && index === 2))
}

function addServiceCommands(program: Command): void {
  program
    .command('up')
    .description('run database, API and worker until Ctrl-C (the same as npm start)')
    .action(async () => {
      // Not by running out of work: what could not be ended must not keep us.
      process.exit(await runUp())
    })

  program
    .command('worker')
    .description(
      'run a worker alone: needs SLUICE_API_URL, SLUICE_WORKER_TOKEN and REDIS_URL or SLUICE_QUEUE_URL',
    )
    .action(async () => {
      process.exit(await runWorker())
    })
}

function addDoctorCommand(program: Command): void {
  program
    .command('doctor')
    .description('check every part and say what to do')
    .action(async () => {
      process.exitCode = await doctor(process.env, (line) => print(hide(line)))
    })
}

function isUsageError(error: unknown): boolean {
  return error instanceof UsageError || error instanceof SettingError || error instanceof SettingErrors
}

/** Waits until what was printed is written, as the process would. Throws when the disk could not take it. */
async function requirePrinted(): Promise<void> {
  await new Promise((resolve) => process.stdout.write('', resolve))
  if (unwritten !== null) throw new Error(`the output cannot be written: ${unwritten.message}`)
}

try {
  await main()
  await requirePrinted()
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : USAGE_EXIT
  } else {
    process.stderr.write(`sluice: ${hide(error instanceof Error ? error.message : String(error))}\n`)
    process.exitCode = isUsageError(error) ? USAGE_EXIT : 1
  }
}
