import {
  booleanSetting,
  type Environment,
  integerSetting,
  optionalSetting,
  requiredSetting,
  urlSetting,
} from '@sluice/shared/settings'

/** The operator's hook that decides whether a prompt is accepted. */
export interface ModerationSettings {
  url: string
  key: string | undefined
  /** Accept prompts while the hook does not answer; otherwise they are refused with 503. */
  failOpen: boolean
  timeoutMs: number
}

/** The chat model that rewrites prompts on request. */
export interface RefinerSettings {
  /** The base URL of an OpenAI-compatible API, or its chat completions call itself. */
  url: string
  model: string
  key: string | undefined
  timeoutMs: number
}

const TIMEOUT_MS = { min: 100, max: 60_000 }

/** Null when SLUICE_MODERATION_URL is not set: then no prompt is checked. */
export function readModeration(env: Environment): ModerationSettings | null {
  const url = urlSetting(env, 'SLUICE_MODERATION_URL', ['http', 'https'])
  if (url === undefined) return null
  return {
    url,
    key: optionalSetting(env, 'SLUICE_MODERATION_KEY'),
    failOpen: booleanSetting(env, 'SLUICE_MODERATION_FAIL_OPEN', false),
    timeoutMs: integerSetting(env, 'SLUICE_MODERATION_TIMEOUT_MS', 5_000, TIMEOUT_MS),
  }
}

/** Null when SLUICE_REFINER_URL is not set: then no prompt can be refined. */
export function readRefiner(env: Environment): RefinerSettings | null {
  const url = urlSetting(env, 'SLUICE_REFINER_URL', ['http', 'https'])
  if (url === undefined) return null
  return {
    url,
    model: requiredSetting(env, 'SLUICE_REFINER_MODEL', 'the model that SLUICE_REFINER_URL is asked for'),
    key: optionalSetting(env, 'SLUICE_REFINER_KEY'),
    timeoutMs: integerSetting(env, 'SLUICE_REFINER_TIMEOUT_MS', 10_000, TIMEOUT_MS),
  }
}
