import type { Request } from 'express'
import { z } from 'zod'
import { readAccount } from '../../../accounts/account-store.ts'
import { originOf } from '../../../http/request-headers.ts'
import type { Key } from '../../../keys/authenticate.ts'
import type { Services } from '../../../services.ts'
import { accountJson, accountSchema } from '../../account/account-json.ts'
import { moneyJson } from '../../money-json.ts'

/** What was moved, and the account as it stands. */
export const movedSchema = z.object({ amount: z.string(), currency: z.string(), account: accountSchema })

/** Who asks for what on which account. The idempotency key is the body's, else the header's. */
export function orderOf(call: {
  key: Key
  params: { id: string }
  body: { idempotency_key?: string | undefined }
  request: Request
}) {
  // Read first: a header that cannot be is refused also where the body's key counts.
  const { idempotencyKey } = originOf(call.request)
  return {
    adminKeyId: call.key.id,
    accountId: call.params.id,
    idempotencyKey: call.body.idempotency_key ?? idempotencyKey,
  }
}

export async function movedJson(
  { config, db }: Services,
  accountId: string,
  amountMicros: bigint,
): Promise<z.input<typeof movedSchema>> {
  return {
    ...moneyJson(amountMicros, config.currency),
    account: accountJson(await readAccount(db, accountId), config.currency),
  }
}
