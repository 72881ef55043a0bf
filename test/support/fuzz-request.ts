import fc from 'fast-check'
import sharp from 'sharp'

/** A JSON Schema in the API's document: only what the generator below uses. */
export interface JsonSchema {
  $ref?: string
  type?: string
  const?: unknown
  enum?: unknown[]
  anyOf?: JsonSchema[]
  oneOf?: JsonSchema[]
  allOf?: JsonSchema[]
  pattern?: string
  minimum?: number
  maximum?: number
  minItems?: number
  maxItems?: number
  maxLength?: number
  items?: JsonSchema
  properties?: Record<string, JsonSchema>
  required?: string[]
  additionalProperties?: JsonSchema | boolean
}

/** One documented call. */
export interface Operation {
  operationId: string
  method: string
  path: string
  /** The scope that a key needs; undefined for a call without a key. */
  scope: string | undefined
  query: { name: string; schema: JsonSchema; required: boolean }[]
  body: JsonSchema | undefined
  example: Record<string, unknown> | undefined
  /** The documented statuses. */
  responses: Record<string, { description: string }>
}

const KEY_KINDS = [
  'right',
  'right',
  'right',
  'right',
  'right',
  'right',
  'right',
  'other',
  'worker',
  'unknown',
  'missing',
  'garbled',
] as const
type KeyKind = (typeof KEY_KINDS)[number]

/** A request without the ids and keys of the run. */
export interface FuzzRequest {
  operation: Operation
  keyKind: KeyKind
  /** Chooses among the ids and keys that are known when it is sent. */
  pick: number
  /** Text to use in place of a known id, or null. */
  strangeId: string | null
  query: Record<string, string>
  body: unknown
  /** deep: a field nests a hundred thousand levels. doubled: each field is there twice. */
  encoding: 'json' | 'form' | 'raw' | 'mislabelled' | 'deep' | 'doubled'
  /** Put behind the query as it is, percent signs included. */
  rawQuery: string
  headers: Record<string, string>
}

/** The calls of customers and the operator in /openapi.json; of a GET its HEAD has no answer to look into. */
export function operationsOf(document: Record<string, unknown>): Operation[] {
  const paths = document.paths as Record<string, Record<string, Record<string, unknown>>>
  return Object.entries(paths).flatMap(([path, item]) =>
    Object.entries(item)
      .filter(([method]) => method !== 'head')
      .map(([method, said]) => {
        const parameters = (said.parameters ?? []) as {
          in: string
          name: string
          schema: JsonSchema
          required?: boolean
        }[]
        const body = said.requestBody as
          | { content: { 'application/json': { schema: JsonSchema; example?: Record<string, unknown> } } }
          | undefined
        return {
          operationId: String(said.operationId),
          method: method.toUpperCase(),
          path,
          scope: said['x-scope'] as string | undefined,
          query: parameters
            .filter((one) => one.in === 'query')
            .map((one) => ({ ...one, required: one.required ?? false })),
          body: body?.content['application/json'].schema,
          example: body?.content['application/json'].example,
          responses: said.responses as Operation['responses'],
        }
      }),
  )
}

/** A real picture, so that some valid requests are for videos from an image. */
const picture = await sharp({ create: { width: 24, height: 16, channels: 3, background: '#36a' } })
  .png()
  .toBuffer()
const DATA_URL = `data:image/png;base64,${picture.toString('base64')}`

/** The image files of forms: some are images, some are not; undefined = a text field instead of a file. */
export const FORM_FILES: readonly (Buffer | undefined)[] = [
  picture,
  picture,
  picture.subarray(0, 40),
  Buffer.alloc(0),
  Buffer.from('GIF89a'),
  undefined,
]

/**
 * Sensible values for fields whose schema is only text or a number. URLs stay on this machine, at port 9,
 * which is closed.
 */
const SENSIBLE: Record<string, readonly unknown[]> = {
  prompt: ['a paper boat in the rain', '雨中的纸船', '👩‍🚀 on the moon'],
  model: ['open-sora-2', 'animatic', 'sora-2'],
  size: ['336x192', '256x256', '1024x576', '1280x720'],
  seconds: ['4', '2', 4, 1.5],
  num_frames: [5, 17, 33, 129],
  num_steps: [1, 10, 50],
  mode: ['t2v', 'i2v'],
  input_reference: [
    DATA_URL,
    { image_url: DATA_URL },
    'https://images.invalid/a.png',
    'data:image/png;base64,AAAA',
  ],
  max_cost: ['0.5', 1, '0.000001', '1000000'],
  max_price: ['0.08', 1, '0.000001', '0.2'],
  not_before: [1, 1_800_000_000, 4_000_000_000],
  multiplier: ['0.5', '0.0001', '100'],
  max_tokens: [1_000, 1_000_000, 10_000_000],
  webhook_url: ['http://127.0.0.1:9/a', 'http://127.0.0.1:9/b', 'http://127.0.0.1/', 'https://10.0.0.1/x'],
  url: ['http://127.0.0.1:9/c', 'http://127.0.0.1:9/d?e=f', 'http://127.0.0.1:9/g', 'https://[::1]/x'],
  amount: ['25', '0.000001', '1000000000'],
  per_million: ['0.2', '0.75', '0', '1000000'],
  name: ['a studio', 'web shop'],
  idempotency_key: ['invoice 1', 'invoice 2'],
  expires_at: [4_000_000_000, 1],
  effective_at: [4_000_000_000, 4_000_000_001],
  from: ['2026-01-01', '2026-01-01T12:00:00Z'],
  to: ['2030-02-01', '2026-02-01'],
  after: ['video_01m84f0j8df20bh2fw7sqrp04k', '17'],
}

