import { z } from 'zod'
import type { Operator } from './operator.ts'

const flexPricesSchema = z.object({
  by: z.string(),
  steps: z.array(z.object({ from: z.number(), multiplier: z.string() })),
  multiplier: z.string(),
  utilisation: z.number(),
  currency: z.string(),
  prices: z.array(z.object({ model: z.string(), resolution: z.string(), per_million: z.string() })),
})
type FlexPrices = z.infer<typeof flexPricesSchema>

/** From a value on, a factor on the price of each class. */
export interface Step {
  from: number
  multiplier: string
}

/** Prints what flex costs: the schedule, and the prices now. */
export async function showFlexPrices(operator: Operator): Promise<void> {
  const http = await operator.http()
  print(operator, await http.call(flexPricesSchema, '/admin/flex-prices'))
}

/** Sets what flex costs from now on, and prints it. */
export async function setFlexPrices(operator: Operator, by: string, steps: readonly Step[]): Promise<void> {
  const http = await operator.http()
  const body = { by, steps }
  print(operator, await http.call(flexPricesSchema, '/admin/flex-prices', { method: 'POST', body }))
}

function print(
  operator: Operator,
  { by, steps, multiplier, utilisation, currency, prices }: FlexPrices,
): void {
  for (const [index, { from, multiplier: factor }] of steps.entries())
    operator.print(`${rangeText(by, from, steps[index + 1]?.from)}  x ${factor}`)
  operator.print(`now x ${multiplier}, at a utilisation of ${(utilisation * 100).toFixed(1)} %:`)
  for (const { model, resolution, per_million } of prices)
    operator.print(`${model} ${resolution}  ${per_million} ${currency} per million`)
}

/** `7:00 to 22:00 UTC`, or `from 80 % on`. */
function rangeText(by: string, from: number, until: number | undefined): string {
  if (by === 'hour') return `${from}:00 to ${until ?? 24}:00 UTC`
  return until === undefined ? `from ${from} % on` : `from ${from} to ${until} %`
}
