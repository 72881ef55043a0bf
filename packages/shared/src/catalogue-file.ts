import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { type Entry, entrySchema, fields, NEEDED_OF_A_WHOLE_MODEL } from './catalogue/entry.ts'
import { modelFaults } from './catalogue/model-faults.ts'
import { changedModel, madeFrom, wholeModel } from './catalogue/model-of-entry.ts'
import { BUILT_IN_MODELS, FIRST_MODELS, findBuiltIn } from './models/built-in-models.ts'
import { Catalogue } from './models/catalogue.ts'
import type { Model } from './models/model.ts'
import { type Environment, optionalSetting, SettingError, SettingErrors } from './settings.ts'

const SETTING = 'SLUICE_CATALOGUE'

/** As long as a path may well be. */
const GIVEN_LENGTH_MAX = 200

const fileSchema = fields({
  $schema: z.string().optional(),
  models: z.array(entrySchema, 'allowed is a list of models').max(1_000),
})

/**
 * The catalogue in the JSON file that SLUICE_CATALOGUE names, or the built-in models when it is unset. API
 * and GPU hosts read the same file: the API uses prices, pools and accounts, a GPU host the weights. Throws
 * SettingError when the file cannot be read, SettingErrors that name each wrong place in it.
 */
export function readCatalogue(env: Environment): Catalogue {
  const path = optionalSetting(env, SETTING)
  if (path === undefined) return new Catalogue()
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    throw new SettingError(
      SETTING,
      path,
      `cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
  return parseCatalogue(path, text)
}

/** The catalogue that `text`, the content of the file `path`, describes. Throws as readCatalogue does. */
export function parseCatalogue(path: string, text: string): Catalogue {
  const entries = parseEntries(path, text)
  const refuse = (faults: readonly string[]): void => {
    if (faults.length > 0)
      throw new SettingErrors(faults.map((fault) => new SettingError(SETTING, path, fault)))
  }
  refuse(entries.flatMap((entry, index) => entryFaults(entry, entries).map(at(index))))
  const changed = BUILT_IN_MODELS.map((builtIn) => {
    const entry = entries.find(({ id }) => id === builtIn.id)
    return entry === undefined ? builtIn : changedModel(builtIn, entry)
  })
  const whole = entries.filter(isWhole).map(wholeModel)
  const own = entries.flatMap((entry) => {
    const base = [...changed, ...whole].find(({ id }) => id === entry.base)
    return base === undefined ? [] : [madeFrom(base, entry)]
  })
  const known = [...changed, ...whole, ...own]
  refuse(
    entries.flatMap((entry, index) => {
      const model = known.find(({ id }) => id === entry.id)
      const like = findBuiltIn(entry.id) ?? known.find(({ id }) => id === entry.base)
      return model === undefined
        ? []
        : modelFaults(model, entry, like).map((fault) => at(index)(fault.join(': ')))
    }),
  )
  const isFirst = ({ id }: { id: string }) => FIRST_MODELS.some((first) => first.id === id)
  const others = entries.filter((entry) => !isFirst(entry))
  return new Catalogue([
    ...changed.filter(isFirst),
    ...others.flatMap((entry) => known.filter(({ id }) => id === entry.id)),
  ])
}

function parseEntries(path: string, text: string): Entry[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw new SettingError(
      SETTING,
      path,
      `is not JSON: ${error instanceof Error ? error.message : String(error)}`,
    )
  }
  const parsed = fileSchema.safeParse(value)
  if (parsed.success) return parsed.data.models
  throw new SettingErrors(
    parsed.error.issues.map(
      (issue) =>
        new SettingError(
          SETTING,
          path,
          `${placeOf(issue.path)}: ${given(value, issue.path)}${issue.message}`,
        ),
    ),
  )
}

function isOwn({ id }: Pick<Model, 'id'>): boolean {
  return findBuiltIn(id) === undefined
}

/** Whether the entry describes a model of its own without a base. */
function isWhole(entry: Entry): boolean {
  return isOwn(entry) && entry.base === undefined
}

const at =
  (index: number) =>
  (fault: string): string =>
    `models[${index}].${fault}`

/** What is wrong with an entry beyond its schema, before it can be made into a model. */
function entryFaults(entry: Entry, entries: readonly Entry[]): string[] {
  const faults: string[] = []
  if (entries.find(({ id }) => id === entry.id) !== entry) faults.push(`id: ${entry.id} stands here twice`)
  if (entry.base !== undefined) faults.push(...baseFaults(entry.id, entry.base, entries))
  const builtIn = findBuiltIn(entry.id) ?? findBuiltIn(entry.base ?? '')
  const isChange = entry.sizes === undefined && entry.size_rule === undefined
  if (builtIn !== undefined && isChange) {
    const made = builtIn.resolutions
    const strange = (entry.resolutions ?? []).filter((resolution) => !made.includes(resolution))
    faults.push(...strange.map((name) => `resolutions: ${name} is not one of ${made.join(', ')}`))
  }
  if (isWhole(entry)) faults.push(...missingOf(entry))
  faults.push(...approximationFaults(entry))
  return faults
}

/** Whether a built-in model approximates is no setting of it: its customers would not see the change. */
function approximationFaults({ id, step_cache, precision }: Entry): string[] {
  const builtIn = findBuiltIn(id)
  if (builtIn === undefined) return []
  const traits = [
    ['step_cache', step_cache, builtIn.stepCache],
    ['precision', precision, builtIn.precision],
  ] as const
  return traits.flatMap(([name, asked, own]) => {
    if (asked === undefined || (asked === null) === (own === null)) return []
    const which = asked === null ? 'has one' : 'is exact and has none'
    return [`${name}: ${id} ${which}; what is made otherwise has an id of its own, with base ${id}`]
  })
}

function baseFaults(id: string, base: string, entries: readonly Entry[]): string[] {
  if (!isOwn({ id })) return [`base: ${id} is built in and has no base`]
  const whole = entries.filter((entry) => isWhole(entry) && entry.id !== id).map((entry) => entry.id)
  const bases = [...BUILT_IN_MODELS.map((model) => model.id), ...whole]
  if (bases.includes(base)) return []
  return [`base: ${base} is no model that another can be made from: ${bases.join(', ')}`]
}

function missingOf(entry: Entry): string[] {
  const needed = [...NEEDED_OF_A_WHOLE_MODEL, 'sizes'] as const
  const missing = needed.filter(
    (field) => entry[field] === undefined && !(field === 'sizes' && entry.size_rule !== undefined),
  )
  const saysHowItIsMade = entry.frames !== undefined || entry.tokens !== undefined
  if (missing.length > 1 && !saysHowItIsMade) {
    const bases = BUILT_IN_MODELS.map((model) => model.id).join(', ')
    return [
      `base: is missing; ${entry.id} names the model it was made from (${bases}), or says all of ${needed.join(', ')}`,
    ]
  }
  return missing.map((field) => `${field}: is missing; ${entry.id} has no base to take it from`)
}

/** What stands at a wrong place of the file, when that is short enough to be shown. */
function given(file: unknown, path: readonly PropertyKey[]): string {
  const at = path.reduce<unknown>(
    (value, part) => (typeof value === 'object' && value !== null ? Reflect.get(value, part) : undefined),
    file,
  )
  if (at === undefined) return 'is missing: '
  const text = JSON.stringify(at)
  return typeof at === 'object' || text.length > GIVEN_LENGTH_MAX ? '' : `is ${text}: `
}

/** `['models', 2, 'weights', 'lora']` -> `models[2].weights.lora`. */
function placeOf(path: readonly PropertyKey[]): string {
  return path.length === 0
    ? 'the file'
    : path
        .map((part, index) =>
          typeof part === 'number' ? `[${part}]` : `${index === 0 ? '' : '.'}${String(part)}`,
        )
        .join('')
}
