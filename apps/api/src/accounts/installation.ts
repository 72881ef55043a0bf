import { SettingError } from '@sluice/shared/settings'
import { type Database, one } from '../db/database.ts'

/** Binds the database to one currency for good. Throws SettingError when it was set up with another. */
export async function bindCurrency(db: Database, currency: string): Promise<void> {
  await db.query({
    text: 'insert into installation (currency) values ($1) on conflict do nothing',
    values: [currency],
  })
  const bound = one(
    await db.query<{ currency: string }>({ text: 'select currency from installation' }),
  ).currency
  if (bound !== currency) {
    throw new SettingError(
      'SLUICE_CURRENCY',
      currency,
      `this database keeps its ledger in ${bound}; a ledger's currency never changes`,
    )
  }
}
