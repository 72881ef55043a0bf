import express, { type Request, type RequestHandler, type Response } from 'express'
import multer from 'multer'
import { invalidValue, SluiceError } from '../errors.ts'
import { DATA_URL_CHARS_MAX, INPUT_IMAGE_FIELD, UploadedFile } from '../inputs/input-image.ts'
import { IMAGE_BYTES_MAX, tooLarge } from '../inputs/source-image.ts'
import { BOOLEAN_FIELDS, NUMERIC_FIELDS } from '../submissions/create-request.ts'

const JSON_BYTES_MAX = 1024 * 1024
const FORM = { fieldSize: 64 * 1024, fields: 64, fieldNameSize: 200 }

const parseJson = express.json({ limit: JSON_BYTES_MAX, strict: false })
const parseForm = multer({ limits: FORM }).none()

/** Beside the image itself a request with one is held to the bounds of any other. */
const IMAGE_BODY_BYTES_MAX = JSON_BYTES_MAX + DATA_URL_CHARS_MAX
const parseImageJson = express.json({
  limit: IMAGE_BODY_BYTES_MAX,
  strict: false,
  verify: (request, _response, body) => {
    bodyBytes.set(request, body.length)
  },
})
const bodyBytes = new WeakMap<object, number>()
const parseImageForm = multer({
  limits: { ...FORM, fieldSize: DATA_URL_CHARS_MAX, fileSize: IMAGE_BYTES_MAX, files: 1 },
}).single(INPUT_IMAGE_FIELD)

/**
 * The fields of a JSON or multipart body as one object. The OpenAI SDKs always send multipart, where every value is text:
 * numeric fields are read as numbers, the rest stays text. `takesImage`: the field `input_reference` may be a file or long.
 * Throws SluiceError.
 */
export async function readFields(request: Request, response: Response, takesImage = false): Promise<unknown> {
  if (request.is('multipart/form-data')) {
    await (takesImage
      ? runBounded(parseImageForm, request, response)
      : run(parseForm, request, response)
    ).catch((error: unknown) => {
      if (error instanceof multer.MulterError && error.code === 'LIMIT_FILE_SIZE') throw tooLarge(null)
      throw error instanceof multer.MulterError || error instanceof SluiceError
        ? error
        : new SluiceError('invalid_form', `The form could not be read: ${(error as Error).message}.`)
    })
    const fields = Object.entries({ ...request.body }).map(
      ([name, value]) => [name, typedField(name, value)] as const,
    )
    for (const [name, value] of fields) requireShort(name, value)
    return Object.fromEntries([...fields, ...fileOf(request)])
  }
  if (request.is('application/json')) {
    await run(takesImage ? parseImageJson : parseJson, request, response)
    requireSmallBesideImage(request)
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

/** The one file a form may hold. Throws SluiceError when the field stands in the form as text too. */
function fileOf(request: Request): [string, UploadedFile][] {
  if (request.file === undefined) return []
  if (Object.hasOwn({ ...request.body }, INPUT_IMAGE_FIELD))
    throw invalidValue(INPUT_IMAGE_FIELD, [], 'one file, or one URL')
  return [[INPUT_IMAGE_FIELD, new UploadedFile(request.file.buffer)]]
}

/** Only an image may be long. */
function requireShort(name: string, value: unknown): void {
  if (name !== INPUT_IMAGE_FIELD && typeof value === 'string' && Buffer.byteLength(value) > FORM.fieldSize) {
    throw new SluiceError('body_too_large', `${name}: Field value too long.`, name)
  }
}

function requireSmallBesideImage(request: Request): void {
  const bytes = bodyBytes.get(request)
  const image: unknown =
    request.body !== null && typeof request.body === 'object' ? request.body[INPUT_IMAGE_FIELD] : undefined
  if (bytes === undefined || bytes - JSON.stringify(image ?? '').length <= JSON_BYTES_MAX) return
  throw new SluiceError('body_too_large', 'The request body is too large.')
}

function typedField(name: string, value: unknown): unknown {
  const isNumber =
    typeof value === 'string' && NUMERIC_FIELDS.has(name) && /^-?\d{1,15}(\.\d{1,15})?$/.test(value)
  if (isNumber) return Number(value)
  if (BOOLEAN_FIELDS.has(name) && (value === 'true' || value === 'false')) return value === 'true'
  // A repeated or nested field comes as an object without a prototype.
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? { ...value } : value
}

function hasBody(request: Request): boolean {
  return request.get('transfer-encoding') !== undefined || Number(request.get('content-length') ?? 0) > 0
}

/** Many long fields are each within their own bound: this bounds them together. */
async function runBounded(handler: RequestHandler, request: Request, response: Response): Promise<void> {
  let bytes = 0
  let count = (_chunk: Buffer) => {}
  const tooMany = new Promise<never>((_resolve, reject) => {
    count = (chunk) => {
      bytes += chunk.length
      if (bytes <= IMAGE_BODY_BYTES_MAX) return
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
