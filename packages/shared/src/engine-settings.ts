import { readFileSync } from 'node:fs'
import {
  allowedSecret,
  baseUrlSetting,
  choiceSetting,
  type Environment,
  faultOfSecret,
  integerSetting,
  optionalSetting,
  readSettings,
  SettingError,
  secretSetting,
} from './settings.ts'
import { TIME_LIMITS } from './time-limits.ts'

/** The servers whose `/v1/videos` the runner `engine` knows how to drive. */
export const ENGINE_DIALECTS = ['sluice', 'vllm-omni', 'sglang', 'tensorrt-llm', 'openai'] as const
export type EngineDialect = (typeof ENGINE_DIALECTS)[number]

/** The server that the runner `engine` drives. */
export interface EngineSettings {
  /** Without its trailing slash and without `/v1`. */
  url: string
  /** Null = the server wants none. */
  key: string | null
  /** Null = the server is asked what it is. */
  dialect: EngineDialect | null
  /** An engine that gives no answer for this long is away. */
  awayMs: number
}

/** Reads and checks the settings SLUICE_ENGINE_*. Throws SettingErrors, which never show the key. */
export function readEngineSettings(env: Environment): EngineSettings {
  return readSettings({
    awayMs: () =>
      integerSetting(env, 'SLUICE_ENGINE_AWAY_MS', TIME_LIMITS.engine.awayMs, { min: 0, max: 3_600_000 }),
    url: () => readUrl(env),
    key: () => readKey(env),
    dialect: () =>
      optionalSetting(env, 'SLUICE_ENGINE_DIALECT') === undefined
        ? null
        : choiceSetting(env, 'SLUICE_ENGINE_DIALECT', 'openai', ENGINE_DIALECTS),
  })
}

function readUrl(env: Environment): string {
  const url = baseUrlSetting(env, 'SLUICE_ENGINE_URL')
  if (url === undefined)
    throw new SettingError(
      'SLUICE_ENGINE_URL',
      undefined,
      'the URL of the server to drive, such as http://127.0.0.1:8000',
    )
  return url.replace(/\/v1$/, '')
}

function readKey(env: Environment): string | null {
  const path = optionalSetting(env, 'SLUICE_ENGINE_KEY_FILE')
  const given = secretSetting(env, 'SLUICE_ENGINE_KEY')
  if (path === undefined) return given ?? null
  if (given !== undefined)
    throw new SettingError('SLUICE_ENGINE_KEY_FILE', path, 'allowed is one of it and SLUICE_ENGINE_KEY')
  let text: string
  try {
    text = readFileSync(path, 'utf8').trim()
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    throw new SettingError('SLUICE_ENGINE_KEY_FILE', path, `allowed is a file with the key in it: ${why}`)
  }
  const fault = text === '' ? '(nothing)' : faultOfSecret(text, 1)
  if (fault === null) return text
  throw new SettingError(
    'SLUICE_ENGINE_KEY_FILE',
    path,
    `allowed is a file that holds ${allowedSecret(1)}; it holds ${fault}`,
  )
}
