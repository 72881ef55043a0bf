import { readCatalogue } from '@sluice/shared/catalogue-file'
import { defaultModelOf } from '@sluice/shared/default-model'
import type { Catalogue } from '@sluice/shared/models/catalogue'
import { type Environment, optionalSetting, SettingError } from '@sluice/shared/settings'

/** The catalogue, and the model for requests that name none, which is open to every account. */
export function readModels(env: Environment): { catalogue: Catalogue; defaultModel: string } {
  const catalogue = readCatalogue(env)
  const defaultModel =
    optionalSetting(env, 'SLUICE_DEFAULT_MODEL') ??
    firstServedHere(env, catalogue) ??
    defaultModelOf(env, catalogue)
  const model = catalogue.find(defaultModel)
  const open = catalogue.models.filter((known) => known.accounts === null).map((known) => known.id)
  if (model === undefined)
    throw new SettingError('SLUICE_DEFAULT_MODEL', defaultModel, `known models are ${open.join(', ')}`)
  if (model.accounts !== null) {
    throw new SettingError(
      'SLUICE_DEFAULT_MODEL',
      defaultModel,
      `is private to some accounts; allowed are ${open.join(', ')}`,
    )
  }
  return { catalogue, defaultModel }
}

/** Of the models that a worker beside it serves, as `npm start` runs one, the first that is open to all. */
function firstServedHere(env: Environment, catalogue: Catalogue): string | undefined {
  const served = optionalSetting(env, 'SLUICE_MODEL')?.split(',') ?? []
  return served.map((id) => id.trim()).find((id) => catalogue.find(id)?.accounts === null)
}
