import type { IncomingMessage } from 'node:http'
import express, { type Request, type RequestHandler, type Response } from 'express'
import multer from 'multer'
import type { z } from 'zod'
import type { Bounds } from '../config/bounds.ts'
import { invalidValue, SluiceError } from '../errors.ts'
import { hasBody, whileItArrives } from './body-arrival.ts'
import { formReader } from './form-fields.ts'
import { requireShallow } from './json-scan.ts'
import { parseJson } from './parse-json.ts'

const JSON_BYTES_MAX = 1024 * 1024
const FORM = { fieldSize: 64 * 1024, fields: 64, fieldNameSize: 200 }

/**
 * The one field of a body that may be a file part of a form, or long text in a form or in JSON, where the
 * body schema gets a LongText.
 */
export interface UploadField {
  name: string
  fileBytesMax: number
  textCharsMax: number
  /** What the body schema gets in place of a file. */
  valueOf(bytes: Buffer): unknown
  /** The error for a file of more than `fileBytesMax`. */
  tooLarge(): SluiceError
}

/** Reads the body of one call. */
export interface BodyReader {
  /** Bytes that a body of this call may have. */
  bytesMax: number
  read(request: Request, response: Response, pace: Pace): Promise<unknown>
}

type Pace = Pick<Bounds, 'bodyBytesPerSecondMin' | 'bodyGraceMs'>

/**
 * Reads one kind of body into `request.body`, and a file into `request.file`. Throws what its parser throws.
 */
interface BodyParsers {
  json: (request: Request, response: Response) => Promise<void>
  form: (request: Request, response: Response) => Promise<void>
}

/**
 * Reads the fields of a JSON or multipart body as one object; an absent body is `{}`. The OpenAI SDKs always
 * send multipart, where every value is text: it is read as `schema` takes it (form-fields.ts). Made once per
 * call. The reader throws SluiceError, or an error that http/error-handler.ts knows.
 */
export function bodyReader(schema: z.ZodType, upload?: UploadField): BodyReader {
  const readForm = formReader(schema)
  const parsers = upload === undefined ? PLAIN_PARSERS : uploadParsers(upload)
  const bytesMax = JSON_BYTES_MAX + (upload?.textCharsMax ?? 0)
  return {
    bytesMax,
    read: async (request, response, pace) => {
      const parse = request.is('multipart/form-data')
        ? parsers.form
        : request.is('application/json')
          ? parsers.json
          : null
      if (parse === null) {
        if (hasBody(request)) throw unsupportedType(request)
        return {}
      }
      await whileItArrives({ request, response }, { pace, bytesMax }, () => parse(request, response))
      return parse === parsers.form ? fieldsOf(request, readForm, upload) : request.body
    },
  }
}

const readBytes = express.raw({ limit: JSON_BYTES_MAX, type: 'application/json' })

/** Reads the bytes of a JSON body as they came. */
export const SIGNED_BODY: BodyReader = {
  bytesMax: JSON_BYTES_MAX,
  read: async (request, response, pace) => {
    if (!hasBody(request)) return Buffer.alloc(0)
    if (!request.is('application/json')) throw unsupportedType(request, 'application/json')
    await whileItArrives({ request, response }, { pace, bytesMax: JSON_BYTES_MAX }, () =>
      run(readBytes, request, response),
    )
    return request.body
  },
}

/** The fields of a form that was read, as its schema takes them. */
function fieldsOf(
  request: Request,
  readForm: ReturnType<typeof formReader>,
  upload: UploadField | undefined,
): unknown {
  const fields: Record<string, unknown> = { ...request.body }
  if (upload === undefined) return readForm(fields)
  for (const [name, value] of Object.entries(fields)) requireShort(upload, name, value)
  return Object.fromEntries([...Object.entries(readForm(fields)), ...fileOf(upload, request)])
}

function unsupportedType(request: Request, allowed = 'application/json or multipart/form-data'): SluiceError {
  const given = request.get('content-type') ?? 'missing'
  return new SluiceError(
    'unsupported_media_type',
    `Content-Type is ${given}: allowed is ${allowed}.`,
    'Content-Type',
  )
}

const parsePlainJson = express.json({
  limit: JSON_BYTES_MAX,
  strict: false,
  verify: (_request, _response, body) => {
    requireShallow(body)
  },
})
const parsePlainForm = multer({ limits: FORM }).none()

const PLAIN_PARSERS: BodyParsers = {
  json: (request, response) => run(parsePlainJson, request, response),
  form: (request, response) => run(parsePlainForm, request, response).catch(rethrowFormError),
}

/** Besides the upload itself, a request with one has the bounds of any other. */
function uploadParsers(upload: UploadField): BodyParsers {
  const readJson = express.raw({ limit: JSON_BYTES_MAX + upload.textCharsMax, type: isUtf8Json })
  const limits = { ...FORM, fieldSize: upload.textCharsMax, fileSize: upload.fileBytesMax, files: 1 }
  const parseForm = multer({ limits }).single(upload.name)
  return {
    json: async (request, response) => {
      // In another charset nothing is long.
      if (!isUtf8Json(request)) {
        await run(parsePlainJson, request, response)
        return
      }
      await run(readJson, request, response)
      if (Buffer.isBuffer(request.body)) request.body = await parsed(request.body, upload)
    },
    form: (request, response) =>
      run(parseForm, request, response)
        .catch((error: unknown) => {
          throw error instanceof multer.MulterError && error.code === 'LIMIT_FILE_SIZE'
            ? upload.tooLarge()
            : error
        })
        .catch(rethrowFormError),
  }
}

/** As express marks the error of a body that is no JSON. */
async function parsed(bytes: Buffer, { name }: UploadField): Promise<unknown> {
  try {
    return await parseJson(bytes, { longField: name, restBytesMax: JSON_BYTES_MAX })
  } catch (error) {
    throw error instanceof SyntaxError ? Object.assign(error, { type: 'entity.parse.failed' }) : error
  }
}

function isUtf8Json({ headers }: IncomingMessage): boolean {
  const charset = /;\s*charset\s*=\s*"?([^\s;"]+)/i.exec(headers['content-type'] ?? '')?.[1] ?? 'utf-8'
  return charset.toLowerCase() === 'utf-8'
}

function rethrowFormError(error: unknown): never {
  if (error instanceof multer.MulterError || error instanceof SluiceError) throw error
  throw new SluiceError('invalid_form', `The form could not be read: ${(error as Error).message}.`)
}

/** The one file of a form, if any. Throws SluiceError when the field is in the form as text too. */
function fileOf(upload: UploadField, request: Request): [string, unknown][] {
  if (request.file === undefined) return []
  if (Object.hasOwn({ ...request.body }, upload.name))
    throw invalidValue(upload.name, [], 'one file, or one URL')
  return [[upload.name, upload.valueOf(request.file.buffer)]]
}

/** Only the upload's own text may be long. */
function requireShort(upload: UploadField, name: string, value: unknown): void {
  if (name !== upload.name && typeof value === 'string' && Buffer.byteLength(value) > FORM.fieldSize) {
    throw new SluiceError('body_too_large', `${name}: Field value too long.`, name)
  }
}

function run(handler: RequestHandler, request: Request, response: Response): Promise<void> {
  return new Promise((resolve, reject) => {
    handler(request, response, (error?: unknown) => (error === undefined ? resolve() : reject(error)))
  })
}
