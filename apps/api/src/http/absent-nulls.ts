import type { z } from 'zod'

/** A body without the fields that are null. */
export type DropNulls = (body: unknown) => unknown

/**
 * Reads null, in a field that may be left out and has no meaning for it, as if it were left out: many clients
 * write every field they know. Made once per call.
 */
export function nullDropper(schema: z.ZodType): DropNulls {
  const { def } = (schema as unknown as z.core.$ZodTypes)._zod
  if (def.type !== 'object') return (body) => body
  const isAbsent = new Set(
    Object.entries(def.shape).flatMap(([name, field]) =>
      allows(field, undefined) && !allows(field, null) ? [name] : [],
    ),
  )
  return (body) => {
    if (typeof body !== 'object' || body === null || Array.isArray(body)) return body
    const fields = Object.entries(body)
    if (!fields.some(([name, value]) => value === null && isAbsent.has(name))) return body
    return Object.fromEntries(fields.filter(([name, value]) => value !== null || !isAbsent.has(name)))
  }
}

function allows(field: z.core.$ZodType, value: unknown): boolean {
  return (field as unknown as z.ZodType).safeParse(value).success
}
