import { FIRST_MODELS } from './built-in-models.ts'
import type { Model } from './model.ts'

/** The models of one service: the built-in ones, unless the operator changed them, and the operator's own. */
export class Catalogue {
  readonly models: readonly Model[]

  constructor(models: readonly Model[] = FIRST_MODELS) {
    this.models = models
  }

  /** The model with that id. The caller, which knows the default model, resolves aliases. */
  find(id: string): Model | undefined {
    return this.models.find((model) => model.id === id)
  }

  /** The models that an account may use. For that account the others do not exist. */
  availableTo(accountId: string): readonly Model[] {
    return this.models.filter((model) => model.accounts === null || model.accounts.has(accountId))
  }
}
