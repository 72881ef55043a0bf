import { RESOLUTION_CLASSES, resolutionsOf } from '@sluice/shared/model-catalogue'
import { formatMicros } from '@sluice/shared/money'
import { z } from 'zod'
import { recordChange } from '../audit/audit.ts'
import { transaction } from '../db/database.ts'
import { invalidValue } from '../errors.ts'
import { scopedRoute } from '../http/route.ts'
import { listPrices, type Price, setPrice } from '../prices/price-store.ts'
import { amountField, modelField, requireKnownModel, unixTimeField } from './admin-fields.ts'
import { unixSeconds } from './video-json.ts'

/** So that no video's price leaves 64 bits. */
const PRICE_MICROS_MAX = 1_000_000_000_000n

const priceSchema = z
  .object({
    object: z.literal('price'),
    model: z.string(),
    resolution: z.enum(RESOLUTION_CLASSES),
    per_million: z.string().meta({ description: 'Per million generated tokens.', example: '0.2' }),
    currency: z.string(),
    effective_at: z.int(),
    in_force: z.boolean().meta({ description: 'New videos are priced by it now.' }),
  })
  .meta({ id: 'Price' })

const setSchema = z.strictObject({
  model: modelField,
  resolution: z.enum(RESOLUTION_CLASSES),
  per_million: amountField(0n).refine(
    (micros) => micros <= PRICE_MICROS_MAX,
    'text such as "0.20": a decimal number from 0 to 1000000',
  ),
  effective_at: unixTimeField
    .optional()
    .meta({ description: 'Seconds since the Unix epoch, to come; without it, now.' }),
})

export const listAdminPrices = scopedRoute(
  'admin',
  {
    method: 'get',
    path: '/v1/admin/prices',
    operationId: 'listPrices',
    tag: 'admin',
    summary: 'Prices that were, are and will be',
    answers: {
      200: {
        description: 'By model and resolution, newest first.',
        schema: z.object({ object: z.literal('list'), data: z.array(priceSchema) }).meta({ id: 'PriceList' }),
      },
    },
    errors: [],
  },
  async ({ context, response }) => {
    const prices = await listPrices(context.db, context.config.currency)
    response.json({ object: 'list', data: prices.map(priceJson) })
  },
)

export const setAdminPrice = scopedRoute(
  'admin',
  {
    method: 'post',
    path: '/v1/admin/prices',
    operationId: 'setPrice',
    tag: 'admin',
    summary: 'Set a price from now or a time to come',
    description:
      'Videos submitted before keep the price they were submitted at. A price once set stays in the list; a later one takes over.',
    body: setSchema,
    example: { model: 'open-sora-2', resolution: '768px', per_million: '0.75' },
    answers: { 200: { description: 'The price.', schema: priceSchema } },
    errors: ['state_conflict'],
  },
  async ({ context, key, body, response }) => {
    const { resolution } = body
    const known = requireKnownModel(context.config.catalogue, body.model, 'model')
    const made = resolutionsOf(known)
    if (!made.includes(resolution))
      throw invalidValue('resolution', resolution, `${made.join(', ')} with model ${known.id}`)
    const model = known.id
    if (body.effective_at !== undefined && body.effective_at * 1_000 <= Date.now()) {
      throw invalidValue(
        'effective_at',
        body.effective_at,
        'a time to come, in seconds since the Unix epoch, or nothing for now',
      )
    }
    const effectiveAt = body.effective_at === undefined ? null : new Date(body.effective_at * 1_000)
    const price = await transaction(context.db, async (db) => {
      const set = await setPrice(db, {
        model,
        resolution,
        currency: context.config.currency,
        microsPerMillion: body.per_million,
        effectiveAt,
      })
      const { object: _object, in_force: _inForce, ...details } = priceJson(set)
      await recordChange(db, {
        keyId: key.id,
        action: 'price.set',
        subject: `${model} ${resolution}`,
        details,
      })
      return set
    })
    response.json(priceJson(price))
  },
)

function priceJson(price: Price): z.input<typeof priceSchema> {
  return {
    object: 'price',
    model: price.model,
    resolution: price.resolution,
    per_million: formatMicros(price.micros_per_million),
    currency: price.currency,
    effective_at: unixSeconds(price.effective_at),
    in_force: price.in_force,
  }
}
