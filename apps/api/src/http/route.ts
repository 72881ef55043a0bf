import type { Request, RequestHandler, Response } from 'express'
import type { z } from 'zod'
import type { ErrorCode } from '../errors.ts'
import { NO_LIMITS, type Scope } from '../keys/api-key.ts'
import {
  type AccountKey,
  authenticate,
  type Key,
  requireAccountKey,
  requireScope,
} from '../keys/authenticate.ts'
import type { Services } from '../services.ts'
import { parseRequest } from './parse-request.ts'
import { countRequest } from './rate-limit.ts'
import { readFields } from './request-body.ts'

export type Method = 'get' | 'post' | 'patch' | 'delete'

export const TAGS = ['videos', 'account', 'webhooks', 'admin', 'service'] as const

/** One successful answer: its schema when it is JSON, else its content types, else nothing. */
export interface Answer {
  description: string
  schema?: z.ZodType
  contentTypes?: readonly string[]
  headers?: Readonly<Record<string, string>>
}

/** What a call is: the app binds it, and the OpenAPI document is written from it, so that the two can't disagree. */
export interface CallDocument<Params extends z.ZodType, Query extends z.ZodType, Body extends z.ZodType> {
  method: Method
  /** With parameters in braces: `/v1/videos/{id}`. */
  path: string
  operationId: string
  summary: string
  description?: string
  tag: (typeof TAGS)[number]
  params?: Params
  query?: Query
  /** JSON or multipart form; an absent body reads as `{}`. */
  body?: Body
  /** The body's `input_reference` may be a file or a data URL, and the body as large as one. */
  takesImage?: boolean
  /** An example body. */
  example?: z.input<Body>
  answers: Readonly<Record<number, Answer>>
  /** Errors beyond those of authentication, parsing and our own faults. */
  errors: readonly ErrorCode[]
}

/** What a handler gets: everything parsed and the caller known. */
export interface Call<Caller, Params, Query, Body> {
  context: Services
  request: Request
  response: Response
  key: Caller
  params: Params
  query: Query
  body: Body
}

/** A call without its types: what the app and the document work with. */
export interface Route extends CallDocument<z.ZodType, z.ZodType, z.ZodType> {
  /** The scope a key needs; null for calls that anyone may make. */
  scope: Scope | null
  handler(context: Services): RequestHandler
}

type Handle<Caller, P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> = (
  call: Call<Caller, z.output<P>, z.output<Q>, z.output<B>>,
) => Promise<void>

/** A call anyone may make. */
export function publicRoute<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(
  document: CallDocument<P, Q, B>,
  handle: Handle<null, P, Q, B>,
): Route {
  return makeRoute(null, document, async () => null, handle)
}

/** A call of a tenant, whose key needs `scope`. */
export function accountRoute<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(
  scope: 'videos:read' | 'videos:write',
  document: CallDocument<P, Q, B>,
  handle: Handle<AccountKey, P, Q, B>,
): Route {
  return makeRoute(scope, document, async (key) => requireAccountKey(key, scope), handle)
}

/** A call of the operator, or of a worker. */
export function scopedRoute<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(
  scope: 'admin' | 'worker',
  document: CallDocument<P, Q, B>,
  handle: Handle<Key, P, Q, B>,
): Route {
  const judge = async (key: Key) => {
    requireScope(key, scope)
    return key
  }
  return makeRoute(scope, document, judge, handle)
}

function makeRoute<Caller, P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(
  scope: Scope | null,
  document: CallDocument<P, Q, B>,
  judge: (key: Key) => Promise<Caller>,
  handle: Handle<Caller, P, Q, B>,
): Route {
  return {
    ...document,
    scope,
    handler: (context) => async (request, response) => {
      // Without a scope there is no key, and `judge` of a public call asks for none.
      const key = scope === null ? ANYONE : await authenticate(context.db, request.get('authorization'))
      await countRequest(context, key, response)
      const caller = await judge(key)
      const { params, query, body } = document
      await handle({
        context,
        request,
        response,
        key: caller,
        params: (params === undefined ? {} : parseRequest(params, request.params)) as z.output<P>,
        query: (query === undefined ? {} : parseRequest(query, request.query)) as z.output<Q>,
        body: (body === undefined
          ? {}
          : parseRequest(body, await readFields(request, response, document.takesImage))) as z.output<B>,
      })
    },
  }
}

const ANYONE: Key = { id: '', accountId: null, scopes: [], limits: NO_LIMITS }
