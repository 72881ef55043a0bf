import { type IdKind, isId } from '@sluice/shared/ids'
import { z } from 'zod'
import { SluiceError } from '../errors.ts'

const limitField = z
  .string()
  .regex(/^([1-9]\d?|100)$/, 'a whole number from 1 to 100')
  .default('20')
  .transform(Number)
  .meta({
    description: 'The most items of a page.',
    override: ({ jsonSchema }) => {
      delete jsonSchema.pattern
      Object.assign(jsonSchema, { type: 'integer', minimum: 1, maximum: 100, default: 20 })
    },
  })

/** Query fields of a list. */
export const pageQuery = {
  after: z.string().max(100).optional().meta({ description: 'The last_id of the page before.' }),
  limit: limitField,
}

/** Query fields of a list that looks up what `after` names, and so takes text of any length. */
export const lookUpPageQuery = {
  after: z.string().optional().meta({ description: 'The id the page before ended with.' }),
  limit: limitField,
}

/** The schema of a page of `item`; `id` names it in the OpenAPI document. */
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

export interface PageJson<Item> {
  object: 'list'
  data: Item[]
  first_id: string | null
  last_id: string | null
  has_more: boolean
}

/** A page of rendered items; the id of the last one is the `after` of the next page. */
export function pageJson<Item extends { id: string }>(page: {
  data: Item[]
  hasMore: boolean
}): PageJson<Item> {
  return {
    object: 'list',
    data: page.data,
    first_id: page.data[0]?.id ?? null,
    last_id: page.data.at(-1)?.id ?? null,
    has_more: page.hasMore,
  }
}

/** A page of what a store read, which is one row more than `limit` when another page follows. */
export function pageOfRows<Row, Item extends { id: string }>(
  rows: readonly Row[],
  limit: number,
  render: (row: Row) => Item,
): PageJson<Item> {
  return pageJson({ data: rows.slice(0, limit).map((row) => render(row)), hasMore: rows.length > limit })
}

/** Throws SluiceError `not_found` unless `after` is absent or has the form of an id of `kind`. */
export function requireCursorOf(kind: IdKind, after: string | undefined): void {
  if (after !== undefined && !isId(kind, after)) throw unknownCursor()
}

/** The error for an `after` that no page can have ended with. */
export function unknownCursor(): SluiceError {
  return new SluiceError('not_found', 'after is the last_id of the page before.', 'after')
}
