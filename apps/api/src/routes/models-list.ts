import { DEFAULT_MODEL_ALIASES, formatSize, MODELS } from '@sluice/shared/model-catalogue'
import type { RequestHandler } from 'express'
import type { Context } from '../context.ts'
import { accountKey } from '../http/authentication.ts'

/** When the oldest of the models was released; the field is required by clients and says nothing here. */
const CREATED = 1_741_737_600

/** GET /v1/models */
export function listModels(context: Context): RequestHandler {
  return async (request, response) => {
    await accountKey(context, request, 'videos:read')
    const data = MODELS.map((model) => ({
      id: model.id,
      object: 'model',
      created: CREATED,
      owned_by: model.ownedBy,
      description: model.description,
      licence: model.licence,
      is_default: model.id === context.config.defaultModel,
      modes: model.modes,
      sizes: model.sizes.map(formatSize),
      frames: { min: model.framesMin, max: model.framesMax, fps: model.fps },
      steps: { min: model.stepsMin, max: model.stepsMax },
    }))
    const target = data.find((model) => model.is_default)
    const aliases =
      target === undefined ? [] : DEFAULT_MODEL_ALIASES.map((id) => ({ ...target, id, is_default: false, alias_of: target.id }))
    response.json({ object: 'list', data: [...data, ...aliases] })
  }
}
