import type { Database } from '../db/database.ts'

export const AUDIT_ACTIONS = [
  'account.created',
  'account.changed',
  'account.credited',
  'account.refunded',
  'key.created',
  'key.changed',
  'key.revoked',
  'price.set',
] as const
export type AuditAction = (typeof AUDIT_ACTIONS)[number]

/** One change by an operator. */
export interface Change {
  /** The admin key that asked for it. */
  keyId: string
  action: AuditAction
  /** The id of what was changed. */
  subject: string
  /** What it was changed to; never a secret. */
  details: Record<string, unknown>
}

/** Notes a change in the transaction that makes it, so that there is never one without the other. The database keeps it for good. */
export async function recordChange(db: Database, change: Change): Promise<void> {
  await db.query({
    text: 'insert into audit (key_id, action, subject, details) values ($1, $2, $3, $4)',
    values: [change.keyId, change.action, change.subject, change.details],
  })
}

/** A row of table audit with its key's name. */
export interface AuditRow {
  id: bigint
  created_at: Date
  key_id: string
  key_name: string
  action: AuditAction
  subject: string
  details: Record<string, unknown>
}

/** A page of changes, newest first, of one action or subject if named. Answers one more than `limit` if there is one. */
export async function listChanges(
  db: Database,
  filter: { action: AuditAction | undefined; subject: string | undefined },
  page: { after: bigint | null; limit: number },
): Promise<AuditRow[]> {
  const { rows } = await db.query<AuditRow>({
    text: `select a.id, a.created_at, a.key_id, k.name as key_name, a.action, a.subject, a.details
    from audit a join api_key k on k.id = a.key_id
    where ($1::text is null or a.action = $1) and ($2::text is null or a.subject = $2) and ($3::bigint is null or a.id < $3)
    order by a.id desc limit $4`,
    values: [filter.action ?? null, filter.subject ?? null, page.after, page.limit + 1],
  })
  return rows
}
