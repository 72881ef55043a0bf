import type { FlexSchedule } from '@sluice/gate/flex/flex-price'
import { formatMicros } from '@sluice/shared/money'
import { recordChange } from '../audit/record-change.ts'
import type { Context } from '../context.ts'
import { transaction } from '../db/database.ts'
import { type FlexMarket, readFlexMarket } from './flex-market.ts'

/** A schedule as the audit keeps it and the operator sees it. */
export function scheduleDetails({ by, steps }: FlexSchedule) {
  return {
    by,
    // Basis points are hundredths of micro-units: the same decimal, exactly.
    steps: steps.map(({ from, multiplierBps }) => ({
      from,
      multiplier: formatMicros(BigInt(multiplierBps) * 100n),
    })),
  }
}

/**
 * Sets what flex costs from now on and records it in the audit. Flex videos that were dispatched keep their
 * price; none is charged more than its maximum, or than was held for it. `adminKeyId` is the admin key that
 * asks.
 */
export async function setFlexSchedule(
  context: Context,
  adminKeyId: string,
  schedule: FlexSchedule,
): Promise<FlexMarket> {
  const market = await transaction(context.db, async (db) => {
    await db.query({
      text: 'insert into flex_schedule (kind, steps) values ($1, $2)',
      values: [
        schedule.by,
        JSON.stringify(
          schedule.steps.map(({ from, multiplierBps }) => ({ from, multiplier_bps: multiplierBps })),
        ),
      ],
    })
    await recordChange(db, {
      keyId: adminKeyId,
      action: 'flex_prices.set',
      subject: 'flex',
      details: scheduleDetails(schedule),
    })
    return readFlexMarket(db, context.config.tierMultiplierBps.flex)
  })
  context.wakeGate()
  return market
}
