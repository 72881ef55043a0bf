import { z } from 'zod'

/** The body of every answer that is an error. */
export const errorSchema = z
  .object({
    error: z.object({
      message: z
        .string()
        .meta({ description: 'Names the field at fault, what was given and what is allowed.' }),
      type: z.string(),
      code: z.string(),
      param: z.string().nullable().meta({ description: 'The field or header at fault.' }),
    }),
  })
  .meta({ id: 'Error' })
