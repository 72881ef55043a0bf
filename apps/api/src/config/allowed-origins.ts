import { type Environment, optionalSetting, SettingError } from '@sluice/shared/settings'

/** Pages of which other origins may call: any, or those named. An empty set is none. */
export type AllowedOrigins = '*' | ReadonlySet<string>

/** Origins between commas, as browsers write them; `*` alone is any. Without the setting there is none. */
export function readAllowedOrigins(env: Environment, name: string): AllowedOrigins {
  const entries = (optionalSetting(env, name) ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
  if (entries.length === 1 && entries[0] === '*') return '*'
  return new Set(
    entries.map((entry) => {
      const url = URL.canParse(entry) ? new URL(entry) : null
      const isOrigin =
        url !== null &&
        ['http:', 'https:'].includes(url.protocol) &&
        url.pathname + url.search + url.hash + url.username === '/'
      if (isOrigin) return url.origin
      throw new SettingError(
        name,
        entry,
        'allowed are origins such as https://app.example.com between commas, or * alone for any page',
      )
    }),
  )
}
