import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { Command, CommanderError, InvalidArgumentError } from 'commander'
import { findConnection, UsageError } from './connection/find-connection.ts'
import { doctor } from './doctor/doctor.ts'
import { addOperatorCommands } from './operator/commands.ts'
import { UpError } from './up/errors.ts'
import { runUp, WORKER_ENTRY } from './up/run-up.ts'
import { generate } from './videos/generate.ts'
import type { Terminal } from './videos/progress-display.ts'
import { quote } from './videos/quote.ts'
import type { VideoRequest } from './videos/video.ts'
import { watch } from './videos/watch.ts'

/** Exit codes: 0 done, 1 failed, 2 usage or settings, 130 interrupted. */
const USAGE_EXIT = 2

const EXAMPLES = `
Examples:
  npm start                                                   install what is missing, then start everything
  npx sluice generate "a paper boat in the rain" -o boat.mp4  make a video
  npx sluice generate "a fox" -o fox.mp4 --size 1024x576 --steps 30 --max-cost 100
  npx sluice quote "a fox" --size 1024x576 --max-cost 0.5     what it would cost, and what 0.5 would buy
  npx sluice watch video_01h...                               see how far it is
  npx sluice keys create --name shop --budget 10000000 --interval day
  npx sluice credits add 25 --account acct_01h...
  npx sluice doctor                                           check every part, and say what to do

Settings come from the environment; SLUICE_DATA_DIR (./.sluice) is where everything is kept.`

// A reader that left (`| head`) is no failure.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

const terminal: Terminal = {
  write: (text) => void process.stdout.write(text),
  isTTY: process.stdout.isTTY === true,
  columns: process.stdout.columns ?? 80,
}

async function main(): Promise<void> {
  const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))
  const program = new Command('sluice')
    .description('A metered text-to-video service: run it, use it, look after it.')
    .version(version)
    .addHelpText('after', EXAMPLES)
    .showHelpAfterError('(see --help)')
    .exitOverride()

  program
    .command('up')
    .description('run database, API and worker until Ctrl-C (the same as npm start)')
    .action(async () => {
      process.exitCode = await runUp()
    })

  program
    .command('worker')
    .description(
      'run a worker alone: needs SLUICE_API_URL, SLUICE_WORKER_TOKEN and REDIS_URL or SLUICE_QUEUE_URL',
    )
    .action(async () => {
      process.exitCode = await runWorker()
    })

  withRequestOptions(program.command('generate').description('make a video from a sentence and download it'))
    .option('-o, --output <file>', 'where the MP4 goes (default: <video id>.mp4)')
    .option('--json', 'print the finished video as JSON, nothing else')
    .action(async (prompt: string, options: GenerateFlags) => {
      const connection = await findConnection(process.env)
      const { stop, abandon } = interrupts()
      process.exitCode = await generate({
        connection,
        terminal,
        stop,
        abandon,
        output: options.output ?? null,
        json: options.json === true,
        request: requestOf(prompt, options),
      })
    })

  withRequestOptions(
    program
      .command('quote')
      .description(
        'what a video would cost and how long it would take; exits with 1 when it would not be taken',
      ),
  )
    .option('--json', 'print the quote as JSON, nothing else')
    .action(async (prompt: string, options: RequestFlags & { json?: boolean }) => {
      const connection = await findConnection(process.env)
      const { stop } = interrupts()
      process.exitCode = await quote({
        connection,
        terminal,
        stop,
        json: options.json === true,
        request: requestOf(prompt, options),
      })
    })

  program
    .command('watch')
    .description("show an existing video's progress")
    .argument('<video-id>')
    .action(async (id: string) => {
      const connection = await findConnection(process.env)
      process.exitCode = await watch({ connection, id, terminal, stop: interrupts().stop })
    })

  program
    .command('doctor')
    .description('check every part and say what to do')
    .action(async () => {
      process.exitCode = await doctor(process.env, (line) => terminal.write(`${line}\n`))
    })

  addOperatorCommands(program, process.env, (line) => terminal.write(`${line}\n`))

  await program.parseAsync()
}

