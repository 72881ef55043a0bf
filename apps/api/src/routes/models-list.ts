import { DEFAULT_MODEL_ALIASES, formatSize, MODELS } from '@sluice/shared/model-catalogue'
import { z } from 'zod'
import type { Context } from '../context.ts'
import { accountRoute } from '../http/route.ts'

/** When the oldest of the models was released; the field is required by clients and says nothing here. */
const CREATED = 1_741_737_600

export const modelSchema = z
  .object({
    id: z.string(),
    object: z.literal('model'),
    created: z.int(),
    owned_by: z.string(),
    description: z.string(),
    licence: z.string().meta({ description: 'What may be done with what it makes; read it before you charge for it.' }),
    is_default: z.boolean(),
    alias_of: z.string().optional(),
    modes: z.array(z.string()),
    sizes: z.array(z.string()),
    frames: z.object({ min: z.int(), max: z.int(), fps: z.int() }),
    steps: z.object({ min: z.int(), max: z.int() }),
  })
  .meta({ id: 'Model' })

export const listModels = accountRoute(
  'videos:read',
  {
    ...{ method: 'get', path: '/v1/models', operationId: 'listModels', tag: 'account', summary: 'The models and what they make' },
    answers: { 200: { description: 'All models.', schema: z.object({ object: z.literal('list'), data: z.array(modelSchema) }) } },
    errors: [],
  },
  async ({ context, response }) => {
    response.json({ object: 'list', data: modelsJson(context) })
  },
)

/** The models and the aliases of the default one, as they are listed. */
export function modelsJson(context: Context): z.input<typeof modelSchema>[] {
  const data = MODELS.map((model) => ({
    id: model.id,
    object: 'model' as const,
    created: CREATED,
    owned_by: model.ownedBy,
    description: model.description,
    licence: model.licence,
    is_default: model.id === context.config.defaultModel,
    modes: [...model.modes],
    sizes: model.sizes.map(formatSize),
    frames: { min: model.framesMin, max: model.framesMax, fps: model.fps },
    steps: { min: model.stepsMin, max: model.stepsMax },
  }))
  const target = data.find((model) => model.is_default)
  const aliases = target === undefined ? [] : DEFAULT_MODEL_ALIASES.map((id) => ({ ...target, id, is_default: false, alias_of: target.id }))
  return [...data, ...aliases]
}
