import { z } from 'zod'
import { COMMERCIAL_USES, I2V_CONDITIONS, MODES } from './models/model.ts'

const rangeSchema = z
  .object({ min: z.number(), max: z.number(), default: z.number() })
  .meta({ id: 'Range', example: { min: 0, max: 30, default: 7.5 } })

const parameter = (description: string) =>
  rangeSchema.nullable().meta({ description: `${description} Null when the model takes none.` })

const resolutionSchema = z
  .object({
    name: z.string().meta({ example: '256px' }),
    sizes: z
      .array(z.string())
      .meta({ description: 'Sizes of this class to choose from; with a size_rule others too.' }),
    pixels_min: z
      .int()
      .nullable()
      .meta({
        description: 'With a size_rule: the fewest pixels of a size of this class, width times height.',
        example: 65_536,
      }),
    pixels_max: z.int().nullable().meta({ example: 921_600 }),
    price: z
      .object({ per_million: z.string().meta({ example: '0.2' }), currency: z.string() })
      .nullable()
      .meta({ description: 'Of a million generated tokens, in force now; null when none is set.' }),
  })
  .meta({ id: 'ModelResolution' })

/** A model as `GET /v1/models` tells it: everything that a request of it may say, and what it costs. */
export const modelSchema = z
  .object({
    id: z.string(),
    object: z.literal('model'),
    created: z.int(),
    owned_by: z.string(),
    description: z.string(),
    licence: z
      .string()
      .meta({ description: 'What may be done with what it makes; read it before you charge for it.' }),
    licence_terms: z
      .object({
        name: z.string().meta({ example: 'Apache-2.0' }),
        commercial: z
          .enum(COMMERCIAL_USES)
          .meta({ description: 'Whether what it makes may be sold; conditions: the licence says when.' }),
        forbidden_in: z
          .array(z.string())
          .meta({
            description: 'Where it may not be used: ISO 3166 codes, and EU.',
            example: ['EU', 'GB', 'KR'],
          }),
      })
      .meta({ id: 'LicenceTerms' }),
    base: z
      .string()
      .nullable()
      .meta({ description: "The model it was made from; null for one of the service's own." }),
    is_default: z.boolean(),
    is_available: z
      .boolean()
      .meta({ description: 'A worker that makes it is connected. Else its videos wait for one.' }),
    alias_of: z.string().optional(),
    modes: z.array(z.enum(MODES)),
    i2v_conditions: z
      .array(z.enum(I2V_CONDITIONS))
      .meta({ description: 'Where the image of mode i2v may stand; the first is the default.' }),
    sizes: z
      .array(z.string())
      .meta({
        description: 'The sizes it makes; with a size_rule those to choose from.',
        example: ['336x192', '192x336'],
      }),
    size_rule: z
      .object({
        multiple: z.int().meta({ description: 'Both sides are multiples of it.', example: 32 }),
        side_min: z.int().meta({ example: 256 }),
        side_max: z.int().meta({ example: 1_280 }),
      })
      .meta({ id: 'SizeRule' })
      .nullable()
      .meta({
        description:
          'Any size whose sides are by this rule and whose pixels are those of a resolution; null: only the sizes.',
      }),
    resolutions: z
      .array(resolutionSchema)
      .meta({ description: 'The classes that prices are set for, the cheaper first.' }),
    openai_sizes: z
      .record(z.string(), z.string())
      .meta({
        description: 'What is made for each size of the OpenAI Videos API.',
        example: { '1280x720': '1024x576' },
      }),
    frames: z.object({
      min: z.int(),
      max: z.int(),
      fps: z.int(),
      multiple: z.int().meta({ description: 'num_frames is multiple * k + remainder.', example: 4 }),
      remainder: z.int().meta({ example: 1 }),
      default: z.int().meta({ example: 129 }),
    }),
    seconds: z
      .object({
        min: z.string().meta({ example: '0.041666666666666664' }),
        max: z.string().meta({ example: '5.375' }),
        default: z.string().meta({ example: '5.375' }),
      })
      .meta({ description: 'The lengths of its frames.' }),
    steps: z.object({ min: z.int(), max: z.int(), default: z.int().meta({ example: 50 }) }),
    guidance: parameter('How closely it keeps to the prompt.'),
    guidance_img: parameter('How closely it keeps to the image.'),
    motion_score: parameter('How much moves.'),
    negative_prompt: z.boolean().meta({ description: 'Whether it takes a negative_prompt.' }),
    sound: z.boolean().meta({ description: 'Whether its videos have a sound track.' }),
    tokens: z
      .object({
        temporal: z.int().meta({ example: 4 }),
        spatial: z.int().meta({ example: 8 }),
        // Not a tuple: generators of clients do not know `prefixItems`.
        patch: z
          .array(z.int())
          .length(3)
          .meta({ description: 'By time, height and width.', example: [1, 2, 2] }),
      })
      .meta({
        description:
          'video tokens = ceil((1 + ceil((frames - 1) / temporal)) / patch[0]) * ceil(height / (spatial * patch[1])) * ceil(width / (spatial * patch[2])).',
      }),
  })
  .meta({ id: 'Model' })
export type PublicModel = z.output<typeof modelSchema>
