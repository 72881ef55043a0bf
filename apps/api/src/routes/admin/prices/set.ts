import { PRICE_MICROS_MAX } from '@sluice/shared/money'
import { z } from 'zod'
import { scopedRoute } from '../../../http/route.ts'
import { setPrice } from '../../../prices/set-price.ts'
import { text } from '../../../text-field.ts'
import { amountField } from '../../amount-field.ts'
import { modelField, requireKnownModel, unixTimeField } from '../fields.ts'
import { priceJson, priceSchema } from './price-json.ts'

const bodySchema = z.strictObject({
  model: modelField,
  resolution: text(32).meta({ description: "One of the model's resolution classes.", example: '768px' }),
  per_million: amountField(0n).refine(
    (micros) => micros <= PRICE_MICROS_MAX,
    'text such as "0.20": a decimal number from 0 to 1000000',
  ),
  effective_at: unixTimeField
    .optional()
    .meta({ description: 'Seconds since the Unix epoch, to come; without it, now.' }),
})

export const setPriceRoute = scopedRoute(
  'admin',
  {
    method: 'post',
    path: '/v1/admin/prices',
    operationId: 'setPrice',
    tag: 'admin',
    summary: 'Set a price from now or a time to come',
    description:
      'Videos submitted before keep the price they were submitted at. A price once set stays in the list; a later one takes over.',
    body: bodySchema,
    example: { model: 'open-sora-2', resolution: '768px', per_million: '0.75' },
    answers: { 200: { description: 'The price.', schema: priceSchema } },
    errors: ['state_conflict'],
  },
  async ({ context, key, body }) => {
    const price = await setPrice(context, key.id, {
      model: requireKnownModel(context.config.catalogue, body.model, 'model'),
      resolution: body.resolution,
      microsPerMillion: body.per_million,
      effectiveAt: body.effective_at === undefined ? null : new Date(body.effective_at * 1_000),
    })
    return priceJson(price)
  },
)
