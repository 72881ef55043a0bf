import type { Catalogue } from '@sluice/shared/models/catalogue'
import type { Model } from '@sluice/shared/models/model'
import { z } from 'zod'
import { invalidValue } from '../../errors.ts'
import { text, textNotBlank } from '../../text-field.ts'

/** Fields that several of the operator's calls take. */

/** The last second that any calendar here knows: the end of the year 9999. */
const UNIX_SECONDS_MAX = 253_402_300_799

export const unixTimeField = z
  .int()
  .min(0)
  .max(UNIX_SECONDS_MAX)
  .meta({ description: 'Seconds since the Unix epoch.' })

export const nameField = textNotBlank(200).meta({ example: 'web shop' })

/** A limit in videos. */
export const videosField = z.int().min(0).max(1_000_000)

export const idempotencyKeyField = text(200)
  .refine((value) => value !== '', 'text that is not empty')
  .optional()
  .meta({
    description: 'The same key again answers the first transfer.',
    minLength: 1,
    example: 'invoice 2026-0042',
  })

export const modelField = text(100).meta({ description: 'A model of the catalogue, by its own id.' })

/** The model a field names. Throws SluiceError `invalid_value` when there is none; aliases are none. */
export function requireKnownModel(catalogue: Catalogue, id: string, field: string): Model {
  const model = catalogue.find(id)
  if (model === undefined) throw invalidValue(field, id, catalogue.models.map((known) => known.id).join(', '))
  return model
}

/** As `requireKnownModel`, for a list. */
export function requireKnownModels(catalogue: Catalogue, ids: readonly string[], field: string): void {
  for (const [index, id] of ids.entries()) requireKnownModel(catalogue, id, `${field}.${index}`)
}
