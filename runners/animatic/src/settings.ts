import { type Environment, optionalSetting, readSettings, SettingError } from '@sluice/shared/settings'

export interface AnimaticSettings {
  /** The pace: milliseconds that each step takes, 0 = as fast as it goes. */
  stepMs: number
  /** A checkpoint is written at the first step boundary after this many milliseconds. */
  checkpointMs: number
  /** How long a switch to another of its models takes, in milliseconds. */
  switchMs: number
  /** Models this runner stands in for. */
  models: readonly string[]
}

const MILLISECONDS_MAX = 600_000

/** @throws SettingErrors that name every setting at fault, what was given and what is allowed. */
export function readAnimaticSettings(env: Environment): AnimaticSettings {
  return readSettings({
    stepMs: () => millisecondsSetting(env, 'SLUICE_ANIMATIC_STEP_MS', 100),
    checkpointMs: () => millisecondsSetting(env, 'SLUICE_ANIMATIC_CHECKPOINT_MS', 1000),
    switchMs: () => millisecondsSetting(env, 'SLUICE_ANIMATIC_SWITCH_MS', 0),
    models: () => modelsSetting(env, 'SLUICE_ANIMATIC_MODELS'),
  })
}

/** Parts of a millisecond are allowed. */
function millisecondsSetting(env: Environment, name: string, fallback: number): number {
  const text = optionalSetting(env, name)
  if (text === undefined) return fallback
  const value = Number(text)
  if (!Number.isFinite(value) || value < 0 || value > MILLISECONDS_MAX)
    throw new SettingError(name, text, `allowed are milliseconds from 0 to ${MILLISECONDS_MAX}`)
  return value
}

function modelsSetting(env: Environment, name: string): readonly string[] {
  const text = optionalSetting(env, name)
  if (text === undefined) return ['animatic']
  const ids = text.split(',').map((id) => id.trim())
  if (!ids.every((id) => /^[a-z0-9][a-z0-9._-]*$/.test(id)))
    throw new SettingError(name, text, 'allowed are ids of models, separated by commas')
  return [...new Set(ids)]
}
