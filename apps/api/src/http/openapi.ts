import { z } from 'zod'
import {
  createDocument,
  type ZodOpenApiOperationObject,
  type ZodOpenApiPathsObject,
  type ZodOpenApiResponseObject,
} from 'zod-openapi'
import type { ErrorCode } from '../errors.ts'
import { ERROR_STATUS } from './error-status.ts'
import { type Route, TAGS } from './route.ts'

const TAG_TEXTS: Record<(typeof TAGS)[number], string> = {
  videos: 'Submit, poll, download. These answer the calls of the OpenAI Videos API, and more.',
  account: 'Models, balance, key.',
  webhooks: 'Events pushed to your server.',
  admin: 'For the operator.',
  service: 'Health, and what workers say.',
}

/** The body of every answer that is an error. */
const errorSchema = z
  .object({
    error: z.object({
      message: z
        .string()
        .meta({ description: 'Names the field at fault, what was given and what is allowed.' }),
      type: z.string(),
      code: z.string(),
      param: z.string().nullable().meta({ description: 'The field or header at fault.' }),
    }),
  })
  .meta({ id: 'Error' })

/** The OpenAPI 3.1 document of these routes, without worker calls: their contract is the shared package's. */
export function openApiDocument(
  routes: readonly Route[],
  publicUrl: string,
): ReturnType<typeof createDocument> {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {}
  for (const route of routes) {
    if (route.scope === 'worker') continue
    paths[route.path] = { ...paths[route.path], [route.method]: operationOf(route) }
  }
  return createDocument({
    openapi: '3.1.0',
    info: {
      title: 'Sluice',
      version: '0.1.0',
      description: 'A self-hosted, metered text-to-video service on Open-Sora 2.0.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: publicUrl }],
    tags: TAGS.map((name) => ({ name, description: TAG_TEXTS[name] })),
    components: {
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'An API key; admin calls need an admin key.' },
      },
    },
    paths: paths as ZodOpenApiPathsObject,
  })
}

function operationOf(route: Route): ZodOpenApiOperationObject {
  return {
    operationId: route.operationId,
    summary: route.summary,
    ...(route.description === undefined ? {} : { description: route.description }),
    tags: [route.tag],
    security: route.scope === null ? [] : [{ key: [] }],
    ...(route.scope === null ? {} : { 'x-scope': route.scope }),
    requestParams: {
      ...(route.params === undefined ? {} : { path: route.params as z.ZodObject }),
      ...(route.query === undefined ? {} : { query: route.query as z.ZodObject }),
    },
    ...(route.body === undefined ? {} : { requestBody: bodyOf(route, route.body) }),
    responses: { ...answersOf(route), ...errorAnswers(route) },
  } as ZodOpenApiOperationObject
}

function bodyOf(route: Route, schema: z.ZodType) {
  const json = { schema, ...(route.example === undefined ? {} : { example: route.example }) }
  return {
    required: !schema.safeParse({}).success,
    content: { 'application/json': json, 'multipart/form-data': { schema } },
  }
}

function answersOf(route: Route): Record<string, ZodOpenApiResponseObject> {
  return Object.fromEntries(
    Object.entries(route.answers).map(([status, answer]) => {
      const content = {
        ...(answer.schema === undefined ? {} : { 'application/json': { schema: answer.schema } }),
        ...Object.fromEntries(
          (answer.contentTypes ?? []).map((type) => [
            type,
            { schema: { type: 'string', format: 'binary' } as const },
          ]),
        ),
      }
      const headers = Object.fromEntries(
        Object.entries(answer.headers ?? {}).map(([name, description]) => [
          name,
          { description, schema: { type: 'string' as const } },
        ]),
      )
      return [
        status,
        {
          description: answer.description,
          ...(Object.keys(content).length === 0 ? {} : { content }),
          ...(Object.keys(headers).length === 0 ? {} : { headers }),
        } as ZodOpenApiResponseObject,
      ]
    }),
  )
}

const KEY_ERRORS = [
  'missing_api_key',
  'invalid_api_key',
  'insufficient_scope',
  'rate_limited',
  'too_many_at_once',
] as const satisfies readonly ErrorCode[]

const BODY_ERRORS = [
  'invalid_json',
  'invalid_form',
  'body_too_large',
  'body_too_slow',
  'unsupported_media_type',
] as const satisfies readonly ErrorCode[]

/** Every error code of a call: its own, and those that come with having a key, a body or a query. */
export function errorCodesOf(route: Route): ErrorCode[] {
  const codes = new Set<ErrorCode>(['internal_error', ...route.errors])
  if (route.scope !== null) for (const code of KEY_ERRORS) codes.add(code)
  // A path with a parameter may not be UTF-8.
  if (route.params !== undefined) codes.add('invalid_value')
  if (route.query !== undefined || route.body !== undefined) {
    for (const code of ['invalid_value', 'missing_parameter', 'unknown_parameter'] as const) codes.add(code)
  }
  if (route.body !== undefined) {
    for (const code of BODY_ERRORS) codes.add(code)
  }
  return [...codes]
}

function errorAnswers(route: Route): Record<string, ZodOpenApiResponseObject> {
  const byStatus = Map.groupBy(errorCodesOf(route), (code) => ERROR_STATUS[code].status)
  return Object.fromEntries(
    [...byStatus]
      .sort(([a], [b]) => a - b)
      .map(([status, codes]) => [
        String(status),
        { description: codes.join(', '), content: { 'application/json': { schema: errorSchema } } },
      ]),
  )
}
