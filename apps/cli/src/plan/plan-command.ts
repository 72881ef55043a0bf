import { readCatalogue } from '@sluice/shared/catalogue-file'
import { BUILT_IN_MODELS } from '@sluice/shared/models/built-in-models'
import { Catalogue } from '@sluice/shared/models/catalogue'
import type { Environment } from '@sluice/shared/settings'
import type { Command } from 'commander'
import { InvalidArgumentError } from 'commander'
import { positiveNumber, wholeNumber } from '../arguments.ts'
import type { HttpClient } from '../connection/http-client.ts'
import { requireWritable, writeOutput } from '../output-file.ts'
import { chartSvg } from './chart.ts'
import { EXAMPLE_PLAN } from './example-plan.ts'
import { checkedExamples, examplesText } from './examples.ts'
import { PlanError } from './faults.ts'
import { planOfService } from './from-service.ts'
import { readPlan } from './read-plan.ts'
import { reportOf } from './report.ts'
import { reportJson } from './report-json.ts'
import { reportText } from './report-text.ts'
import { type PlanText, readPlanText, SECTIONS, type Section } from './sections.ts'
import { parseWhatIf, variantsOf } from './what-if.ts'

interface PlanFlags extends Partial<Record<Section, string>> {
  fromService?: boolean
  serviceDays?: number
  save?: string
  whatIf?: string[]
  margin?: number
  seed: number
  days?: number
  search: boolean
  json?: boolean
  svg?: string
  example?: boolean
  checkExamples?: boolean
}

/** Where a plan is made. */
interface PlanParts {
  env: Environment
  /** Writes to stdout. */
  write(text: string): void
  /** A line that is no result. */
  notice(line: string): void
  /** Calls with the admin key. */
  http(): Promise<HttpClient>
}

const SERVICE_DAYS = 7
const SERVICE_DAYS_MAX = 28
const SIMULATED_DAYS_MAX = 28

/** Adds `sluice plan`: GPUs, waiting times and money, before there are any. */
export function addPlanCommand(program: Command, parts: PlanParts): void {
  const command = program
    .command('plan')
    .description('say what a demand needs and earns: GPUs, waiting times, cost, margin')
    .argument('[file]', 'a plan in JSON (see --example)')
  for (const section of SECTIONS)
    command.option(`--${section} <csv>`, `take ${section} from a CSV file, in place of the plan's own`)
  command
    .option('--from-service', 'take demand, mix, pools, paces, prices and accounts from the running service')
    .option('--service-days <n>', `days of demand to look back at (default ${SERVICE_DAYS})`, serviceDays)
    .option('--save <file>', 'with --from-service: write that plan to a file, to change it')
    .option('--what-if <name=values>', 'other numbers, e.g. h200.gpus=2-8; may be repeated', collected)
    .option('--margin <percent>', 'show the prices that leave this margin', marginPercent)
    .option('--seed <n>', 'another seed gives other random times', wholeNumber, 1)
    .option(
      '--days <n>',
      'days to simulate (default: as many as 20,000 videos take, at most 28)',
      simulatedDays,
    )
    .option('--no-search', 'only the pools of the plan: do not look for how many GPUs are needed')
    .option('--json', 'print the report as JSON, nothing else')
    .option('--svg <file>', 'write the report as a picture too')
    .option('--example', 'print a plan to begin with')
    .option('--check-examples', 'work out the examples of docs/plan.md anew; exit with 1 if one differs')
    .action(async (file: string | undefined, flags: PlanFlags) => {
      process.exitCode = await runPlan(file, flags, parts)
    })
}

/** Returns the exit code. Throws PlanError, ApiError, and UsageError when a file could not be written. */
async function runPlan(file: string | undefined, flags: PlanFlags, parts: PlanParts): Promise<number> {
  if (flags.checkExamples === true) return checkExamples(parts, flags.json === true)
  if (flags.example === true) {
    parts.write(`${JSON.stringify(EXAMPLE_PLAN, null, 2)}\n`)
    return 0
  }
  for (const option of ['svg', 'save'] as const) {
    const path = flags[option]
    if (path !== undefined) await requireWritable({ option: `--${option}`, path })
  }
  const plan = readPlan(await planText(file, flags, parts), plannableModels(parts.env))
  const asked = {
    seed: flags.seed,
    days: flags.days,
    isSearched: flags.search,
    notice: patient(parts.notice),
  }
  const changes = parseWhatIf(plan, flags.whatIf ?? [])
  const report = reportOf(plan, asked)
  const more = { variants: variantsOf(plan, changes, asked), marginWanted: flags.margin ?? null }
  if (flags.svg !== undefined) await writeOutput({ option: '--svg', path: flags.svg }, chartSvg(report))
  parts.write(
    flags.json === true ? `${JSON.stringify(reportJson(report, more), null, 2)}\n` : reportText(report, more),
  )
  return 0
}

/** The models of the service, and all built-in ones: a plan may ask what another would cost. */
function plannableModels(env: Environment): Catalogue {
  const { models } = readCatalogue(env)
  const others = BUILT_IN_MODELS.filter(({ id }) => models.every((model) => model.id !== id))
  return new Catalogue([...models, ...others])
}

/** What was written down, or what the service says. Throws PlanError when it is neither, or both. */
async function planText(file: string | undefined, flags: PlanFlags, parts: PlanParts): Promise<PlanText> {
  const csv = Object.fromEntries(
    SECTIONS.flatMap((section) => (flags[section] === undefined ? [] : [[section, flags[section]]])),
  )
  if (flags.fromService !== true) {
    if (flags.save !== undefined) throw new PlanError('--save is for --from-service')
    if (file === undefined && Object.keys(csv).length === 0)
      throw new PlanError(
        'no plan: name a file (see "sluice plan --example"), or take it from the service with --from-service',
      )
    return readPlanText({ json: file, csv })
  }
  if (file !== undefined) throw new PlanError('a plan is either in a file or taken --from-service')
  const document = await planOfService(await parts.http(), flags.serviceDays ?? SERVICE_DAYS)
  if (flags.save !== undefined)
    await writeOutput({ option: '--save', path: flags.save }, `${JSON.stringify(document, null, 2)}\n`)
  return { document, path: '.', csv }
}

function checkExamples(parts: PlanParts, isJson: boolean): number {
  const examples = checkedExamples()
  parts.write(isJson ? `${JSON.stringify(examples, null, 2)}\n` : examplesText(examples))
  return examples.every(({ result, expected }) => result === expected) ? 0 : 1
}

/** Says what is simulated once that has taken a while. */
function patient(notice: (line: string) => void): (line: string) => void {
  const sinceMs = performance.now()
  return (line) => {
    if (performance.now() - sinceMs > 2_000) notice(line)
  }
}

function collected(value: string, before: string[] = []): string[] {
  return [...before, value]
}

function marginPercent(text: string): number {
  const percent = /^\d{1,2}(\.\d{1,3})?$/.test(text) ? Number(text) : 100
  if (percent >= 100) throw new InvalidArgumentError('It must be a number of percent below 100, such as 30.')
  return percent / 100
}

function serviceDays(text: string): number {
  const days = positiveNumber(text)
  if (days > SERVICE_DAYS_MAX) throw new InvalidArgumentError(`It must be at most ${SERVICE_DAYS_MAX}.`)
  return days
}

function simulatedDays(text: string): number {
  const days = positiveNumber(text)
  if (days > SIMULATED_DAYS_MAX) throw new InvalidArgumentError(`It must be at most ${SIMULATED_DAYS_MAX}.`)
  return days
}
