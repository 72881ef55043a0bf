import { type Environment, optionalSetting } from './settings.ts'

/** The model that the runner named by SLUICE_RUNNER makes when no setting names a model. */
export function defaultModelOf(env: Environment): string {
  return optionalSetting(env, 'SLUICE_RUNNER') === 'open-sora' ? 'open-sora-2' : 'animatic'
}
