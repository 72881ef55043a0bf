import type { z } from 'zod'
import { createSchema } from 'zod-openapi'

/** What of a JSON schema says how the text of a form is read. */
interface JsonSchema {
  $ref?: string
  type?: string | readonly string[]
  anyOf?: readonly JsonSchema[]
  oneOf?: readonly JsonSchema[]
  items?: JsonSchema
  properties?: Readonly<Record<string, JsonSchema>>
  additionalProperties?: JsonSchema | boolean
  required?: readonly string[]
}

/** Reads the fields of a form, whose values are text, as JSON would have them. */
export type FormReader = (fields: Readonly<Record<string, unknown>>) => Record<string, unknown>

/**
 * The reader for bodies of this schema, which reads each field as the OpenAPI document shows it: numbers,
 * booleans, lists (a repeated field, one value, or JSON text) and objects (`field[name]`, or JSON text). An
 * empty field that may be left out is left out. What reads as none of these stays text, for the schema to
 * refuse.
 */
export function formReader(body: z.ZodType): FormReader {
  const { schema, components } = createSchema(body, { io: 'input' })
  const forms = new FormValues(components as Readonly<Record<string, JsonSchema>>)
  const { properties = {}, required = [] } = forms.kindsOf(schema as JsonSchema)[0] ?? {}
  return (fields) => {
    const given = Object.entries(fields).filter(
      ([name, value]) => value !== '' || !Object.hasOwn(properties, name) || required.includes(name),
    )
    return Object.fromEntries(
      given.map(([name, value]) => [name, forms.read(ownSchema(properties, name) ?? {}, value)]),
    )
  }
}

const NUMBER = /^-?\d{1,15}(\.\d{1,15})?$/

class FormValues {
  readonly #components: Readonly<Record<string, JsonSchema>>

  constructor(components: Readonly<Record<string, JsonSchema>>) {
    this.#components = components
  }

  /** `given` as one of the types that the schema allows; as it is when none fits. */
  read(schema: JsonSchema, given: unknown): unknown {
    const kinds = this.kindsOf(schema)
    if (typeof given === 'string') return this.#readText(kinds, given)
    if (isDense(given)) {
      const list = kinds.find((kind) => kind.items !== undefined)?.items
      return list === undefined ? given : given.map((one) => this.read(list, one))
    }
    // A nested field comes as an object without a prototype, and `field[4000000000]` as a list of mostly
    // nothing, which nobody must walk through.
    return given !== null && typeof given === 'object' ? { ...given } : given
  }

  #readText(kinds: readonly JsonSchema[], text: string): unknown {
    const types = kinds.flatMap(({ type }) => type ?? [])
    const isAllowed = (type: string) => types.includes(type)
    if (text.startsWith('{') && isAllowed('object')) return parsed(text)
    if (isAllowed('string') || types.length === 0) return text
    if (text === 'null' && isAllowed('null')) return null
    if (NUMBER.test(text) && (isAllowed('number') || isAllowed('integer'))) return Number(text)
    // Python's clients write True.
    if (/^(true|false)$/i.test(text) && isAllowed('boolean')) return text.toLowerCase() === 'true'
    if (!isAllowed('array')) return text
    return text.startsWith('[') ? parsed(text) : this.read({ type: 'array', ...listOf(kinds) }, [text])
  }

  /** The alternatives of a schema, references resolved. */
  kindsOf(schema: JsonSchema): readonly JsonSchema[] {
    const name = schema.$ref?.replace('#/components/schemas/', '')
    if (name !== undefined) return this.kindsOf(ownSchema(this.#components, name) ?? {})
    const alternatives = schema.anyOf ?? schema.oneOf
    return alternatives === undefined ? [schema] : alternatives.flatMap((one) => this.kindsOf(one))
  }
}

function isDense(given: unknown): given is unknown[] {
  return Array.isArray(given) && Object.keys(given).length === given.length
}

function listOf(kinds: readonly JsonSchema[]): JsonSchema {
  return kinds.find((kind) => kind.items !== undefined) ?? {}
}

function ownSchema(of: Readonly<Record<string, JsonSchema>>, name: string): JsonSchema | undefined {
  return Object.hasOwn(of, name) ? of[name] : undefined
}

/** JSON text as its value; other text as it is. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
