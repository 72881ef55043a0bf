import type { FlexSchedule } from '@sluice/gate/flex/flex-price'
import { AMOUNT_PATTERN, parseMicros } from '@sluice/shared/money'
import { z } from 'zod'
import { invalidValue } from '../../../errors.ts'
import { scopedRoute } from '../../../http/route.ts'
import { MULTIPLIER_BPS_MAX } from '../../../prices/flex-tariff.ts'
import { setFlexSchedule } from '../../../prices/set-flex-schedule.ts'
import { byField, flexPricesJson, flexPricesSchema } from './flex-prices-json.ts'

const STEPS_MAX = 24
/** The last value a step may begin at. */
const FROM_MAX = { hour: 23, utilisation: 100 } as const
/** Micro-units of a multiplier in a basis point. */
const MICROS_OF_BPS = 100n

const multiplierField = z
  .string()
  .meta({ pattern: AMOUNT_PATTERN, example: '0.5' })
  .refine(
    (value) => multiplierBpsOf(value) !== null,
    'text such as "0.5": a decimal number from 0.0001 to 100 with at most four decimals',
  )
  .transform((value) => multiplierBpsOf(value) ?? 0)

const bodySchema = z.strictObject({
  by: byField,
  steps: z
    .array(
      z.strictObject({
        from: z.int().min(0).max(100).meta({ description: 'An hour from 0 to 23, or percent.', example: 7 }),
        multiplier: multiplierField,
      }),
    )
    .min(1)
    .max(STEPS_MAX)
    .meta({ description: 'The first from 0, each later one from more than the one before.' }),
})

export const setFlexPricesRoute = scopedRoute(
  'admin',
  {
    method: 'post',
    path: '/v1/admin/flex-prices',
    operationId: 'setFlexPrices',
    tag: 'admin',
    summary: 'Set what flex costs, by hour or by utilisation',
    description:
      'A factor on the price of each class, from now on. A flex video is charged what is in force at its first dispatch, never more than its max_price or than was held for it. One step is one price at all times.',
    body: bodySchema,
    example: {
      by: 'hour',
      steps: [
        { from: 0, multiplier: '0.3' },
        { from: 7, multiplier: '0.6' },
      ],
    },
    answers: { 200: { description: 'The schedule and the prices now.', schema: flexPricesSchema } },
    errors: [],
  },
  async ({ context, key, body }) => {
    const schedule = scheduleOf(body)
    return flexPricesJson(context, await setFlexSchedule(context, key.id, schedule))
  },
)

/** The schedule of a body. Throws SluiceError `invalid_value`, which names the step. */
function scheduleOf({ by, steps }: z.output<typeof bodySchema>): FlexSchedule {
  for (const [index, { from }] of steps.entries()) {
    const before = steps[index - 1]?.from
    const least = before === undefined ? 0 : before + 1
    const most = before === undefined ? 0 : FROM_MAX[by]
    if (from >= least && from <= most) continue
    const allowed = before === undefined ? '0: the first step' : `${least} to ${most} here, by ${by}`
    throw invalidValue(`steps.${index}.from`, from, allowed)
  }
  return { by, steps: steps.map(({ from, multiplier }) => ({ from, multiplierBps: multiplier })) }
}

/** A multiplier in basis points; null when it is none. */
function multiplierBpsOf(text: string): number | null {
  const micros = parseMicros(text)
  if (micros === null || micros % MICROS_OF_BPS !== 0n) return null
  const bps = micros / MICROS_OF_BPS
  return bps >= 1n && bps <= BigInt(MULTIPLIER_BPS_MAX) ? Number(bps) : null
}
