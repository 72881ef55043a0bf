import { MODELS } from '@sluice/shared/model-catalogue'
import { given } from '../up/settings.ts'
import { checkOpenSora } from './check-open-sora.ts'
import { type Finding, fail, note, ok } from './finding.ts'

/** What the configured runner needs. The animatic runner needs nothing but Node. */
export async function checkRunner(env: NodeJS.ProcessEnv): Promise<Finding[]> {
  const runner = given(env.SLUICE_RUNNER) ?? 'animatic'
  if (given(env.SLUICE_RUNNER_COMMAND) !== null) return [note('runner', 'SLUICE_RUNNER_COMMAND: a command of your own')]
  if (runner === 'animatic') return [ok('runner', 'animatic: draws title cards, no model, no GPU')]
  if (runner !== 'open-sora')
    return [fail('runner', `SLUICE_RUNNER must be animatic or open-sora, got "${runner}"`, 'correct SLUICE_RUNNER')]
  return [ok('runner', 'open-sora'), ...(await checkOpenSora(env))]
}

/** What each model may be used for. */
export function licences(): Finding[] {
  return MODELS.map((model) => note('licence', `${model.id}: ${model.licence}`))
}
