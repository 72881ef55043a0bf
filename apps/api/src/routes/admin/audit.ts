import { unixSeconds } from '@sluice/shared/clock'
import { z } from 'zod'
import { AUDIT_ACTIONS } from '../../audit/actions.ts'
import { type AuditRow, listChanges } from '../../audit/list-changes.ts'
import { pageOfRows, pageQuery, pageSchema, unknownCursor } from '../../http/pages.ts'
import { scopedRoute } from '../../http/route.ts'
import { text } from '../../text-field.ts'

const changeSchema = z
  .object({
    id: z.string(),
    object: z.literal('change'),
    created_at: z.int(),
    key_id: z
      .string()
      .nullable()
      .meta({ description: 'The admin key that asked for it; null for what a start of the API made.' }),
    key_name: z.string().nullable(),
    action: z.enum(AUDIT_ACTIONS),
    subject: z.string().meta({ description: 'What was changed: the id of an account or key, or a price.' }),
    details: z.record(z.string(), z.unknown()).meta({ description: 'What it was changed to.' }),
  })
  .meta({ id: 'Change' })

export const readAuditRoute = scopedRoute(
  'admin:read',
  {
    method: 'get',
    path: '/v1/admin/audit',
    operationId: 'readAudit',
    tag: 'admin',
    summary: 'Who changed what, on whom, when',
    query: z.strictObject({
      ...pageQuery,
      action: z.enum(AUDIT_ACTIONS).optional(),
      subject: text(200).optional(),
    }),
    answers: {
      200: { description: 'One page, newest first.', schema: pageSchema(changeSchema, 'ChangeList') },
    },
    errors: ['not_found'],
  },
  async ({ context, query }) => {
    const { action, subject, limit } = query
    const page = { after: cursorOf(query.after), limit }
    return pageOfRows(await listChanges(context.db, { action, subject }, page), limit, changeJson)
  },
)

/**
 * Ids are counted up from 1; 18 digits are still a bigint. Throws SluiceError `not_found` for any other text.
 */
function cursorOf(after: string | undefined): bigint | null {
  if (after === undefined) return null
  if (!/^\d{1,18}$/.test(after)) throw unknownCursor()
  return BigInt(after)
}

function changeJson(change: AuditRow): z.input<typeof changeSchema> {
  return {
    id: String(change.id),
    object: 'change',
    created_at: unixSeconds(change.created_at),
    key_id: change.key_id,
    key_name: change.key_name,
    action: change.action,
    subject: change.subject,
    details: change.details,
  }
}
