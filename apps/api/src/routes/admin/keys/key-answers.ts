import { z } from 'zod'
import { pageOfRows, pageSchema } from '../../../http/pages.ts'
import type { NewKey } from '../../../keys/create-key.ts'
import type { StoredKey } from '../../../keys/key-store.ts'
import { keyJson, keySchema } from '../../account/key-json.ts'

const newKeySchema = keySchema
  .extend({ key: z.string().meta({ description: 'The secret. Shown this once.' }) })
  .meta({ id: 'NewKey' })
export const newKeyAnswers = { 200: { description: 'The key with its secret.', schema: newKeySchema } }

/** A new key with its secret. */
export function newKeyJson({ stored, secret }: NewKey): z.input<typeof newKeySchema> {
  return { ...keyJson(stored), key: secret }
}

export const keyPageAnswers = {
  200: { description: 'One page, newest first.', schema: pageSchema(keySchema, 'KeyList') },
}

/** A page of keys, of which the store read one more than `limit` when another page follows. */
export function keyPage(rows: readonly StoredKey[], limit: number) {
  return pageOfRows(rows, limit, keyJson)
}
