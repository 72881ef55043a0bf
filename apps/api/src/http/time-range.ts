import { z } from 'zod'
import { invalidValue } from '../errors.ts'

const DAY_MS = 86_400_000
const DAYS_SHOWN = 30
const timeText = z.union([z.iso.date(), z.iso.datetime({ offset: true })])
const timeField = z
  .string()
  .refine(
    (value) => timeText.safeParse(value).success && Date.parse(value) >= 0,
    'a UTC day such as 2026-01-31, or a time such as 2026-01-31T12:00:00Z',
  )
  .transform((value) => new Date(value))
  .optional()
  .meta({
    override: ({ jsonSchema }) => {
      delete jsonSchema.type
      jsonSchema.anyOf = [
        { type: 'string', format: 'date' },
        { type: 'string', format: 'date-time' },
      ]
    },
  })

/** Query fields of a report: from when to when, and in which form. */
export const reportFields = {
  from: timeField.meta({
    description: 'A UTC day or a time; without it, the beginning of the day 30 days ago.',
    example: '2026-01-01',
  }),
  to: timeField.meta({
    description: 'Up to this UTC day or time, itself not included; without it, now.',
    example: '2026-02-01',
  }),
  format: z.enum(['json', 'csv']).optional().meta({ description: 'Without it, what Accept prefers.' }),
} as const

/**
 * The range a query asks for at `nowMs` (Unix time), and whether it ends with whatever is newest. Throws
 * SluiceError when it ends before it begins.
 */
export function rangeOf(
  query: { from?: Date | undefined; to?: Date | undefined },
  nowMs: number,
): { from: Date; to: Date; isUntilNow: boolean } {
  const to = query.to ?? new Date(nowMs)
  const firstDayMs = Math.floor(Math.min(nowMs, to.getTime()) / DAY_MS - DAYS_SHOWN) * DAY_MS
  const from = query.from ?? new Date(firstDayMs)
  if (from > to)
    throw invalidValue('from', from.toISOString(), `a time before ${to.toISOString()}, which is to`)
  return { from, to, isUntilNow: query.to === undefined }
}
