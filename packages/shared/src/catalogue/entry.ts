import { isAbsolute } from 'node:path'
import { z } from 'zod'
import { POOL_PATTERN } from '../attempt-contract.ts'
import { isId } from '../ids.ts'
import { COMMERCIAL_USES, I2V_CONDITIONS, MODES, PRECISIONS } from '../models/model.ts'
import { DEFAULT_MODEL_ALIASES } from '../models/openai-names.ts'
import { PRICE_MICROS_MAX, parseMicros } from '../money.ts'

/** Without a slash, which separates the model from the mode in a capability. */
const MODEL_ID = /^[a-z0-9][a-z0-9._-]{0,62}$/
/** As the database's table of prices asks. */
const RESOLUTION = /^[a-z0-9][a-z0-9._-]{0,31}$/
/** A class of a library, which a runner looks up by this name and no other. */
const CLASS_NAME = /^[A-Za-z_][A-Za-z0-9_]{0,99}$/
/** ISO 3166, and EU. */
const COUNTRY = /^[A-Z]{2}$/
const SIZE = /^[1-9]\d{0,3}x[1-9]\d{0,3}$/

/** More than any model has; they keep all sums within 64 bits. */
const FRAMES_MAX = 100_000
const FPS_MAX = 120
const STEPS_MAX = 1_000
const SIDE_MAX = 9_999
const COMPRESSION_MAX = 256
const PARAMETER_MAX = 100
/** The first block's outcome is another one altogether. */
const STEP_CACHE_THRESHOLD_MAX = 1

const idField = z
  .string()
  .regex(MODEL_ID, '1 to 63 lower-case letters, digits, ".", "_" and "-", the first a letter or digit')
const resolutionField = z
  .string()
  .regex(RESOLUTION, '1 to 32 lower-case letters, digits, ".", "_" and "-", the first a letter or digit')
  // What is said by class is looked up by its name, and this one every object has.
  .refine((name) => name !== 'constructor', 'another name than constructor')
const sizeField = z.string().regex(SIZE, 'a size such as "832x480"')
const PRICE_TEXT = 'text such as "0.30": a decimal number with at most six decimals'
const priceField = z
  .string(PRICE_TEXT)
  .refine((text) => parseMicros(text) !== null, PRICE_TEXT)
  .transform((text) => parseMicros(text) ?? 0n)
  .refine((micros) => micros <= PRICE_MICROS_MAX, 'at most "1000000" for a million tokens')
const pathField = z.string().refine(isAbsolute, 'an absolute path')
/** An object of these fields and no others. */
export const fields = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: ({ code, keys }) => {
      const allowed = `allowed is an object of ${Object.keys(shape).join(', ')}`
      if (code !== 'unrecognized_keys') return allowed
      return `has no field ${JSON.stringify(keys).slice(1, -1)}: ${allowed}`
    },
  })
const uniqueList = <T extends z.ZodType>(item: T) =>
  z.array(item).refine((list) => new Set(list).size === list.length, 'a list without repeats')
const count = (max: number) => z.int().min(1).max(max)
const range = <T extends z.ZodType<number>>(value: T) => fields({ min: value, max: value, default: value })
const parameterField = range(z.number().min(0).max(PARAMETER_MAX)).nullable()

const licenceField = z.union(
  [
    z.string().min(1).max(2_000),
    fields({
      name: z.string().min(1).max(100),
      text: z.string().min(1).max(2_000),
      commercial: z.enum(COMMERCIAL_USES),
      forbidden_in: uniqueList(z.string().regex(COUNTRY)).default([]),
    }),
  ],
  {
    error: `text, or an object of name, text, commercial (${COMMERCIAL_USES.join(', ')}) and forbidden_in (codes such as "EU")`,
  },
)

const sizeRuleField = fields({
  multiple: count(SIDE_MAX),
  side_min: count(SIDE_MAX),
  side_max: count(SIDE_MAX),
  classes: z.record(
    resolutionField,
    fields({ pixels_min: count(SIDE_MAX ** 2), pixels_max: count(SIDE_MAX ** 2) }),
  ),
})

/**
 * One model of the file: changes to the built-in model with that id, a new one made from `base`, or a new one
 * that it describes whole. Whatever an entry leaves out is as in the model it changes or is made from.
 */
export const entrySchema = fields({
  id: idField.refine(
    (id) => !DEFAULT_MODEL_ALIASES.includes(id),
    `a name other than ${DEFAULT_MODEL_ALIASES.join(', ')}, which stand for the default`,
  ),
  base: z.string().min(1).max(200).optional(),
  description: z.string().min(1).max(500).optional(),
  owned_by: z.string().min(1).max(100).optional(),
  licence: licenceField.optional(),
  modes: uniqueList(z.enum(MODES)).min(1).optional(),
  i2v_conditions: uniqueList(z.enum(I2V_CONDITIONS)).optional(),
  resolutions: uniqueList(resolutionField).min(1).max(20).optional(),
  sizes: z.record(resolutionField, uniqueList(sizeField).min(1).max(100)).optional(),
  size_rule: sizeRuleField.optional(),
  openai_sizes: z.record(sizeField, sizeField).optional(),
  frames: fields({
    multiple: count(FRAMES_MAX),
    remainder: z.int().min(0).max(FRAMES_MAX),
    min: count(FRAMES_MAX),
    max: count(FRAMES_MAX),
    default: count(FRAMES_MAX),
  }).optional(),
  fps: count(FPS_MAX).optional(),
  steps: range(count(STEPS_MAX)).optional(),
  guidance: parameterField.optional(),
  guidance_img: parameterField.optional(),
  motion_score: range(z.int().min(0).max(PARAMETER_MAX)).nullable().optional(),
  negative_prompt: z.boolean().optional(),
  sound: z.boolean().optional(),
  tokens: fields({
    temporal: count(COMPRESSION_MAX),
    spatial: count(COMPRESSION_MAX),
    patch: z.tuple([count(COMPRESSION_MAX), count(COMPRESSION_MAX), count(COMPRESSION_MAX)]),
  }).optional(),
  tokens_per_second: z.record(resolutionField, z.number().positive().max(1e12)).optional(),
  prices: z.record(resolutionField, priceField).optional(),
  pool: z
    .string()
    .regex(POOL_PATTERN, '1 to 63 lower-case letters, digits, "_" and "-", the first a letter or digit')
    .optional(),
  accounts: uniqueList(
    z
      .string()
      .refine((id) => isId('acct', id), 'the id of an account, such as acct_01m84f0j8df20bh2fw7sqrp04k'),
  ).optional(),
  weights: fields({
    folder: pathField.optional(),
    checkpoint: pathField.optional(),
    lora: fields({ path: pathField, strength: z.number().min(-10).max(10).default(1) }).optional(),
  }).optional(),
  pipelines: z
    .partialRecord(z.enum(MODES), z.string().regex(CLASS_NAME, 'the name of a class, such as WanPipeline'))
    .optional(),
  step_cache: fields({ threshold: z.number().positive().max(STEP_CACHE_THRESHOLD_MAX) })
    .nullable()
    .optional(),
  precision: z.enum(PRECISIONS, PRECISIONS.join(' or ')).nullable().optional(),
  engine_model: z.string().min(1).max(200).optional(),
})
export type Entry = z.output<typeof entrySchema>

/** What a model that the file describes whole must say; its sizes are a list, a rule or both. */
export const NEEDED_OF_A_WHOLE_MODEL = [
  'description',
  'licence',
  'modes',
  'resolutions',
  'frames',
  'fps',
  'steps',
  'tokens',
  'prices',
] as const satisfies readonly (keyof Entry)[]
