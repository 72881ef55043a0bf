import type { z } from 'zod'

/** The fields of a form whose text is read as a number or as true or false; every other field stays text. */
export type TypedFields = ReadonlyMap<string, 'number' | 'boolean'>

/** The fields of a body schema that take a number but no text, or a boolean but no text. */
export function typedFieldsOf(body: z.ZodType): TypedFields {
  const { def } = (body as unknown as z.core.$ZodTypes)._zod
  if (def.type !== 'object') return new Map()
  return new Map(
    Object.entries(def.shape).flatMap(([name, field]) => {
      const type = inputTypeOf(field)
      return type === 'number' || type === 'boolean' ? [[name, type] as const] : []
    }),
  )
}

/** The value of a form field as JSON would have it; text that reads as no such value stays text. */
export function readFormField(fields: TypedFields, name: string, value: unknown): unknown {
  if (typeof value === 'string') {
    const type = fields.get(name)
    if (type === 'number' && /^-?\d{1,15}(\.\d{1,15})?$/.test(value)) return Number(value)
    if (type === 'boolean' && (value === 'true' || value === 'false')) return value === 'true'
    return value
  }
  // A repeated or nested field comes as an object without a prototype.
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? { ...value } : value
}

type InputType = 'number' | 'boolean' | 'null' | 'other'

/** The one type that a schema takes besides null, before any transformation. */
function inputTypeOf(schema: z.core.$ZodType): InputType {
  const { def } = (schema as z.core.$ZodTypes)._zod
  switch (def.type) {
    case 'number':
    case 'boolean':
    case 'null':
      return def.type
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
    case 'nonoptional':
    case 'readonly':
    case 'catch':
      return inputTypeOf(def.innerType)
    case 'pipe':
      return inputTypeOf(def.in)
    case 'union': {
      const types = new Set(def.options.map(inputTypeOf))
      types.delete('null')
      const [type] = types
      return types.size === 1 && type !== undefined ? type : 'other'
    }
    default:
      return 'other'
  }
}
