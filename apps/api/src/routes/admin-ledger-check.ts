import type { RequestHandler } from 'express'
import type { Context } from '../context.ts'
import { transaction } from '../db/database.ts'
import { scopedKey } from '../http/authentication.ts'
import { checkLedger } from '../ledger/check.ts'

/** GET /v1/admin/ledger/check: recomputes every invariant of the ledger and says which are broken. */
export function checkLedgerRoute(context: Context): RequestHandler {
  return async (request, response) => {
    await scopedKey(context, request, 'admin')
    const check = await transaction(context.db, checkLedger, { isolation: 'repeatable read' })
    response.json({
      ok: check.ok,
      transfers: Number(check.transfers),
      entries: Number(check.entries),
      violations: Object.fromEntries(Object.entries(check.violations).map(([name, count]) => [name, Number(count)])),
    })
  }
}
