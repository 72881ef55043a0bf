import { createHash } from 'node:crypto'
import { SettingError } from '@sluice/shared/settings'
import { type Database, one } from '../db/database.ts'

const NAME_CHARS = 16
/** PostgreSQL's code for a function that this role may not call. */
const NOT_ALLOWED = '42501'

/**
 * Binds the database to one currency for good, and returns what this installation's queues are named after.
 * That is an id made with the database, and where the database is: so a copy of it is another installation,
 * and takes no jobs from the original on a Redis that both use. Throws SettingError when the database was set
 * up with another currency.
 */
export async function bindInstallation(db: Database, currency: string): Promise<string> {
  await db.query({
    text: 'insert into installation (currency) values ($1) on conflict do nothing',
    values: [currency],
  })
  const bound = one(
    await db.query<{ currency: string; id: string; database: string }>({
      text: `
        select currency, id::text, oid::text as database
        from installation, pg_database
        where datname = current_database()`,
    }),
  )
  if (bound.currency !== currency) {
    throw new SettingError(
      'SLUICE_CURRENCY',
      currency,
      `this database keeps its ledger in ${bound.currency}; a ledger's currency never changes`,
    )
  }
  return createHash('sha256')
    .update(`${bound.id} ${bound.database} ${await readCluster(db)}`)
    .digest('hex')
    .slice(0, NAME_CHARS)
}

/** What tells this PostgreSQL cluster from others; empty where a provider keeps it to itself. */
async function readCluster(db: Database): Promise<string> {
  try {
    const { rows } = await db.query<{ id: string }>({
      text: 'select system_identifier::text as id from pg_control_system()',
    })
    return rows[0]?.id ?? ''
  } catch (error) {
    if ((error as { code?: string }).code === NOT_ALLOWED) return ''
    throw error
  }
}
