import { z } from 'zod'
import {
  createDocument,
  type ZodOpenApiOperationObject,
  type ZodOpenApiPathsObject,
  type ZodOpenApiResponseObject,
} from 'zod-openapi'
import type { ErrorCode } from '../errors.ts'
import { ERROR_STATUS } from './error-status.ts'
import { addExamples } from './openapi-examples.ts'
import { type Route, TAGS } from './route.ts'

const TAG_TEXTS: Record<(typeof TAGS)[number], string> = {
  videos: 'Submit, poll, download. These answer the calls of the OpenAI Videos API, and more.',
  account: 'Models, balance, key.',
  payments: 'Money in, and what became of it month by month.',
  webhooks: 'Events pushed to your server.',
  admin: 'For the operator.',
  service: 'Health, figures, this document.',
  'not there': "Calls of OpenAI's API that Open-Sora has no counterpart for: a typed error.",
}

const DESCRIPTION = `A self-hosted, metered text-to-video service on Open-Sora 2.0.

Every body but Stripe's may be JSON or a multipart form. In both a field that may be left out may also be
null, and in a form empty: that counts as left out, unless null is among its types. Every answer has the
header \`x-request-id\`. HEAD is answered wherever GET is; any other method is a 405 with \`allow\`.`

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

/**
 * The OpenAPI 3.1 document of these routes, in the order in which people need them, without worker calls:
 * their contract is the shared package's.
 */
export function openApiDocument(
  routes: readonly Route[],
  publicUrl: string,
): ReturnType<typeof createDocument> {
  const paths: Record<string, Record<string, ZodOpenApiOperationObject>> = {}
  for (const route of documentedOf(routes)) {
    const operations: Record<string, ZodOpenApiOperationObject> = { [route.method]: operationOf(route) }
    if (route.tellsByHead === true) operations.head = headOf(route)
    paths[route.path] = { ...paths[route.path], ...operations }
  }
  const document = createDocument(
    {
      openapi: '3.1.0',
      info: {
        title: 'Sluice',
        version: '0.1.0',
        description: DESCRIPTION,
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: publicUrl }],
      tags: TAGS.map((name) => ({ name, description: TAG_TEXTS[name] })),
      components: {
        securitySchemes: {
          key: {
            type: 'http',
            scheme: 'bearer',
            description: 'An API key; admin calls need a key of the operator.',
          },
        },
      },
      paths: paths as ZodOpenApiPathsObject,
    },
    { override: ({ jsonSchema, io }) => sizeIntegers(jsonSchema, io) },
  )
  addExamples(document)
  return document
}

/** The calls that the document describes, in its order. */
export function documentedOf(routes: readonly Route[]): Route[] {
  return TAGS.flatMap((tag) => routes.filter((route) => route.scope !== 'worker' && route.tag === tag))
}

const INT32_MAX = 2_147_483_647

/** Says which integers need 64 bits, and not what no integer exceeds. */
function sizeIntegers(
  schema: { type?: unknown; format?: string; minimum?: number; maximum?: number },
  io: 'input' | 'output',
): void {
  if (schema.type !== 'integer') return
  if (schema.minimum === Number.MIN_SAFE_INTEGER) delete schema.minimum
  if (schema.maximum === Number.MAX_SAFE_INTEGER && io === 'output') delete schema.maximum
  if ((schema.maximum ?? Number.MAX_SAFE_INTEGER) > INT32_MAX) schema.format = 'int64'
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
      ...(route.headers === undefined ? {} : { header: route.headers }),
    },
    ...(route.body === undefined ? {} : { requestBody: bodyOf(route, route.body) }),
    responses: { ...answersOf(route), ...errorAnswers(route) },
  } as ZodOpenApiOperationObject
}

/** HEAD of a call: the same, with no body in any answer, and no part of one. */
function headOf(route: Route): ZodOpenApiOperationObject {
  const { responses, ...operation } = operationOf(route)
  const withoutBodies = Object.entries(responses as Record<string, ZodOpenApiResponseObject>)
    .filter(([status]) => status !== '206' && status !== '416')
    .map(([status, { content: _, ...answer }]) => [status, answer])
  return {
    ...operation,
    operationId: `${route.operationId}Head`,
    summary: `${route.summary}: the headers alone`,
    responses: Object.fromEntries(withoutBodies),
  }
}

function bodyOf(route: Route, schema: z.ZodType) {
  const json = { schema, ...(route.example === undefined ? {} : { example: route.example }) }
  return {
    required: !schema.safeParse({}).success,
    content: {
      'application/json': json,
      ...(route.isSigned === true ? {} : { 'multipart/form-data': { schema: formSchema(route, schema) } }),
    },
  }
}

/** The body as a form: its upload is a file there. */
function formSchema({ upload }: Route, schema: z.ZodType): z.ZodType {
  if (upload === undefined || !(schema instanceof z.ZodObject)) return schema
  const file = z
    .unknown()
    .optional()
    .meta({
      override: {
        type: 'string',
        format: 'binary',
        description: 'The file itself; as text, what the JSON body takes.',
      },
    })
  return z.strictObject({ ...schema.shape, [upload.name]: file })
}

function answersOf(route: Route): Record<string, ZodOpenApiResponseObject> {
  return Object.fromEntries(
    Object.entries(route.answers).map(([status, answer]) => {
      const files = (answer.contentTypes ?? []).map((type) => [type, { schema: contentSchema(type) }])
      const json = answer.schema === undefined ? {} : { 'application/json': { schema: answer.schema } }
      // Of several, generators read the first: the file where there is one, and JSON before CSV.
      const content = files.some(([type]) => String(type).startsWith('text/'))
        ? { ...json, ...Object.fromEntries(files) }
        : { ...Object.fromEntries(files), ...json }
      const headers = Object.fromEntries(
        Object.entries(answer.headers ?? {}).map(([name, { description, type }]) => [
          name,
          { description, schema: { type } },
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

function contentSchema(type: string): { type: 'string'; format?: 'binary' } {
  return type.startsWith('text/') ? { type: 'string' } : { type: 'string', format: 'binary' }
}

const KEY_ERRORS = [
  'missing_api_key',
  'invalid_api_key',
  'insufficient_scope',
  'rate_limited',
  'too_many_at_once',
  // Whoever has a key is looked up in the database, which may be away.
  'unavailable',
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

const RETRY_AFTER = {
  'retry-after': {
    description: 'Seconds to wait; absent where nobody can say.',
    schema: { type: 'integer', minimum: 0 },
  },
} as const

function errorAnswers(route: Route): Record<string, ZodOpenApiResponseObject> {
  const byStatus = Map.groupBy(errorCodesOf(route), (code) => ERROR_STATUS[code].status)
  return Object.fromEntries(
    [...byStatus]
      .sort(([a], [b]) => a - b)
      .map(([status, codes]) => [
        String(status),
        {
          description: codes.join(', '),
          ...(status === 429 || status === 503 ? { headers: RETRY_AFTER } : {}),
          content: { 'application/json': { schema: errorSchema } },
        },
      ]),
  )
}
