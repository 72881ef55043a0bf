import { z } from 'zod'

/** Fields that several of the webhook calls show. */

export const unixTimeField = z.int().meta({ description: 'Seconds since the Unix epoch.' })

export const secretField = z
  .string()
  .meta({
    description: 'Signs deliveries, as Standard Webhooks describes.',
    example: 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD',
  })
export const previousSecretUntilField = unixTimeField
  .nullable()
  .meta({ description: 'Until then the secret before this one signs as well.' })
