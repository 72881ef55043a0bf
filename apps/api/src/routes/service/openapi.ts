import { z } from 'zod'
import { fixedFile } from '../../http/fixed-file.ts'
import { openApiDocument } from '../../http/openapi.ts'
import { publicRoute, type Route } from '../../http/route.ts'

/** GET /openapi.json: the document of `routes` and of itself, written once, when the app is put together. */
export function openApiRoute(routes: readonly Route[]): Route {
  const described: Route = publicRoute(
    {
      method: 'get',
      path: '/openapi.json',
      operationId: 'openapi',
      tag: 'service',
      summary: 'This document',
      answers: {
        200: { description: 'OpenAPI 3.1.', schema: z.record(z.string(), z.unknown()) },
        304: { description: 'It is the one that If-None-Match names.' },
      },
      errors: [],
    },
    async () => ({}),
  )
  return {
    ...described,
    handler: ({ config }) => {
      const document = openApiDocument([...routes, described], config.http.publicUrl)
      return fixedFile(Buffer.from(JSON.stringify(document)), 'json')
    },
  }
}
