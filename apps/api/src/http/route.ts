import type { Request, RequestHandler } from 'express'
import type { z } from 'zod'
import { type ErrorCode, SluiceError } from '../errors.ts'
import { hashKey, NO_LIMITS, type OperatorScope, type Scope } from '../keys/api-key.ts'
import { type AccountKey, type Key, requireAccountKey, requireScope } from '../keys/authenticate.ts'
import type { Services } from '../services.ts'
import { nullDropper } from './absent-nulls.ts'
import { admit, admitBody, type CallLine } from './admit.ts'
import { countRequest } from './count-request.ts'
import { markSubmission } from './measure-requests.ts'
import { parseRequest } from './parse-request.ts'
import { type JsonReply, type RawReply, sendReply } from './reply.ts'
import { bodyReader, SIGNED_BODY, type UploadField } from './request-body.ts'
import { bearerKey, originOf } from './request-headers.ts'

export type Method = 'get' | 'post' | 'patch' | 'delete'

/** What the calls are about, in the order in which people need them. */
export const TAGS = ['videos', 'account', 'payments', 'webhooks', 'admin', 'service', 'not there'] as const

/** A header of an answer. */
interface AnswerHeader {
  description: string
  type: 'string' | 'integer'
}

/**
 * One successful answer: its schema when it is JSON, its content types when it is something else, or neither.
 */
interface Answer {
  description: string
  schema?: z.ZodType
  contentTypes?: readonly string[]
  headers?: Readonly<Record<string, AnswerHeader>>
}

/** The successful answers of a call by status. */
export type Answers = Readonly<Record<number, Answer>>

/** A call: the app binds it, and the OpenAPI document is written from it, so that the two can't disagree. */
export interface CallDocument<
  Params extends z.ZodType,
  Query extends z.ZodType,
  Body extends z.ZodType,
  Documented extends Answers,
> {
  method: Method
  /** With parameters in braces: `/v1/videos/{id}`. */
  path: string
  operationId: string
  summary: string
  description?: string
  tag: (typeof TAGS)[number]
  params?: Params
  query?: Query
  /** Headers of a request that mean something to the call; its handler reads them itself. */
  headers?: z.ZodObject
  /** It answers HEAD with headers that tell something. Every other GET answers HEAD too, with less to say. */
  tellsByHead?: true
  /** JSON or multipart form; an absent body reads as `{}`. */
  body?: Body
  /** The handler gets the bytes of the JSON as they came, since they are signed; `body` takes a Buffer. */
  isSigned?: true
  /** The field of the body that may be a file, or as long as one. */
  upload?: UploadField
  /** What others call fields of the body, and what says the same here: said to who sends such a name. */
  otherNames?: Readonly<Record<string, string>>
  /** Its handler waits for something outside as well: it is counted apart from calls that are quick. */
  isLong?: true
  /**
   * Its own statement asks whether the key is still good, or it calls `confirmKey` before it does anything:
   * one that is known is not looked up before.
   */
  confirmsKey?: true
  /** Waits in the line of submissions, and is counted as one in the metrics. */
  isSubmission?: true
  /** An example body. */
  example?: z.input<Body>
  answers: Documented
  /** Errors beyond those of authentication, parsing and our own faults. */
  errors: readonly ErrorCode[]
}

/** What a handler gets: everything parsed and the caller known. */
interface Call<Caller, Params, Query, Body> {
  context: Services
  request: Request
  key: Caller
  /** Throws SluiceError when the key is not good any more. Of use to a call that `confirmsKey`. */
  confirmKey: () => Promise<void>
  params: Params
  query: Query
  body: Body
}

/** The JSON bodies that these answers allow. */
type JsonOf<Documented extends Answers> = {
  [Status in keyof Documented]: Documented[Status] extends { schema: infer Schema extends z.ZodType }
    ? z.input<Schema>
    : never
}[keyof Documented]

/** RawReply when one of these answers is something else than JSON, else nothing. */
type RawOf<Documented extends Answers> = {
  [Status in keyof Documented]: Documented[Status] extends { contentTypes: readonly string[] }
    ? RawReply
    : Documented[Status] extends { schema: z.ZodType }
      ? never
      : RawReply
}[keyof Documented]

/** What a handler may return: the JSON body of a 200, or a reply that says more. */
type Result<Documented extends Answers> =
  | JsonOf<Documented>
  | JsonReply<JsonOf<Documented>>
  | RawOf<Documented>

type Handle<
  Caller,
  P extends z.ZodType,
  Q extends z.ZodType,
  B extends z.ZodType,
  Documented extends Answers,
> = (call: Call<Caller, z.output<P>, z.output<Q>, z.output<B>>) => Promise<Result<Documented>>

/** A call without its types: what the app and the OpenAPI document work with. */
export interface Route extends CallDocument<z.ZodType, z.ZodType, z.ZodType, Answers> {
  /** The scope a key needs; null for calls that anyone may make. */
  scope: Scope | null
  handler(context: Services): RequestHandler
}

