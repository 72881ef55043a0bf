import { type FlexPrices, type FlexSchedule, fixedSchedule, multiplierAt } from '@sluice/gate/flex/flex-price'
import { type Database, one } from '../db/database.ts'

/** The operator's prices of flex, and where they stand now. */
export interface FlexMarket extends FlexPrices {
  /** When the operator set the schedule; null = it is the setting's one price. */
  setAt: Date | null
  /** By PostgreSQL's clock, as `atMs` is: when utilisation was noted last; null = never. */
  notedAtMs: number | null
}

/** The columns of a FlexMarketRow, as subqueries, for a statement of any kind. */
export const FLEX_MARKET_SQL = `(
    select json_build_object(
      'kind', s.kind, 'steps', s.steps, 'set_at_ms', extract(epoch from s.set_at)::float8 * 1000,
      'utilisation', m.utilisation, 'noted_at_ms', extract(epoch from m.noted_at)::float8 * 1000,
      'at_ms', extract(epoch from now())::float8 * 1000)
    from flex_market m left join (select * from flex_schedule order by id desc limit 1) s on true)`

export interface FlexMarketRow {
  kind: FlexSchedule['by'] | null
  steps: { from: number; multiplier_bps: number }[] | null
  set_at_ms: number | null
  utilisation: number
  noted_at_ms: number | null
  at_ms: number
}

/** The market as it was read; `multiplierBps` is the price where the operator has set no schedule. */
export function flexMarketOf(row: FlexMarketRow, multiplierBps: number): FlexMarket {
  const { kind, steps, set_at_ms, utilisation } = row
  const moment = { atMs: row.at_ms, utilisation, notedAtMs: row.noted_at_ms }
  if (kind === null || steps === null || set_at_ms === null)
    return { schedule: fixedSchedule(multiplierBps), setAt: null, ...moment }
  const schedule = {
    by: kind,
    steps: steps.map(({ from, multiplier_bps }) => ({ from, multiplierBps: multiplier_bps })),
  }
  return { schedule, setAt: new Date(set_at_ms), ...moment }
}

/** Reads the market as it is now. */
export async function readFlexMarket(db: Database, multiplierBps: number): Promise<FlexMarket> {
  const { market } = one(
    await db.query<{ market: FlexMarketRow }>({
      name: 'flex-market',
      text: `select ${FLEX_MARKET_SQL} as market`,
    }),
  )
  return flexMarketOf(market, multiplierBps)
}

/** The factor in force, in basis points. */
export function multiplierNow({ schedule, ...moment }: FlexPrices): number {
  return multiplierAt(schedule, moment)
}