/** What a video is asked for with, whether it is made or only quoted. */
function withRequestOptions(command: Command): Command {
  return command
    .argument('<prompt>', 'what should be seen')
    .option('--model <id>', 'open-sora-2, animatic, ...')
    .option('--size <size>', 'WIDTHxHEIGHT in pixels, e.g. 336x192')
    .option('--seconds <n>', 'length in whole seconds (24n+1 frames)', positive)
    .option('--frames <n>', 'length in frames, 4k+1', positive)
    .option('--steps <n>', 'denoising steps', positive)
    .option('--seed <n>', 'the same seed makes the same video', wholeNumber)
    .option('--negative-prompt <text>', 'what should not be seen')
    .option('--max-tokens <n>', 'refuse when it would generate more', positive)
    .option('--max-cost <amount>', 'refuse when it would cost more, e.g. 2.50')
    .option('--tier <tier>', 'priority, standard or flex')
    .option('--refine', 'let the refiner of the service write the prompt out first')
}

function requestOf(prompt: string, flags: RequestFlags): VideoRequest {
  return {
    prompt,
    ...(flags.model === undefined ? {} : { model: flags.model }),
    ...(flags.size === undefined ? {} : { size: flags.size }),
    ...(flags.seconds === undefined ? {} : { seconds: String(flags.seconds) }),
    ...(flags.frames === undefined ? {} : { num_frames: flags.frames }),
    ...(flags.steps === undefined ? {} : { num_steps: flags.steps }),
    ...(flags.seed === undefined ? {} : { seed: flags.seed }),
    ...(flags.negativePrompt === undefined ? {} : { negative_prompt: flags.negativePrompt }),
    ...(flags.maxTokens === undefined ? {} : { max_tokens: flags.maxTokens }),
    ...(flags.maxCost === undefined ? {} : { max_cost: flags.maxCost }),
    ...(flags.tier === undefined ? {} : { service_tier: flags.tier }),
    ...(flags.refine === undefined ? {} : { refine_prompt: flags.refine }),
  }
}

interface GenerateFlags extends RequestFlags {
  output?: string
  json?: boolean
}

interface RequestFlags {
  model?: string
  size?: string
  seconds?: number
  frames?: number
  steps?: number
  seed?: number
  negativePrompt?: string
  maxTokens?: number
  maxCost?: string
  tier?: string
  refine?: boolean
}

/** The worker in the foreground: its output is ours, signals are passed on, its exit code is ours. */
async function runWorker(): Promise<number> {
  const child = spawn(process.execPath, [WORKER_ENTRY], { stdio: 'inherit', env: process.env })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal))
  const [code, signal]: [number | null, NodeJS.Signals | null] = (await once(child, 'exit')) as [
    number | null,
    NodeJS.Signals | null,
  ]
  return code ?? 128 + (signal === null ? 0 : constants.signals[signal])
}

/** One Ctrl-C arrives several times: from the terminal, from npx, from the launcher. */
const SAME_INTERRUPT_MS = 1_000

/** The first Ctrl-C (or SIGTERM) asks to stop, a second one to leave at once. */
function interrupts(): { stop: AbortSignal; abandon: AbortSignal } {
  const stop = new AbortController()
  const abandon = new AbortController()
  let firstAt = 0
  const onSignal = () => {
    if (!stop.signal.aborted) {
      firstAt = performance.now()
      stop.abort()
    } else if (performance.now() - firstAt > SAME_INTERRUPT_MS) abandon.abort()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, onSignal)
  return { stop: stop.signal, abandon: abandon.signal }
}

function wholeNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.')
  return Number(text)
}

function positive(text: string): number {
  const value = wholeNumber(text)
  if (value === 0) throw new InvalidArgumentError('It must be at least 1.')
  return value
}

try {
  await main()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : USAGE_EXIT
  else {
    process.stderr.write(`sluice: ${error instanceof Error ? error.message : String(error)}\n`)
    process.exitCode =
      error instanceof UsageError || (error instanceof UpError && error.exitCode === 2) ? USAGE_EXIT : 1
  }
}
