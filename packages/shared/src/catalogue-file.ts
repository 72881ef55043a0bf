import { readFileSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import { z } from 'zod'
import { POOL_PATTERN } from './attempt-contract.ts'
import { isId } from './ids.ts'
import { BUILT_IN_MODELS, FIRST_MODELS, findBuiltIn } from './models/built-in-models.ts'
import { Catalogue } from './models/catalogue.ts'
import { MODES, type Model } from './models/model.ts'
import { DEFAULT_MODEL_ALIASES } from './models/openai-names.ts'
import { parseMicros } from './money.ts'
import { type Environment, optionalSetting, SettingError, SettingErrors } from './settings.ts'

const SETTING = 'SLUICE_CATALOGUE'
const BUILT_IN_IDS = BUILT_IN_MODELS.map((model) => model.id)
/** Without a slash, which separates the model from the mode in a capability. */
const MODEL_ID = /^[a-z0-9][a-z0-9._-]{0,62}$/

/** As the database's table of prices asks. */
const RESOLUTION_PATTERN = /^[a-z0-9][a-z0-9._-]{0,31}$/
/** A class of the library, which the runner looks up by this name and no other. */
const CLASS_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,99}$/

const priceField = z
  .string()
  .refine(
    (text) => parseMicros(text) !== null,
    'text such as "0.30": a decimal number with at most six decimals',
  )
  .transform((text) => parseMicros(text) ?? 0n)
const resolutionField = z
  .string()
  .regex(
    RESOLUTION_PATTERN,
    '1 to 32 lower-case letters, digits, ".", "_" and "-", the first a letter or digit',
  )
const pathField = z.string().refine(isAbsolute, 'an absolute path')
const uniqueList = <T extends z.ZodType>(item: T) =>
  z.array(item).refine((list) => new Set(list).size === list.length, 'a list without repeats')

/**
 * One model of the file: a new one made from `base`, or, without `base`, changes to the built-in model with
 * that id.
 */
const entrySchema = z.strictObject({
  id: z
    .string()
    .regex(MODEL_ID, '1 to 63 lower-case letters, digits, ".", "_" and "-", the first a letter or digit')
    .refine(
      (id) => !DEFAULT_MODEL_ALIASES.includes(id),
      `a name other than ${DEFAULT_MODEL_ALIASES.join(', ')}, which stand for the default`,
    ),
  base: z.enum(BUILT_IN_IDS).optional(),
  description: z.string().min(1).max(500).optional(),
  owned_by: z.string().min(1).max(100).optional(),
  licence: z.string().min(1).max(2_000).optional(),
  modes: uniqueList(z.enum(MODES)).min(1).optional(),
  resolutions: uniqueList(resolutionField).min(1).optional(),
  prices: z.record(resolutionField, priceField).optional(),
  pool: z.string().regex(POOL_PATTERN, 'the name of a pool').optional(),
  accounts: uniqueList(
    z
      .string()
      .refine((id) => isId('acct', id), 'the id of an account, such as acct_01m84f0j8df20bh2fw7sqrp04k'),
  ).optional(),
  weights: z
    .strictObject({
      folder: pathField.optional(),
      checkpoint: pathField.optional(),
      lora: z.strictObject({ path: pathField, strength: z.number().min(-10).max(10).default(1) }).optional(),
    })
    .optional(),
  pipelines: z
    .partialRecord(z.enum(MODES), z.string().regex(CLASS_NAME, 'the name of a class, such as WanPipeline'))
    .optional(),
  engine_model: z.string().min(1).max(200).optional(),
})
type Entry = z.output<typeof entrySchema>

const fileSchema = z.strictObject({ $schema: z.string().optional(), models: z.array(entrySchema).max(1_000) })

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
  if (!parsed.success) {
    throw new SettingErrors(
      parsed.error.issues.map(
        (issue) => new SettingError(SETTING, path, `${placeOf(issue.path)}: ${issue.message}`),
      ),
    )
  }
  const { models: entries } = parsed.data
  const faults = entries.flatMap((entry, index) =>
    faultsOf(entry, index, entries).map((fault) => new SettingError(SETTING, path, fault)),
  )
  if (faults.length > 0) throw new SettingErrors(faults)
  const changed = BUILT_IN_MODELS.flatMap((builtIn) => {
    const entry = entries.find(({ id }) => id === builtIn.id)
    if (entry !== undefined) return [modelOf(entry, builtIn, null)]
    return FIRST_MODELS.includes(builtIn) ? [builtIn] : []
  })
  const own = entries.flatMap((entry) => {
    const base =
      entry.base === undefined
        ? undefined
        : (changed.find(({ id }) => id === entry.base) ?? findBuiltIn(entry.base))
    return base === undefined ? [] : [modelOf(entry, base, base.id)]
  })
  return new Catalogue([...changed, ...own])
}

