import { capabilityOf } from '@sluice/shared/models/capability'
import type { Model } from '@sluice/shared/models/model'
import { DEFAULT_MODEL_ALIASES } from '@sluice/shared/models/openai-names'
import { formatSize } from '@sluice/shared/models/sizes'
import { z } from 'zod'
import { type AccountKey, mayAskFor } from '../../keys/authenticate.ts'
import type { Services } from '../../services.ts'
import { offeredModels } from '../../submissions/generation-of.ts'
import { readCapabilities } from '../../workers/pool-capabilities.ts'

/** When the oldest of the models was released; the field is required by clients and says nothing here. */
const CREATED = 1_741_737_600

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
    base: z
      .string()
      .nullable()
      .meta({ description: "The model it was made from; null for one of the service's own." }),
    is_default: z.boolean(),
    is_available: z
      .boolean()
      .meta({ description: 'A worker that makes it is connected. Else its videos wait for one.' }),
    alias_of: z.string().optional(),
    modes: z.array(z.string()),
    sizes: z.array(z.string()),
    frames: z.object({ min: z.int(), max: z.int(), fps: z.int() }),
    steps: z.object({ min: z.int(), max: z.int() }),
  })
  .meta({ id: 'Model' })

/** What a key may ask for, aliases last; an alias only with what it stands for. */
export async function modelsJson(
  { config, db }: Services,
  key: AccountKey,
): Promise<z.input<typeof modelSchema>[]> {
  const capabilities = await readCapabilities(db, config)
  const { models, defaultModel } = offeredModels({ config }, key)
  const data = models
    .filter((model) => mayAskFor(key, model.id))
    .map((model) => ({
      ...modelJson(model, capabilities.has(capabilityOf({ model: model.id, mode: model.modes[0] ?? 't2v' }))),
      is_default: model.id === defaultModel,
    }))
  const target = data.find((model) => model.is_default)
  const aliases =
    target === undefined
      ? []
      : DEFAULT_MODEL_ALIASES.map((id) => ({ ...target, id, is_default: false, alias_of: target.id }))
  return [...data, ...aliases]
}

function modelJson(model: Model, isAvailable: boolean): Omit<z.input<typeof modelSchema>, 'is_default'> {
  return {
    id: model.id,
    object: 'model',
    created: CREATED,
    owned_by: model.ownedBy,
    description: model.description,
    licence: model.licence.text,
    base: model.base,
    is_available: isAvailable,
    modes: [...model.modes],
    sizes: model.sizes.map(formatSize),
    frames: { min: model.frames.min, max: model.frames.max, fps: model.fps },
    steps: { min: model.steps.min, max: model.steps.max },
  }
}
