export interface Settings {
  /** The pace: milliseconds that each step takes, 0 = as fast as it goes. */
  stepMs: number
  /** A checkpoint is written at the first step boundary after this many milliseconds. */
  checkpointMs: number
  /** How long a switch to another of its models takes, in milliseconds. */
  switchMs: number
  /** Models this runner stands in for. */
  models: readonly string[]
}

/** A setting that cannot be used; the message names it, what was given and what is allowed. */
export class SettingError extends Error {
  override name = 'SettingError'
}

/**
 * Reads `SLUICE_ANIMATIC_STEP_MS` (100), `SLUICE_ANIMATIC_CHECKPOINT_MS` (1000), `SLUICE_ANIMATIC_SWITCH_MS` (0) and
 * `SLUICE_ANIMATIC_MODELS` (animatic).
 * @throws SettingError
 */
export function readSettings(environment: NodeJS.ProcessEnv): Settings {
  return {
    stepMs: readMilliseconds(environment, 'SLUICE_ANIMATIC_STEP_MS', 100),
    checkpointMs: readMilliseconds(environment, 'SLUICE_ANIMATIC_CHECKPOINT_MS', 1000),
    switchMs: readMilliseconds(environment, 'SLUICE_ANIMATIC_SWITCH_MS', 0),
    models: readModels(environment.SLUICE_ANIMATIC_MODELS),
  }
}

function readMilliseconds(environment: NodeJS.ProcessEnv, name: string, otherwise: number): number {
  const given = environment[name]
  if (given === undefined || given === '') return otherwise
  const value = Number(given)
  if (!Number.isFinite(value) || value < 0 || value > 600_000) {
    throw new SettingError(`${name} is ${JSON.stringify(given)}; allowed are milliseconds from 0 to 600000`)
  }
  return value
}

function readModels(given: string | undefined): readonly string[] {
  if (given === undefined || given === '') return ['animatic']
  const named = given.split(',').map((name) => name.trim())
  const wrong = named.find((name) => !/^[a-z0-9][a-z0-9._-]*$/.test(name))
  if (wrong !== undefined) {
    throw new SettingError(
      `SLUICE_ANIMATIC_MODELS names ${JSON.stringify(wrong)}; allowed are ids of models, separated by commas`,
    )
  }
  return [...new Set(named)]
}