/** What is wrong with an entry beyond its schema. */
function faultsOf(entry: Entry, index: number, entries: readonly Entry[]): string[] {
  const at = `models[${index}]`
  const builtIn = findBuiltIn(entry.id)
  const isBuiltIn = builtIn !== undefined
  const made = (builtIn ?? findBuiltIn(entry.base ?? ''))?.resolutions ?? []
  const unknown = (given: readonly string[], place: string): string[] =>
    given
      .filter((resolution) => !made.includes(resolution))
      .map((resolution) => `${at}.${place}: ${resolution} is not one of ${made.join(', ')}`)
  return [
    ...unknown(entry.resolutions ?? [], 'resolutions'),
    ...unknown(Object.keys(entry.prices ?? {}), 'prices'),
    ...(entries.findIndex(({ id }) => id === entry.id) < index
      ? [`${at}.id: ${entry.id} stands here twice`]
      : []),
    ...(isBuiltIn && entry.base !== undefined ? [`${at}.base: ${entry.id} is built in and has no base`] : []),
    ...(!isBuiltIn && entry.base === undefined
      ? [
          `${at}.base: is missing; ${entry.id} must name the model it was made from: ${BUILT_IN_IDS.join(', ')}`,
        ]
      : []),
  ]
}

/**
 * The model `like` with what the entry changes. Accounts and pool are always the entry's own: they are not
 * taken over from `like`. `base` is null when the entry changes a built-in model.
 */
function modelOf(entry: Entry, like: Model, base: string | null): Model {
  const { resolutions } = entry
  return {
    ...like,
    id: entry.id,
    base,
    ownedBy: entry.owned_by ?? (base === null ? like.ownedBy : 'operator'),
    description: entry.description ?? (base === null ? like.description : `${entry.id}, made from ${base}`),
    licence: entry.licence === undefined ? like.licence : { ...like.licence, text: entry.licence },
    modes: entry.modes ?? like.modes,
    ...(resolutions === undefined ? {} : onlyResolutions(like, resolutions)),
    firstPriceMicros: { ...like.firstPriceMicros, ...entry.prices },
    pipelines: entry.pipelines ?? like.pipelines,
    engineModel: entry.engine_model ?? (base === null ? like.engineModel : null),
    pool: entry.pool ?? null,
    accounts: entry.accounts === undefined ? null : new Set(entry.accounts),
    weights: weightsOf(entry, like, base),
  }
}

/** What is left of a model's classes and sizes when it shall make only these classes. */
function onlyResolutions(
  { resolutions, sizes, sizeRule }: Model,
  wanted: readonly string[],
): Pick<Model, 'resolutions' | 'sizes' | 'sizeRule'> {
  const isWanted = ({ resolution }: { resolution: string }) => wanted.includes(resolution)
  return {
    resolutions: resolutions.filter((resolution) => wanted.includes(resolution)),
    sizes: sizes.filter(isWanted),
    sizeRule: sizeRule === null ? null : { ...sizeRule, classes: sizeRule.classes.filter(isWanted) },
  }
}

/** The entry's LoRA is added to the entry's own folder or checkpoint or, without one, to its base's. */
function weightsOf({ weights = {} }: Entry, like: Model, base: string | null): Model['weights'] {
  const ofBase = base === null ? {} : like.weights
  const folder = weights.folder ?? ofBase.folder
  const checkpoint = weights.checkpoint ?? ofBase.checkpoint
  return {
    ...(folder === undefined ? {} : { folder }),
    ...(checkpoint === undefined ? {} : { checkpoint }),
    ...(weights.lora === undefined ? {} : { lora: weights.lora }),
  }
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
