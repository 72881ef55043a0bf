import { modelSchema } from '@sluice/shared/public-model'
import { z } from 'zod'
import { SluiceError } from '../../errors.ts'
import { accountRoute } from '../../http/route.ts'
import { modelsJson } from './model-json.ts'

export const retrieveModelRoute = accountRoute(
  'videos:read',
  {
    method: 'get',
    path: '/v1/models/{id}',
    operationId: 'retrieveModel',
    tag: 'account',
    summary: 'A model and what it makes',
    params: z.object({
      id: z.string().meta({ description: 'The model, or an alias.', example: 'open-sora-2' }),
    }),
    answers: { 200: { description: 'The model.', schema: modelSchema } },
    errors: ['not_found'],
  },
  async ({ context, key, params }) => {
    const models = await modelsJson(context, key)
    const model = models.find(({ id }) => id === params.id)
    if (model === undefined)
      throw new SluiceError(
        'not_found',
        `No such model: there are ${models.map(({ id }) => id).join(', ')}.`,
        'model',
      )
    return model
  },
)
