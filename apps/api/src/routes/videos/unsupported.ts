import { z } from 'zod'
import { SluiceError } from '../../errors.ts'
import { accountRoute, type Method, type Route } from '../../http/route.ts'

/**
 * A call of the OpenAI Videos API that Open-Sora has no counterpart for: a typed error, so that nobody looks
 * for a typing mistake.
 */
function unsupported(method: Method, path: string, operationId: string, what: string): Route {
  return accountRoute(
    'videos:write',
    {
      method,
      path,
      operationId,
      tag: 'not there',
      summary: `Not there: ${what}`,
      ...(path.includes('{id}') ? { params: z.object({ id: z.string() }) } : {}),
      answers: {},
      errors: ['unsupported_operation'],
    },
    async () => {
      throw new SluiceError(
        'unsupported_operation',
        `Open-Sora does not do ${what}. Submit a new video with POST /v1/videos.`,
      )
    },
  )
}

export const unsupportedRoutes: readonly Route[] = [
  unsupported('post', '/v1/videos/edits', 'editVideo', 'edits'),
  unsupported('post', '/v1/videos/extensions', 'extendVideo', 'extensions'),
  unsupported('post', '/v1/videos/characters', 'createCharacter', 'characters'),
  unsupported('get', '/v1/videos/characters/{id}', 'retrieveCharacter', 'characters'),
]
