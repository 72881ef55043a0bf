import type { Context } from '../context.ts'
import type { AccountKey } from '../keys/authenticate.ts'
import type { Offer } from './generation-of.ts'

/** The models that the account of this key may ask for. What the key itself may not is said by `requireModel`. */
export function offerTo({ config }: Pick<Context, 'config'>, key: Pick<AccountKey, 'accountId'>): Offer {
  return { models: config.catalogue.availableTo(key.accountId), defaultModel: config.defaultModel }
}
