import {
  booleanSetting,
  type Environment,
  httpUrlSetting,
  integerSetting,
  readSettings,
  requiredSetting,
  secretSetting,
} from '@sluice/shared/settings'

/** The operator's hook that decides whether a prompt is accepted. */
export interface ModerationSettings {
  url: string
  key: string | undefined
  /** Accept prompts while the hook does not answer; otherwise they are refused with 503. */
  failOpen: boolean
  /** It is asked about input images as well, as data URLs. */
  takesImages: boolean
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
  const url = httpUrlSetting(env, 'SLUICE_MODERATION_URL')
  if (url === undefined) return null
  return readSettings({
    url: () => url,
    key: () => secretSetting(env, 'SLUICE_MODERATION_KEY'),
    failOpen: () => booleanSetting(env, 'SLUICE_MODERATION_FAIL_OPEN', false),
    takesImages: () => booleanSetting(env, 'SLUICE_MODERATION_IMAGES', false),
    timeoutMs: () => integerSetting(env, 'SLUICE_MODERATION_TIMEOUT_MS', 5_000, TIMEOUT_MS),
  })
}

/** Null when SLUICE_REFINER_URL is not set: then no prompt can be refined. */
export function readRefiner(env: Environment): RefinerSettings | null {
  const url = httpUrlSetting(env, 'SLUICE_REFINER_URL')
  if (url === undefined) return null
  return readSettings({
    url: () => url,
    model: () =>
      requiredSetting(env, 'SLUICE_REFINER_MODEL', 'the model that SLUICE_REFINER_URL is asked for'),
    key: () => secretSetting(env, 'SLUICE_REFINER_KEY'),
    timeoutMs: () => integerSetting(env, 'SLUICE_REFINER_TIMEOUT_MS', 10_000, TIMEOUT_MS),
  })
}
