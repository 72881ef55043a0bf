import { costAtUse, priceForMargin, roundedUp } from '@sluice/shared/economics/price-list'
import { formatMicros, parseMicros } from '@sluice/shared/money'
import { UsageError } from '../connection/find-connection.ts'
import { tableLines } from '../text-table.ts'
import { readEconomics } from './economics.ts'
import type { Operator } from './operator.ts'

export interface PriceListFlags {
  /** In percent. */
  utilisation: number
  margin: number
  costPerHour?: string
  tokensPerSecond?: number
}

/** A slot for which prices are wanted. */
interface Made {
  name: string
  costPerHourMicros: bigint
  tokensPerSecond: number
  /** What its class is sold at now. */
  standard: string | null
}

/** Prints what to ask for a million tokens: of each class of the pools now, or of a slot that is planned. */
export async function showPriceList(operator: Operator, flags: PriceListFlags): Promise<void> {
  requireShares(flags)
  for (const line of priceLines(await madeOf(operator, flags), flags)) operator.print(line)
}

function requireShares({ utilisation, margin }: PriceListFlags): void {
  if (utilisation <= 0 || utilisation > 100)
    throw new UsageError(`--utilisation is ${utilisation}: it must be above 0 and at most 100, in percent`)
  if (margin < 0 || margin >= 100)
    throw new UsageError(`--margin is ${margin}: it must be at least 0 and below 100, in percent`)
}

/** Lines of a table; costs and prices in units of the currency per million tokens. */
function priceLines(made: readonly Made[], { utilisation, margin }: PriceListFlags): string[] {
  const rows = made.map(({ name, standard, ...slot }) => {
    const atFullUse = costAtUse({ ...slot, utilisation: 1 })
    const cost = costAtUse({ ...slot, utilisation: utilisation / 100 })
    const price = roundedUp(priceForMargin(cost, margin / 100))
    return [
      name,
      formatMicros(slot.costPerHourMicros),
      String(slot.tokensPerSecond),
      formatMicros(atFullUse),
      formatMicros(cost),
      formatMicros(price),
      standard ?? '-',
    ]
  })
  const header = ['', 'an hour', 'tokens/s', 'cost, busy', `cost at ${utilisation} %`, 'price', 'now']
  return tableLines([header, ...rows])
}

async function madeOf(operator: Operator, flags: PriceListFlags): Promise<Made[]> {
  const { costPerHour, tokensPerSecond } = flags
  if ((costPerHour === undefined) !== (tokensPerSecond === undefined))
    throw new UsageError('--cost-per-hour and --tokens-per-second go together')
  if (tokensPerSecond === 0) throw new UsageError('--tokens-per-second is 0: it must be above 0')
  if (costPerHour !== undefined && tokensPerSecond !== undefined) {
    const costPerHourMicros = parseMicros(costPerHour) ?? 0n
    return [{ name: 'a slot', costPerHourMicros, tokensPerSecond, standard: null }]
  }
  const { live } = await readEconomics(operator, { by: 'total' })
  const made = live.flatMap(({ pool, slots, cost_per_hour, classes }) =>
    classes.flatMap(({ model, resolution, tokens_per_second, price_per_million }): Made[] => {
      if (cost_per_hour === null || slots === 0 || !tokens_per_second) return []
      const costPerHourMicros = (parseMicros(cost_per_hour) ?? 0n) / BigInt(slots)
      const standard = price_per_million.standard ?? null
      return [
        {
          name: `${pool} ${model} ${resolution}`,
          costPerHourMicros,
          tokensPerSecond: tokens_per_second,
          standard,
        },
      ]
    }),
  )
  if (made.length > 0) return made
  throw new Error(
    'no pool that is there now has both a cost (SLUICE_COST_PER_HOUR on its workers) and a measured pace: ' +
      'make a video, or name --cost-per-hour and --tokens-per-second',
  )
}
