import type { Request } from 'express'
import type { Context } from '../context.ts'
import type { Scope } from '../keys/api-key.ts'
import { type AccountKey, authenticate, type Key, requireAccountKey, requireScope } from '../keys/authenticate.ts'

/** The calling tenant's key. Throws SluiceError when there is none, or it lacks the scope. */
export async function accountKey(context: Context, request: Request, scope: Scope): Promise<AccountKey> {
  return requireAccountKey(await authenticate(context.db, request.get('authorization')), scope)
}

/** A key that belongs to no tenant, with that scope. Throws SluiceError otherwise. */
export async function scopedKey(context: Context, request: Request, scope: 'admin' | 'worker'): Promise<Key> {
  const key = await authenticate(context.db, request.get('authorization'))
  requireScope(key, scope)
  return key
}