/** A call anyone may make. */
export function publicRoute<
  P extends z.ZodType,
  Q extends z.ZodType,
  B extends z.ZodType,
  const Documented extends Answers,
>(document: CallDocument<P, Q, B, Documented>, handle: Handle<null, P, Q, B, Documented>): Route {
  return makeRoute(null, document, () => null, handle)
}

/** A call of a tenant, whose key needs `scope`. */
export function accountRoute<
  P extends z.ZodType,
  Q extends z.ZodType,
  B extends z.ZodType,
  const Documented extends Answers,
>(
  scope: 'videos:read' | 'videos:write',
  document: CallDocument<P, Q, B, Documented>,
  handle: Handle<AccountKey, P, Q, B, Documented>,
): Route {
  return makeRoute(scope, document, (key) => requireAccountKey(key, scope), handle)
}

/** A call of the operator, or of a worker. */
export function scopedRoute<
  P extends z.ZodType,
  Q extends z.ZodType,
  B extends z.ZodType,
  const Documented extends Answers,
>(
  scope: OperatorScope,
  document: CallDocument<P, Q, B, Documented>,
  handle: Handle<Key, P, Q, B, Documented>,
): Route {
  const requireCaller = (key: Key) => {
    requireScope(key, scope)
    return key
  }
  return makeRoute(scope, document, requireCaller, handle)
}

/** `requireCaller` checks that the key may make this call; without a scope it gets the key of nobody. */
function makeRoute<
  Caller,
  P extends z.ZodType,
  Q extends z.ZodType,
  B extends z.ZodType,
  Documented extends Answers,
>(
  scope: Scope | null,
  document: CallDocument<P, Q, B, Documented>,
  requireCaller: (key: Key) => Caller,
  handle: Handle<Caller, P, Q, B, Documented>,
): Route {
  const { params, query, body } = document
  const reader =
    body === undefined ? null : document.isSigned === true ? SIGNED_BODY : bodyReader(body, document.upload)
  const dropNulls = body === undefined ? null : nullDropper(body)
  const line = lineOf(document)
  return {
    ...document,
    scope,
    handler: (context) => async (request, response) => {
      if (document.isSubmission === true) markSubmission(response)
      let leave = () => {}
      let confirmKey = async () => {}
      const prepare = async () => {
        const keyReader = scope === 'worker' ? context.keyReaders.workers : context.keyReaders.customers
        const read = () => readKey(context, keyReader, request)
        const known = document.confirmsKey === true ? keyReader.remembered(bearerKey(request)) : undefined
        if (known !== undefined) confirmKey = async () => void requireCaller(await read())
        const key = scope === null ? NOBODY : (known ?? (await read()))
        if (scope !== null) leave = await admit(context, key, { line, response })
        await countRequest(context, key, response)
        const caller = requireCaller(key)
        const readBody = async () => {
          if (reader === null) return {}
          await admitBody(context, key, { request, response, bytesMax: reader.bytesMax })
          return reader.read(request, response, context.config.bounds)
        }
        return {
          context,
          request,
          key: caller,
          confirmKey,
          params: (params === undefined ? {} : parseRequest(params, request.params)) as z.output<P>,
          query: (query === undefined ? {} : parseRequest(query, request.query)) as z.output<Q>,
          body: (body === undefined || dropNulls === null
            ? {}
            : parseRequest(body, dropNulls(await readBody()), document.otherNames)) as z.output<B>,
        }
      }
      try {
        const call = await prepare().catch(async (error: unknown) => {
          // Who has no good key is told that, and nothing else.
          await confirmKey()
          if (document.isSubmission === true) noteRefusal(context, request, error)
          throw error
        })
        const result = await handle(call)
        leave()
        await sendReply(response, result)
      } finally {
        leave()
      }
    },
  }
}

function lineOf({ isLong, isSubmission }: { isLong?: true; isSubmission?: true }): CallLine {
  if (isSubmission === true) return 'submissions'
  return isLong === true ? 'longCalls' : 'calls'
}

/** The key of a request. Who has none that is good is answered slowly when it asks too often. */
async function readKey(
  { strangers }: Services,
  keyReader: Services['keyReaders']['customers'],
  request: Request,
): Promise<Key> {
  const secret = bearerKey(request)
  try {
    return await keyReader.read(secret)
  } catch (error) {
    if (error instanceof SluiceError && error.code === 'invalid_api_key') await strangers.wait(request)
    throw error
  }
}

/** Notes that a submission was refused before its content was known, should its SDK repeat it. */
function noteRefusal({ repeats }: Services, request: Request, error: unknown): void {
  try {
    const { idempotencyKey, tryNumber } = originOf(request)
    if (idempotencyKey !== null || tryNumber === null) return
    repeats.noteRefused(error, { keyHash: hashKey(bearerKey(request)), requestHash: null, tryNumber })
  } catch {
    // A request without a key, or with headers that are refused, is not repeated.
  }
}

const NOBODY: Key = { id: '', accountId: null, scopes: [], limits: NO_LIMITS }
