import type { Command } from 'commander'
import { decimalNumber, moneyAmount, positiveNumber, unixTime, wholeNumber } from '../arguments.ts'
import { findConnection } from '../connection/find-connection.ts'
import { interrupts } from '../processes/interrupts.ts'
import { generate } from './generate.ts'
import { models } from './models.ts'
import { quote } from './quote.ts'
import type { Terminal } from './terminal.ts'
import type { VideoRequest } from './video.ts'
import { watch } from './watch.ts'

interface RequestFlags {
  model?: string
  size?: string
  seconds?: number
  frames?: number
  steps?: number
  guidance?: number
  seed?: number
  negativePrompt?: string
  maxTokens?: number
  maxCost?: string
  tier?: string
  maxPrice?: string
  notBefore?: number
  deliverBy?: number
  maxWait?: number
  refine?: boolean
  json?: boolean
}

/** Adds `sluice generate`, `sluice quote`, `sluice models` and `sluice watch`. */
export function addVideoCommands(program: Command, env: NodeJS.ProcessEnv, terminal: Terminal): void {
  withRequestOptions(program.command('generate').description('make a video from a sentence and download it'))
    .option('-o, --output <file>', 'where the MP4 goes (default: <video id>.mp4)')
    .option('--json', 'print the finished video as JSON, nothing else')
    .action(async (prompt: string, flags: RequestFlags & { output?: string }) => {
      const connection = await findConnection(env)
      process.exitCode = await generate({
        connection,
        terminal,
        ...interrupts(),
        output: flags.output ?? null,
        isJson: flags.json === true,
        request: requestOf(prompt, flags),
      })
    })

  withRequestOptions(program.command('quote'))
    .description(
      'show what a video would cost and how long it would take; exit with 1 if it would be refused',
    )
    .option('--json', 'print the quote as JSON, nothing else')
    .action(async (prompt: string, flags: RequestFlags) => {
      const connection = await findConnection(env)
      process.exitCode = await quote({
        connection,
        terminal,
        stop: interrupts().stop,
        isJson: flags.json === true,
        request: requestOf(prompt, flags),
      })
    })

  addModelsCommand(program, env, terminal)

  program
    .command('watch')
    .description("show an existing video's progress; exit with 3 if it was cancelled")
    .argument('<video-id>')
    .option('-o, --output <file>', 'where the MP4 goes when it is there')
    .action(async (id: string, flags: { output?: string }) => {
      const connection = await findConnection(env)
      const { stop } = interrupts()
      process.exitCode = await watch({ connection, id, terminal, stop, output: flags.output ?? null })
    })
}

function addModelsCommand(program: Command, env: NodeJS.ProcessEnv, terminal: Terminal): void {
  program
    .command('models')
    .description('show what each model makes, what it costs and what its licence allows')
    .option('--json', 'print the models as JSON, nothing else')
    .action(async (flags: { json?: boolean }) => {
      const connection = await findConnection(env)
      process.exitCode = await models({
        connection,
        terminal,
        stop: interrupts().stop,
        isJson: flags.json === true,
      })
    })
}

/** The options that say what the video shall be. */
function withRequestOptions(command: Command): Command {
  return command
    .argument('<prompt>', 'what the video shall show')
    .option('--model <id>', 'one of `sluice models`')
    .option('--size <size>', 'WIDTHxHEIGHT in pixels, as the model makes it')
    .option(
      '--seconds <n>',
      'length in whole seconds, or the least that the model makes above it',
      positiveNumber,
    )
    .option('--frames <n>', "length in frames, by the model's rule", positiveNumber)
    .option('--steps <n>', 'denoising steps', positiveNumber)
    .option('--guidance <n>', 'how closely it keeps to the prompt, if the model can be told', decimalNumber)
    .option('--seed <n>', 'the same seed makes the same video', wholeNumber)
    .option('--negative-prompt <text>', 'what the video shall not show')
    .option('--max-tokens <n>', 'refuse when it would generate more', positiveNumber)
    .option('--max-cost <amount>', 'refuse when it would cost more, e.g. 2.50', moneyAmount)
    .option('--tier <tier>', 'priority, standard or flex')
    .option('--max-price <amount>', 'with --tier flex: wait while a million tokens cost more', moneyAmount)
    .option('--not-before <time>', 'with --tier flex: not earlier, e.g. 2027-01-31T22:00Z', unixTime)
    .option('--deliver-by <time>', 'refuse unless it is promised by then, e.g. 2027-01-31T12:00Z', unixTime)
    .option('--max-wait <seconds>', 'refuse unless it is promised within so many seconds', positiveNumber)
    .option('--refine', "have the service's refiner write a longer prompt first")
}

function requestOf(prompt: string, flags: RequestFlags): VideoRequest {
  return {
    prompt,
    ...(flags.model === undefined ? {} : { model: flags.model }),
    ...(flags.size === undefined ? {} : { size: flags.size }),
    ...(flags.seconds === undefined ? {} : { seconds: String(flags.seconds) }),
    ...(flags.frames === undefined ? {} : { num_frames: flags.frames }),
    ...(flags.steps === undefined ? {} : { num_steps: flags.steps }),
    ...(flags.guidance === undefined ? {} : { guidance: flags.guidance }),
    ...(flags.seed === undefined ? {} : { seed: flags.seed }),
    ...(flags.negativePrompt === undefined ? {} : { negative_prompt: flags.negativePrompt }),
    ...(flags.maxTokens === undefined ? {} : { max_tokens: flags.maxTokens }),
    ...(flags.maxCost === undefined ? {} : { max_cost: flags.maxCost }),
    ...(flags.tier === undefined ? {} : { service_tier: flags.tier }),
    ...(flags.maxPrice === undefined ? {} : { max_price: flags.maxPrice }),
    ...(flags.notBefore === undefined ? {} : { not_before: flags.notBefore }),
    ...(flags.deliverBy === undefined ? {} : { deliver_by: flags.deliverBy }),
    ...(flags.maxWait === undefined ? {} : { max_wait: flags.maxWait }),
    ...(flags.refine === undefined ? {} : { refine_prompt: flags.refine }),
  }
}