/** Values that no field allows, as broken and hostile clients send them. */
const junk: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom<unknown>(
    null,
    '',
    ' ',
    '\u0000',
    'a\u0000b',
    '\ud800',
    '__proto__',
    [],
    {},
    [[]],
    true,
    'true',
    -1,
    0,
    0.1,
    -0,
    1e308,
  ),
  fc.constantFrom<unknown>(
    2 ** 31,
    2 ** 53,
    1e21,
    '1e999',
    'NaN',
    '-1',
    '9'.repeat(40),
    'x'.repeat(5_000),
    "'; drop table video; --",
    '%00',
    '../..',
  ),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.string({ unit: 'binary' }),
)

/**
 * Values that `schema` allows. What a schema cannot express, such as an existing model, is left to chance.
 */
function allowedBy(
  schema: JsonSchema,
  schemas: Record<string, JsonSchema>,
  name = '',
): fc.Arbitrary<unknown> {
  const bare = bareAllowedBy(schema, schemas)
  const sensible = SENSIBLE[name]
  return sensible === undefined
    ? bare
    : fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...sensible) }, { weight: 1, arbitrary: bare })
}

function bareAllowedBy(schema: JsonSchema, schemas: Record<string, JsonSchema>): fc.Arbitrary<unknown> {
  if (schema.$ref !== undefined) {
    return bareAllowedBy(schemas[schema.$ref.split('/').at(-1) ?? ''] ?? {}, schemas)
  }
  if (schema.const !== undefined) return fc.constant(schema.const)
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum)
  const choices = schema.anyOf ?? schema.oneOf ?? schema.allOf
  if (choices !== undefined) return fc.oneof(...choices.map((choice) => allowedBy(choice, schemas)))
  switch (schema.type) {
    case 'null':
      return fc.constant(null)
    case 'boolean':
      return fc.boolean()
    case 'integer':
      return fc.integer(boundsOf(schema))
    case 'number':
      return fc.double({ ...boundsOf(schema), noNaN: true, noDefaultInfinity: true })
    case 'string':
      if (schema.pattern !== undefined && schema.pattern.length < 60) {
        return fc.stringMatching(new RegExp(schema.pattern))
      }
      return fc.string({ unit: 'grapheme', maxLength: Math.min(schema.maxLength ?? 40, 40) })
    case 'array':
      return fc.array(allowedBy(schema.items ?? {}, schemas), {
        minLength: schema.minItems ?? 0,
        maxLength: Math.min(schema.maxItems ?? 3, 3),
      })
    case 'object':
      return objectOf(schema, schemas)
    default:
      return junk
  }
}

function boundsOf(schema: JsonSchema): { min: number; max: number } {
  const whole = 2 ** 31 - 1
  return { min: Math.max(schema.minimum ?? -whole, -whole), max: Math.min(schema.maximum ?? whole, whole) }
}

function objectOf(
  schema: JsonSchema,
  schemas: Record<string, JsonSchema>,
): fc.Arbitrary<Record<string, unknown>> {
  const { properties = {}, required = [], additionalProperties } = schema
  if (Object.keys(properties).length === 0 && typeof additionalProperties === 'object') {
    return fc.dictionary(fc.string({ maxLength: 10 }), allowedBy(additionalProperties, schemas), {
      maxKeys: 4,
    })
  }
  const fields = Object.fromEntries(
    Object.entries(properties).map(([name, field]) => [name, allowedBy(field, schemas, name)]),
  )
  // A call has up to two dozen optional fields; all of them at once would nearly always contradict each
  // other.
  const optional = Object.keys(properties).filter((name) => !required.includes(name))
  return fc
    .tuple(fc.record(fields), fc.subarray(optional, { maxLength: Math.min(optional.length, 4) }))
    .map(([whole, kept]) => Object.fromEntries([...required, ...kept].map((name) => [name, whole[name]])))
}

