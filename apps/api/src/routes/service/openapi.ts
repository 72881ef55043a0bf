import { z } from 'zod'
import { openApiDocument } from '../../http/openapi.ts'
import { publicRoute, type Route } from '../../http/route.ts'

/** GET /openapi.json: the document of `routes` and of itself. */
export function openApiRoute(routes: readonly Route[]): Route {
  const self: Route = publicRoute(
    {
      method: 'get',
      path: '/openapi.json',
      operationId: 'openapi',
      tag: 'service',
      summary: 'This document',
      answers: { 200: { description: 'OpenAPI 3.1.', schema: z.record(z.string(), z.unknown()) } },
      errors: [],
    },
    async ({ context }) => {
      return { ...openApiDocument([...routes, self], context.config.http.publicUrl) }
    },
  )
  return self
}
