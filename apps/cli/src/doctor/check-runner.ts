import { readCatalogue } from '@sluice/shared/catalogue-file'
import type { Licence, Model } from '@sluice/shared/models/model'
import type { ServedModel } from '@sluice/shared/runner-protocol'
import { animaticModels, readServedModels } from '@sluice/shared/served-models'
import { optionalSetting, SettingError, SettingErrors } from '@sluice/shared/settings'
import { checkDiffusers } from './check-diffusers.ts'
import { checkEngine } from './check-engine.ts'
import { checkOpenSora } from './check-open-sora.ts'
import { type Finding, fail, note, ok } from './finding.ts'

/** What the configured runner needs. The animatic runner needs nothing but Node. */
export async function checkRunner(env: NodeJS.ProcessEnv): Promise<Finding[]> {
  const runner = optionalSetting(env, 'SLUICE_RUNNER') ?? 'animatic'
  if (optionalSetting(env, 'SLUICE_RUNNER_COMMAND') !== undefined) {
    return [note('runner', 'SLUICE_RUNNER_COMMAND: a command of your own')]
  }
  if (runner === 'animatic') {
    return [
      ok('runner', 'animatic: draws title cards, no model, no GPU'),
      ...(await checkServed(env, async (models) => checkAnimatic(env, models ?? []))),
    ]
  }
  if (runner === 'engine')
    return [ok('runner', 'engine: drives another server'), ...(await checkServedByEngine(env))]
  if (runner === 'diffusers')
    return [
      ok('runner', 'diffusers'),
      ...(await checkServed(env, (models) => checkDiffusers(env, models ?? []))),
    ]
  if (runner !== 'open-sora') {
    return [
      fail(
        'runner',
        `SLUICE_RUNNER must be animatic, open-sora, diffusers or engine, got "${runner}"`,
        'correct SLUICE_RUNNER',
      ),
    ]
  }
  return [
    ok('runner', 'open-sora'),
    ...(await checkServed(env, (models) => checkOpenSora(env, models ?? []))),
  ]
}

function checkAnimatic(env: NodeJS.ProcessEnv, models: readonly ServedModel[]): Finding[] {
  const made = animaticModels(env, readCatalogue(env))
  return models
    .filter(({ id }) => !made.includes(id))
    .map(({ id }) =>
      fail(
        'model',
        `SLUICE_MODEL has ${id}; the animatic runner makes ${made.join(', ')}`,
        `name it in SLUICE_ANIMATIC_MODELS too, if title cards shall stand in for ${id}`,
      ),
    )
}

async function checkServedByEngine(env: NodeJS.ProcessEnv): Promise<Finding[]> {
  try {
    return await checkEngine(env, readServedModels(env, readCatalogue(env)))
  } catch (error) {
    if (error instanceof SettingError && error.setting === 'SLUICE_MODEL')
      return [fail('models', error.message, 'correct SLUICE_MODEL')]
    // checkModels reports a wrong catalogue.
    if (error instanceof SettingError || error instanceof SettingErrors) return []
    throw error
  }
}

/** `check` gets what is served; undefined when the settings or the catalogue do not say. */
async function checkServed(
  env: NodeJS.ProcessEnv,
  check: (models?: readonly ServedModel[]) => Promise<Finding[]>,
): Promise<Finding[]> {
  try {
    const models = readServedModels(env, readCatalogue(env))
    return [note('models', `serves ${models.map(({ id }) => id).join(', ')}`), ...(await check(models))]
  } catch (error) {
    const isOfModel = error instanceof SettingError && error.setting === 'SLUICE_MODEL'
    const isOfCatalogue = error instanceof SettingError || error instanceof SettingErrors
    if (!isOfCatalogue) throw error
    // checkModels reports a wrong catalogue.
    if (!isOfModel) return check()
    return [fail('models', error.message, 'correct SLUICE_MODEL'), ...(await check())]
  }
}

/** What is wrong with the operator's catalogue, or its models with what their licences allow. */
export function checkModels(env: NodeJS.ProcessEnv): Finding[] {
  try {
    return readCatalogue(env).models.flatMap((model) => [
      ...describe(model),
      note('licence', `${model.id}: ${licenceText(model.licence)}`),
    ])
  } catch (error) {
    if (!(error instanceof SettingError || error instanceof SettingErrors)) throw error
    const faults = error instanceof SettingErrors ? error.errors : [error]
    return faults.map((fault) =>
      fail('models', fault.message, 'correct the file that SLUICE_CATALOGUE names'),
    )
  }
}

function licenceText({ name, text, commercial, forbiddenIn }: Licence): string {
  const facts = [
    ...(commercial === 'no' ? ['not for sale'] : []),
    ...(forbiddenIn.length === 0 ? [] : [`not in ${forbiddenIn.join(', ')}`]),
  ]
  const words = text.startsWith(name) ? text : `${name}. ${text}`
  return facts.length === 0 ? words : `${words} (${facts.join('; ')})`
}

/** What the operator changed in a model or added; nothing for an unchanged built-in model. */
function describe(model: Model): Finding[] {
  const { folder, checkpoint, lora } = model.weights
  const facts = [
    ...(model.base === null ? [] : [`made from ${model.base}`]),
    ...(folder === undefined ? [] : [`folder ${folder}`]),
    ...(checkpoint === undefined ? [] : [`checkpoint ${checkpoint}`]),
    ...(lora === undefined ? [] : [`LoRA ${lora.path} at ${lora.strength}`]),
    ...(model.pool === null ? [] : [`in pool ${model.pool} alone`]),
    ...(model.accounts === null
      ? []
      : [`private to ${model.accounts.size} ${model.accounts.size === 1 ? 'account' : 'accounts'}`]),
    ...(model.modes.includes('t2i2v') ? ['serves t2i2v: FLUX.1-dev is non-commercial'] : []),
  ]
  return facts.length === 0 ? [] : [note('model', `${model.id}: ${facts.join(', ')}`)]
}
