import type { Database } from '../db/database.ts'
import type { AuditAction } from './actions.ts'

/** One change by an operator, or by a start of the API. */
export interface Change {
  /** The admin key that asked for it; null for what a start of the API made. */
  keyId: string | null
  action: AuditAction
  /** The id of what was changed, or the model and resolution of a price. */
  subject: string
  /** What it was changed to; never a secret. */
  details: object
}

/**
 * Records a change in the transaction that makes it, so that there is never one without the other. The
 * database keeps it for good.
 */
export async function recordChange(db: Database, change: Change): Promise<void> {
  await db.query({
    text: 'insert into audit (key_id, action, subject, details) values ($1, $2, $3, $4)',
    values: [change.keyId, change.action, change.subject, change.details],
  })
}
