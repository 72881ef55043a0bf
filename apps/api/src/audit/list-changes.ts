import type { Database } from '../db/database.ts'
import type { AuditAction } from './actions.ts'

/** A row of table audit with its key's name. */
export interface AuditRow {
  id: bigint
  created_at: Date
  /** Null for what a start of the API made. */
  key_id: string | null
  key_name: string | null
  action: AuditAction
  subject: string
  details: Record<string, unknown>
}

/**
 * A page of changes, newest first, of one action or subject if named. Returns one more than `limit` when
 * another page follows.
 */
export async function listChanges(
  db: Database,
  filter: { action: AuditAction | undefined; subject: string | undefined },
  page: { after: bigint | null; limit: number },
): Promise<AuditRow[]> {
  const { rows } = await db.query<AuditRow>({
    text: `select a.id, a.created_at, a.key_id, k.name as key_name, a.action, a.subject, a.details
    from audit a left join api_key k on k.id = a.key_id
    where ($1::text is null or a.action = $1)
      and ($2::text is null or a.subject = $2)
      and ($3::bigint is null or a.id < $3)
    order by a.id desc limit $4`,
    values: [filter.action ?? null, filter.subject ?? null, page.after, page.limit + 1],
  })
  return rows
}
