import { type IdKind, isId } from '@sluice/shared/ids'
import { z } from 'zod'
import { SluiceError } from '../errors.ts'

/** Lists are answered in pages, newest first, as `GET /v1/videos` does. */
export const pageQuery = {
  after: z.string().max(100).optional().meta({ description: 'The last_id of the page before.' }),
  limit: z
    .string()
    .regex(/^([1-9]\d?|100)$/, 'a whole number from 1 to 100')
    .default('20')
    .transform(Number),
}

/** The document of a page of `item`. */
export function pageSchema<Item extends z.ZodType>(item: Item, id: string) {
  return z
    .object({
      object: z.literal('list'),
      data: z.array(item),
      first_id: z.string().nullable(),
      last_id: z.string().nullable(),
      has_more: z.boolean(),
    })
    .meta({ id })
}

/** A page of what the store answered, which is one row more than `limit` when another page follows. */
export function pageJson<Row>(
  rows: readonly Row[],
  limit: number,
  idOf: (row: Row) => string,
  render: (row: Row) => unknown,
) {
  const shown = rows.slice(0, limit)
  const first = shown[0]
  const last = shown.at(-1)
  return {
    object: 'list',
    data: shown.map(render),
    first_id: first === undefined ? null : idOf(first),
    last_id: last === undefined ? null : idOf(last),
    has_more: rows.length > limit,
  }
}

/** Throws SluiceError `not_found` unless `after` is absent or well-formed; one that names nothing just says where to go on. */
export function requireCursorOf(kind: IdKind, after: string | undefined): void {
  if (after !== undefined && !isId(kind, after)) throw unknownCursor()
}

/** What a cursor that no page ended with is answered. */
export function unknownCursor(): SluiceError {
  return new SluiceError('not_found', 'after is the last_id of the page before.', 'after')
}
