import express, { type Request, type RequestHandler, type Response } from 'express'
import multer from 'multer'
import { SluiceError } from '../errors.ts'
import { NUMERIC_FIELDS } from '../videos/create-request.ts'

const JSON_BYTES_MAX = 1024 * 1024
const FORM = { fieldSize: 64 * 1024, fields: 64, fieldNameSize: 200 }

const parseJson = express.json({ limit: JSON_BYTES_MAX, strict: false })
const parseForm = multer({ limits: FORM }).none()

/**
 * The fields of a JSON or multipart body as one object. The OpenAI SDKs always send multipart, where every value is text:
 * numeric fields are read as numbers, the rest stays text. Throws SluiceError.
 */
export async function readFields(request: Request, response: Response): Promise<unknown> {
  if (request.is('multipart/form-data')) {
    await run(parseForm, request, response).catch((error: unknown) => {
      throw error instanceof multer.MulterError
        ? error
        : new SluiceError('invalid_form', `The form could not be read: ${(error as Error).message}.`)
    })
    return Object.fromEntries(Object.entries({ ...request.body }).map(([name, value]) => [name, typedField(name, value)]))
  }
  if (request.is('application/json')) {
    await run(parseJson, request, response)
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

function typedField(name: string, value: unknown): unknown {
  const isNumber = typeof value === 'string' && NUMERIC_FIELDS.has(name) && /^-?\d{1,15}(\.\d{1,15})?$/.test(value)
  if (isNumber) return Number(value)
  // A repeated or nested field comes as an object without a prototype.
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? { ...value } : value
}

function hasBody(request: Request): boolean {
  return request.get('transfer-encoding') !== undefined || Number(request.get('content-length') ?? 0) > 0
}

function run(handler: RequestHandler, request: Request, response: Response): Promise<void> {
  return new Promise((resolve, reject) => {
    handler(request, response, (error?: unknown) => (error === undefined ? resolve() : reject(error)))
  })
}
