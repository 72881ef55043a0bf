import { modelSchema } from '@sluice/shared/public-model'
import { z } from 'zod'
import { accountRoute } from '../../http/route.ts'
import { modelsJson } from './model-json.ts'

export const listModelsRoute = accountRoute(
  'videos:read',
  {
    method: 'get',
    path: '/v1/models',
    operationId: 'listModels',
    tag: 'account',
    summary: 'The models and what they make',
    answers: {
      200: {
        description: 'What this key may ask for.',
        schema: z.object({ object: z.literal('list'), data: z.array(modelSchema) }),
      },
    },
    errors: [],
  },
  async ({ context, key }) => {
    return { object: 'list', data: await modelsJson(context, key) }
  },
)
