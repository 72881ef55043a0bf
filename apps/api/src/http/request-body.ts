import express, { type Request, type RequestHandler, type Response } from 'express'
import multer from 'multer'
import type { z } from 'zod'
import { invalidValue, SluiceError } from '../errors.ts'
import { formReader } from './form-fields.ts'

const JSON_BYTES_MAX = 1024 * 1024
const FORM = { fieldSize: 64 * 1024, fields: 64, fieldNameSize: 200 }

/** The one field of a body that may be a file part of a form, or long text in a form or in JSON. */
export interface UploadField {
  name: string
  fileBytesMax: number
  textCharsMax: number
  /** What the body schema gets in place of a file. */
  valueOf(bytes: Buffer): unknown
  /** The error for a file of more than `fileBytesMax`. */
  tooLarge(): SluiceError
}

export type ReadBody = (request: Request, response: Response) => Promise<unknown>

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
export function bodyReader(schema: z.ZodType, upload?: UploadField): ReadBody {
  const readForm = formReader(schema)
  const parsers = upload === undefined ? PLAIN_PARSERS : uploadParsers(upload)
  return async (request, response) => {
    if (request.is('multipart/form-data')) {
      await parsers.form(request, response).catch(rethrowFormError)
      const fields: Record<string, unknown> = { ...request.body }
      if (upload === undefined) return readForm(fields)
      for (const [name, value] of Object.entries(fields)) requireShort(upload, name, value)
      return Object.fromEntries([...Object.entries(readForm(fields)), ...fileOf(upload, request)])
    }
    if (request.is('application/json')) {
      await parsers.json(request, response)
      return request.body
    }
    if (!hasBody(request)) return {}
    const given = request.get('content-type') ?? 'missing'
    throw new SluiceError(
      'unsupported_media_type',
      `Content-Type is ${given}: allowed is application/json or multipart/form-data.`,
      'Content-Type',
    )
  }
}

const parsePlainJson = express.json({ limit: JSON_BYTES_MAX, strict: false })
const parsePlainForm = multer({ limits: FORM }).none()

const PLAIN_PARSERS: BodyParsers = {
  json: (request, response) => run(parsePlainJson, request, response),
  form: (request, response) => run(parsePlainForm, request, response),
}

/** Besides the upload itself, a request with one has the bounds of any other. */
function uploadParsers(upload: UploadField): BodyParsers {
  const bodyBytesMax = JSON_BYTES_MAX + upload.textCharsMax
  const bodyBytes = new WeakMap<object, number>()
  const parseJson = express.json({
    limit: bodyBytesMax,
    strict: false,
    verify: (request, _response, body) => {
      bodyBytes.set(request, body.length)
    },
  })
  const limits = { ...FORM, fieldSize: upload.textCharsMax, fileSize: upload.fileBytesMax, files: 1 }
  const parseForm = multer({ limits }).single(upload.name)
  return {
    json: async (request, response) => {
      await run(parseJson, request, response)
      requireSmallBesideUpload(upload, request.body, bodyBytes.get(request) ?? 0)
    },
    form: (request, response) =>
      runBounded(parseForm, bodyBytesMax, request, response).catch((error: unknown) => {
        throw error instanceof multer.MulterError && error.code === 'LIMIT_FILE_SIZE'
          ? upload.tooLarge()
          : error
      }),
  }
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

function requireSmallBesideUpload(upload: UploadField, body: unknown, bodyBytes: number): void {
  const uploaded: unknown =
    body !== null && typeof body === 'object' ? (body as Record<string, unknown>)[upload.name] : undefined
  if (bodyBytes - JSON.stringify(uploaded ?? '').length <= JSON_BYTES_MAX) return
  throw new SluiceError('body_too_large', 'The request body is too large.')
}

function hasBody(request: Request): boolean {
  return request.get('transfer-encoding') !== undefined || Number(request.get('content-length') ?? 0) > 0
}

/** Many long fields are each within their own bound: this bounds them together. */
async function runBounded(
  handler: RequestHandler,
  bytesMax: number,
  request: Request,
  response: Response,
): Promise<void> {
  let bytes = 0
  let count = (_chunk: Buffer) => {}
  const tooMany = new Promise<never>((_resolve, reject) => {
    count = (chunk) => {
      bytes += chunk.length
      if (bytes <= bytesMax) return
      // What still comes is thrown away, so that the sender reads the answer.
      request.unpipe()
      request.off('data', count).resume()
      reject(new SluiceError('body_too_large', 'The request body is too large.'))
    }
  })
  request.on('data', count)
  try {
    await Promise.race([run(handler, request, response), tooMany])
  } finally {
    request.off('data', count)
  }
}

function run(handler: RequestHandler, request: Request, response: Response): Promise<void> {
  return new Promise((resolve, reject) => {
    handler(request, response, (error?: unknown) => (error === undefined ? resolve() : reject(error)))
  })
}