type Mutation = (body: Record<string, unknown>) => unknown

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  fc
    .nat()
    .map<Mutation>(
      (at) => (body) =>
        Object.fromEntries(Object.entries(body).filter((_, index, all) => index !== at % all.length)),
    ),
  fc.tuple(fc.nat(), junk).map<Mutation>(([at, value]) => (body) => {
    const names = Object.keys(body)
    return names.length === 0 ? { prompt: value } : { ...body, [names[at % names.length] ?? '']: value }
  }),
  fc.tuple(fc.string({ unit: 'grapheme', maxLength: 12 }), junk).map<Mutation>(([name, value]) => (body) => ({
    ...body,
    [name]: value,
  })),
  fc.tuple(fc.constantFrom('__proto__', 'constructor', 'toString', 'a\u0000', '\ud800'), junk).map<Mutation>(
    ([name, value]) =>
      (body) =>
        Object.fromEntries([...Object.entries(body), [name, value]]),
  ),
  fc.tuple(fc.constantFrom(...Object.keys(SENSIBLE)), junk).map<Mutation>(([name, value]) => (body) => ({
    ...body,
    [name]: value,
  })),
  junk.map<Mutation>((value) => () => value),
)

/** Strings that are not ids, for use in a path. */
const strangeId = fc.oneof(
  fc.constantFrom(
    'video_none',
    'acct_',
    '%ff',
    '%00',
    '%2F',
    'edits',
    'quote',
    'video_01m84f0j8df20bh2fw7sqrp04k',
    'key_01m84f0j8df20bh2fw7sqrp04k',
  ),
  fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 30 })
    .map((text) => encodeURIComponent(text))
    .filter((text) => !/^\.+$/.test(text)),
)

const headers = fc.oneof(
  { weight: 6, arbitrary: fc.constant({}) },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom('one', 'two', 'three', '', 'x'.repeat(300))
      .map((key) => ({ 'idempotency-key': key })),
  },
  {
    weight: 2,
    arbitrary: fc
      .constantFrom('0', '1', '2', 'x', '-1', '1e9')
      .map((count) => ({ 'x-stainless-retry-count': count })),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('one', 'two')
      .map((key) => ({ 'idempotency-key': key, 'x-stainless-retry-count': '1' })),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('application/json', 'text/csv', 'x/y', '*').map((accept) => ({ accept })),
  },
  {
    weight: 1,
    arbitrary: fc.constantFrom('bytes=0-1', 'bytes=-', 'bytes=9-1', 'x').map((range) => ({ range })),
  },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom('queued.0.0.1.', '....', '0', 'failed.1.0..')
      .map((id) => ({ 'last-event-id': id })),
  },
)

/** Valid and mutated requests for one call. */
export function requestOn(
  operation: Operation,
  schemas: Record<string, JsonSchema>,
): fc.Arbitrary<FuzzRequest> {
  const valid =
    operation.body === undefined ? fc.constant<unknown>(undefined) : bareAllowedBy(operation.body, schemas)
  const mutated = fc
    .tuple(valid, fc.array(mutation, { minLength: 1, maxLength: 2 }))
    .map(([body, changes]) =>
      changes.reduce<unknown>((now, change) => (isObject(now) ? change(now) : now), body ?? {}),
    )
  const body = fc.oneof(
    { weight: 4, arbitrary: valid },
    { weight: 2, arbitrary: fc.constant<unknown>(operation.example) },
    { weight: 4, arbitrary: operation.body === undefined ? fc.constant<unknown>(undefined) : mutated },
    // Some calls that take no body get one.
    { weight: operation.body === undefined ? 1 : 0, arbitrary: junk },
  )
  const wellFormed = operation.query.map(
    (one) => [one.name, allowedBy(one.schema, schemas, one.name).map(String)] as const,
  )
  const optional = operation.query.filter((one) => !one.required).map((one) => one.name)
  const validQuery = fc.record(Object.fromEntries(wellFormed), {
    requiredKeys: operation.query.map((one) => one.name).filter((name) => !optional.includes(name)),
  })
  const junkQuery = fc.dictionary(
    fc.oneof(fc.constantFrom(...optional, 'x'), fc.string({ maxLength: 5 })),
    junk.map(asText),
    { maxKeys: 2 },
  )
  return fc.record({
    operation: fc.constant(operation),
    keyKind: fc.constantFrom(...KEY_KINDS),
    pick: fc.nat(),
    strangeId: fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: strangeId }),
    query: fc.oneof(
      { weight: 3, arbitrary: validQuery as fc.Arbitrary<Record<string, string>> },
      { weight: 1, arbitrary: junkQuery },
    ),
    body,
    encoding: fc.oneof(
      { weight: 8, arbitrary: fc.constant('json' as const) },
      { weight: 3, arbitrary: fc.constant('form' as const) },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          'raw' as const,
          'mislabelled' as const,
          'deep' as const,
          'doubled' as const,
        ),
      },
    ),
    rawQuery: fc.oneof(
      { weight: 12, arbitrary: fc.constant('') },
      {
        weight: 1,
        arbitrary: fc.constantFrom(
          'limit=%',
          'after=%ff',
          'after=%00',
          'x=%ED%A0%80',
          '__proto__=1',
          'limit=1&limit=2',
        ),
      },
    ),
    headers: headers as fc.Arbitrary<Record<string, string>>,
  })
}

/** A value as the text of a form field or a query parameter. */
export function asText(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
