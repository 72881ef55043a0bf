import { z } from 'zod'
import { AUDIT_ACTIONS, listChanges } from '../audit/audit.ts'
import { pageJson, pageQuery, pageSchema, unknownCursor } from '../http/pages.ts'
import { scopedRoute } from '../http/route.ts'
import { text } from '../submissions/create-request.ts'
import { unixSeconds } from './video-json.ts'

const changeSchema = z
  .object({
    id: z.string(),
    object: z.literal('change'),
    created_at: z.int(),
    key_id: z.string().meta({ description: 'The admin key that asked for it.' }),
    key_name: z.string(),
    action: z.enum(AUDIT_ACTIONS),
    subject: z.string().meta({ description: 'What was changed: the id of an account or key, or a price.' }),
    details: z.record(z.string(), z.unknown()).meta({ description: 'What it was changed to.' }),
  })
  .meta({ id: 'Change' })

export const readAudit = scopedRoute(
  'admin',
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
  async ({ context, query, response }) => {
    // Ids are counted up from 1; 18 digits are still a bigint.
    if (query.after !== undefined && !/^\d{1,18}$/.test(query.after)) throw unknownCursor()
    const page = { after: query.after === undefined ? null : BigInt(query.after), limit: query.limit }
    const rows = await listChanges(context.db, { action: query.action, subject: query.subject }, page)
    response.json(
      pageJson(
        rows,
        query.limit,
        (row) => String(row.id),
        (row) => ({
          id: String(row.id),
          object: 'change',
          created_at: unixSeconds(row.created_at),
          key_id: row.key_id,
          key_name: row.key_name,
          action: row.action,
          subject: row.subject,
          details: row.details,
        }),
      ),
    )
  },
)
